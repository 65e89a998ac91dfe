import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { Limit } from '../events.js';
import { type Evictable, evictableIn, evictionOrder } from '../instances/eviction.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { isOpen, type OpenEntry, type ServerEntry } from '../instances/server-entry.js';
import type { Breakers } from '../supervision/breakers.js';
import type { AcquireQueue } from './acquire-queue.js';
import { type Decision, decide, REUSE, type Room } from './admission.js';
import type { Waiter, WaitingClass, WaitingServer } from './waiter.js';

/** What is to be done for the caller that comes next. */
export interface Match {
  readonly waiter: Waiter;
  readonly entry: OpenEntry;
  readonly decision: Extract<Decision, { action: 'reuse' | 'spawn' | 'evict' }> | Refusal;
}

interface Refusal {
  readonly action: 'refuse';
  readonly error: PoolError;
}

/**
 * Finds the oldest caller for which something can be done: asks `admission.decide` for the next of each class, in order of
 * arrival. A slot that comes free is claimed for the caller that it will serve, so two never wait for the same slot. A
 * caller that only a release can help does not hold up those behind it whose server has room.
 */
export class Matcher {
  readonly #queue: AcquireQueue;
  readonly #fleet: Fleet;
  readonly #breakers: Breakers;
  readonly #clock: Clock;
  /** Slots that come free on which callers count. */
  #claimed = 0;
  readonly #promised = new Set<WaitingClass>();
  /** Whether `maxProcesses` leaves nothing for any caller that needs a slot. */
  #isFull = false;

  constructor(queue: AcquireQueue, fleet: Fleet, breakers: Breakers, clock: Clock) {
    this.#queue = queue;
    this.#fleet = fleet;
    this.#breakers = breakers;
    this.#clock = clock;
  }

  /** Whether callers wait because all slots of the pool are taken. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Forgets the claims of the last search: what they counted on may have changed. */
  begin(): void {
    if (this.#promised.size === 0) return;
    this.#claimed = 0;
    for (const waiting of this.#promised) {
      waiting.promised = 0;
      waiting.server.claimed = 0;
      waiting.server.isStuck = false;
      waiting.provide();
      if (waiting.count > 0) this.#queue.rank(waiting, this.#clock.now());
    }
    this.#promised.clear();
  }

  /** The next thing to do; undefined when nothing can be done for any caller. */
  next(): Match | undefined {
    const now = this.#clock.now();
    for (let changed = this.#fleet.takeChange(); changed; changed = this.#fleet.takeChange()) {
      this.#queue.refresh(changed, now);
    }
    this.#isFull = false;
    for (;;) {
      const waiting = this.#oldest();
      const entry = waiting?.server.entry;
      if (!waiting || !isOpen(entry)) return undefined;
      const isServed = waiting.leaseClass.hasFree(now);
      const waiter = isServed ? waiting.first : waiting.next;
      if (waiter === undefined || isServed !== waiting.isServed) {
        // What was free when it was ranked has grown too old since.
        this.#queue.rank(waiting, now);
        continue;
      }
      const decision = this.#decide(entry, waiting, now);
      const refusal = decision.action === 'reuse' ? undefined : this.#breakers.refusal(waiting.leaseClass);
      if (refusal === undefined) {
        if (decision.action !== 'wait') {
          if (decision.action === 'evict') this.#claim(waiting, decision.from === 'server');
          return { waiter, entry, decision };
        }
        if (decision.for === 'ending') this.#claim(waiting, entry.isFull);
        else if (decision.for === 'release' && decision.limit === 'maxProcesses') this.#isFull = true;
        else this.#stop(waiting.server);
      } else if (waiting.leaseClass.isServing) {
        // What runs may come free for it; for a start that is not made no instance is evicted.
        waiting.isRefused = true;
        this.#queue.rank(waiting, now);
        this.#queue.lookAgain(waiting, this.#breakers.retryAt(waiting.leaseClass) ?? Infinity);
      } else return { waiter, entry, decision: { action: 'refuse', error: refusal } };
    }
  }

  /** The class with the oldest caller that may get something. When the pool is full, a free instance can serve it, no start. */
  #oldest(): WaitingClass | undefined {
    const { served, hungry } = this.#queue;
    const free = served.first;
    const starved = this.#isFull ? undefined : hungry.first?.hungry.first;
    return free === undefined || (starved !== undefined && starved.rank < free.rank) ? starved : free;
  }

  /** The limit that keeps a caller waiting; undefined while a start or a slot is on its way to it. */
  limitOf(waiter: Waiter): Limit | undefined {
    const waiting = waiter.queuedIn;
    if (waiting === undefined || waiting.isProvided(waiter)) return undefined;
    if (waiting.server.isStuck || waiting.isRefused) return 'maxInstances';
    return this.#isFull ? 'maxProcesses' : undefined;
  }

  #decide(entry: OpenEntry, waiting: WaitingClass, now: number): Decision {
    // As `decide` would say, before the rooms are looked at: most callers are served so.
    if (waiting.leaseClass.hasFree(now)) return REUSE;
    const fleet = this.#fleet;
    const server: Room = {
      used: entry.used,
      limit: entry.definition.maxInstances,
      ending: entry.ending.size - waiting.server.claimed,
      evictable: entry.idleCount > 0 || (entry.isFull && this.#hasSurplusStart(entry)),
    };
    const pool: Room = {
      used: fleet.slots.used,
      limit: fleet.slots.limit,
      ending: fleet.slots.ending - this.#claimed,
      evictable: fleet.idleCount > 0 || (fleet.slots.isFull && this.#hasSurplusStart()),
    };
    // Callers for whom a start has a seat are passed over already.
    return decide({ free: false, starting: 0, server, pool });
  }

  /** The tree that is ended to make room, of one server or of any. */
  victim(entry?: ServerEntry): PooledInstance | undefined {
    return evictionOrder(this.evictable(entry))[0];
  }

  /** What could be ended to make room, of one server or of any. */
  evictable(entry?: ServerEntry): Evictable {
    const classes = [...this.#fleet.populated];
    return evictableIn(entry ? classes.filter((leaseClass) => leaseClass.entry === entry) : classes);
  }

  #hasSurplusStart(entry?: ServerEntry): boolean {
    if (this.#fleet.starting.size === 0) return false;
    for (const leaseClass of this.#fleet.starting) {
      if ((entry === undefined || leaseClass.entry === entry) && leaseClass.surplusStarts.length > 0) return true;
    }
    return false;
  }

  /** A slot that comes free counts for the server too, if the caller needs it there. */
  #claim(waiting: WaitingClass, ofServer: boolean): void {
    this.#claimed += 1;
    if (ofServer) waiting.server.claimed += 1;
    waiting.promised += 1;
    this.#promised.add(waiting);
    waiting.provide();
    this.#queue.rank(waiting, this.#clock.now());
  }

  #stop(server: WaitingServer): void {
    server.isStuck = true;
    this.#queue.rankServer(server);
  }
}
