import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { Limit } from '../events.js';
import { type Evictable, evictableIn, evictionOrder } from '../instances/eviction.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { isOpen, type LeaseClass, type OpenEntry, type ServerEntry } from '../instances/server-entry.js';
import { tenantRoom } from '../instances/tenant-limit.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { overloaded } from '../refusals.js';
import type { Breakers } from '../supervision/breakers.js';
import type { AcquireQueue } from './acquire-queue.js';
import { type Decision, decide, type Room, type Situation } from './admission.js';
import { adoptableStart, giveClean } from './adoption.js';
import { type EndForCaller, roomOfTenant, uselessTest } from './ends-for-class.js';
import type { Waiter, WaitingClass, WaitingServer } from './waiter.js';

/** A free instance is used. */
const REUSE = { action: 'reuse' } as const;

/**
 * Finds the oldest caller for which something can be done. When no instance is free for the next caller of a class,
 * `admission.decide` says what is done. A slot that comes free is claimed for one caller, so that two callers never wait for
 * the same slot. A caller that needs a release does not delay later callers of servers that have room.
 */
export class Matcher {
  readonly #queue: AcquireQueue;
  readonly #fleet: Fleet;
  readonly #breakers: Breakers;
  readonly #clock: Clock;
  // Filled anew for each decision: with thousands of callers, an operation costs what it allocates.
  readonly #server: Writable<Room> = { used: 0, limit: 0, ending: 0, evictable: false };
  readonly #pool: Writable<Room> = { used: 0, limit: 0, ending: 0, evictable: false };
  readonly #situation: Writable<Situation> = {
    adoptable: false,
    isMemoryShort: false,
    host: 'met',
    server: this.#server,
    pool: this.#pool,
  };
  /** Slots that come free and are claimed for callers. */
  #claimed = 0;
  /** The classes of these callers. */
  readonly #claimants = new Set<WaitingClass>();
  /** Whether `maxProcesses`, or what the host lacks, keeps all callers waiting that need a slot, apart from those of essential servers. */
  #isFull = false;
  /** What does that; undefined while the host is looked at. */
  #fullBy: Limit | undefined;
  /** Whether it keeps those waiting, too. */
  #isFullForEssential = false;
  /** Callers for which an essential tree was ended although an older caller waits: its slot is not for that one. */
  readonly #owed = new Set<Waiter>();
  /** Servers without a slot for their callers, that have idle instances which are kept for others. */
  readonly #keptFrom = new Set<WaitingServer>();
  /** The same of one tenant: classes whose callers wait for it to have one less. */
  readonly #keptFromTenant = new Set<LeaseClass>();

  constructor(queue: AcquireQueue, fleet: Fleet, breakers: Breakers, clock: Clock) {
    this.#queue = queue;
    this.#fleet = fleet;
    this.#breakers = breakers;
    this.#clock = clock;
  }

  /** Drops the claims of the last search: the slots that come free may be others now. */
  begin(): void {
    if (this.#owed.size > 0)
      for (const waiter of this.#owed) if (!waiter.queuedIn?.server.entry.isEssential) this.#owed.delete(waiter);
    // What was kept for others may go now.
    for (const server of this.#keptFrom) this.#queue.setStuck(server, false);
    this.#keptFrom.clear();
    for (const leaseClass of this.#keptFromTenant) this.#fleet.changed(leaseClass);
    this.#keptFromTenant.clear();
    if (this.#claimants.size === 0) return;
    this.#claimed = 0;
    for (const waiting of this.#claimants) {
      waiting.claimed = 0;
      waiting.server.claimed = 0;
      this.#queue.setStuck(waiting.server, false);
      waiting.cover();
      if (waiting.count > 0) this.#queue.rank(waiting, this.#clock.now());
    }
    this.#claimants.clear();
  }

  /** The next thing to do; undefined when nothing can be done for any caller. */
  next(): Match | undefined {
    const now = this.#clock.now();
    this.#isFull = false;
    this.#isFullForEssential = false;
    for (;;) {
      for (let changed = this.#fleet.takeChange(); changed; changed = this.#fleet.takeChange()) {
        if (changed.entry.clean.length > 0) giveClean(changed.entry, this.#queue, this.#fleet, now);
        this.#queue.refresh(changed, now);
        const { entry } = changed;
        const end = isOpen(entry) ? (uselessTest(changed, this.#queue) ?? this.#roomOfTenant(changed, now)) : undefined;
        if (end && isOpen(entry)) return { ...end, entry };
      }
      // A full pool has nothing for those that need a slot, but essential servers make room for each other.
      const server = this.#isFull ? this.#essentialCandidate() : this.#queue.candidates.first;
      const immediate = this.#queue.immediate.first;
      if (immediate && (server === undefined || immediate.rank < server.rank)) {
        const { entry } = immediate.server;
        if (!isOpen(entry)) return undefined;
        const match = this.#matchAtOnce(entry, immediate, now);
        if (match) return match;
        continue;
      }
      const waiting = server?.candidates.first;
      const waiter = waiting?.next;
      if (!server || !waiter || !isOpen(server.entry)) return undefined;
      const { entry } = server;
      if (tenantRoom(this.#fleet, entry, waiting.leaseClass.tenant) !== 'free') {
        // Another class of its tenant got what there was since it was ranked.
        this.#queue.rank(waiting, now);
        const end = this.#roomOfTenant(waiting.leaseClass, now);
        if (end) return { ...end, entry };
        continue;
      }
      const start = adoptableStart(entry, waiting.leaseClass);
      const decision = this.#decide(entry, waiting.server.claimed, start !== undefined);
      if (decision.action === 'adopt') {
        if (start) this.#fleet.adopt(start, waiting.leaseClass, waiter);
        continue;
      }
      const error = this.#refusal(entry, decision);
      if (error) return { waiter, entry, decision: { action: 'refuse', error } };
      if (decision.action !== 'wait' && !this.#fleet.gate.dependencies.allows(entry, waiting.leaseClass.tenant)) {
        // What it depends on has gone since it was ranked.
        this.#queue.rank(waiting, now);
        continue;
      }
      if (decision.action !== 'wait') {
        if (decision.action === 'evict') {
          if (this.#isFull) this.#owed.add(waiter);
          this.#claim(waiting, decision.from === 'server');
        }
        return { waiter, entry, decision };
      }
      if (decision.for === 'ending') this.#claim(waiting, entry.isFull);
      else if (decision.for === 'release' && decision.limit === 'maxInstances') {
        this.#queue.setStuck(server, true);
        if (entry.neededIdle > 0) {
          this.#keptFrom.add(server);
          this.#fleet.gate.dependencies.askRelief('server', waiter);
        }
      } else {
        if (this.#fleet.idle.needed.size > 0) this.#fleet.gate.dependencies.askRelief('pool', waiter);
        this.#fullBy = decision.for === 'release' ? decision.limit : undefined;
        if (this.#fullBy === undefined || this.#fullBy === 'requires') this.#fleet.gate.preflight.ask();
        this.#isFull = true;
        this.#isFullForEssential ||= entry.isEssential;
      }
    }
  }

  /**
   * A class of a tenant has changed: of those of its callers that its limit keeps waiting, the next one has room now, or something
   * may end for it. The others are not looked at.
   */
  #roomOfTenant({ entry, tenant }: LeaseClass, now: number): EndForCaller | undefined {
    const held = this.#queue.firstHeld(entry, tenant);
    if (held === undefined || !isOpen(entry)) return undefined;
    this.#queue.rank(held, now);
    if (!held.isHeld || tenantRoom(this.#fleet, entry, tenant) !== 'full') return undefined;
    const end = roomOfTenant(entry, held, this.#fleet);
    if (end !== 'kept') return end;
    this.#keptFromTenant.add(held.leaseClass);
    if (held.next) this.#fleet.gate.dependencies.askRelief('tenant', held.next);
    return undefined;
  }

  /** Why a caller is refused that would get a start: at once, in the place of another tree, or when the machine allows it. */
  #refusal(entry: OpenEntry, decision: Decision): PoolError | undefined {
    const { overload, preflight } = this.#fleet.gate;
    const limit = decision.action === 'wait' && decision.for === 'release' ? decision.limit : undefined;
    if (limit === 'maxInstances' || limit === 'maxProcesses') return undefined;
    if (overload) return overloaded(entry, overload);
    return limit === 'requires' ? preflight.refusal(entry) : undefined;
  }

  /** What is done for a caller that needs no slot; undefined when time has passed since its class was ranked. */
  #matchAtOnce(entry: OpenEntry, waiting: WaitingClass, now: number): Match | undefined {
    const { first, next, leaseClass } = waiting;
    if (first && leaseClass.hasFree(now)) return { waiter: first, entry, decision: REUSE };
    const error = this.#breakers.refusal(leaseClass);
    if (next && error && !leaseClass.isServing) return { waiter: next, entry, decision: { action: 'refuse', error } };
    this.#queue.rank(waiting, now);
    return undefined;
  }

  /** The limit that keeps a caller waiting; undefined while a start or a slot is on the way for it. */
  limitOf(waiter: Waiter): Limit | undefined {
    const waiting = waiter.queuedIn;
    if (waiting === undefined || waiting.isCovered(waiter) || waiting.isBlocked) return undefined;
    if (waiting.isHeld) return this.#isNextOfTenant(waiting) ? undefined : 'maxInstancesPerTenant';
    if (waiting.server.isStuck || waiting.isRefused) return 'maxInstances';
    return this.#isFull ? this.#fullBy : undefined;
  }

  /** Whether a caller that comes now would get a slot without a release: there is room, or it comes free, or is made. */
  hasRoomFor(entry: OpenEntry, tenant: string | undefined): boolean {
    if (tenantRoom(this.#fleet, entry, tenant) === 'full') return false;
    if (entry.hasSpare) return true;
    const decision = this.#decide(entry, this.#queue.claimedOf(entry.name), false);
    return decision.action !== 'wait' || decision.for !== 'release';
  }

  #decide(entry: OpenEntry, claimed: number, adoptable: boolean): Decision {
    this.#situation.adoptable = adoptable;
    const { gate, slots } = this.#fleet;
    this.#situation.isMemoryShort = gate.shortage !== undefined;
    this.#situation.host = gate.preflight.stateAt(this.#clock.now());
    const server = this.#server;
    server.used = entry.used;
    server.limit = entry.definition.maxInstances;
    server.ending = entry.ending.size - claimed;
    server.evictable = entry.evictableIdle > 0 || entry.surplus.size > 0;
    const pool = this.#pool;
    const owed = entry.isEssential ? 0 : this.#owed.size;
    pool.used = slots.used + owed;
    pool.limit = slots.limit;
    pool.ending = slots.ending - this.#claimed - owed;
    pool.evictable = this.#hasVictim(entry);
    return decide(this.#situation);
  }

  /** Whether a tree of any server could be ended for a caller of this one. */
  #hasVictim({ isEssential }: OpenEntry): boolean {
    const { essential, surplus } = this.#fleet;
    const idle = this.#fleet.idle.count - this.#fleet.idle.needed.size;
    if (isEssential || essential.servers.size === 0) return idle > 0 || surplus.size > 0;
    if (idle > essential.idle) return true;
    for (const { entry } of surplus) if (!entry.isEssential) return true;
    return false;
  }

  /** The essential server for which another essential tree may be ended in a full pool. */
  #essentialCandidate(): WaitingServer | undefined {
    const { essential } = this.#fleet;
    return this.#isFullForEssential ? undefined : this.#queue.firstOf(essential.servers);
  }

  /** The tree to be ended to make room for a caller of this server: one of its own, or of any. */
  victim(entry: OpenEntry, from: 'server' | 'pool'): PooledInstance | undefined {
    return evictionOrder(this.evictable(from === 'server' ? entry : undefined), entry.definition.priority)[0];
  }

  /**
   * The trees that could be ended to make room, of one server or of all. Walks through classes with instances only, since
   * most classes may have only callers.
   */
  evictable(entry?: ServerEntry): Evictable[] {
    const classes = [...this.#fleet.populated];
    return evictableIn(entry ? classes.filter((leaseClass) => leaseClass.entry === entry) : classes);
  }

  /**
   * Leases that were silent for `leaseIdleTimeout`, and that help a caller that a limit keeps waiting when they are taken back.
   * One frees a seat for a caller of its own class. Other callers need the slot of its instance, so all leases of the instance
   * must be silent, and all are taken back.
   */
  silentLeases(leases: LeaseManager, now: number): readonly Lease[] {
    for (const instance of leases.withSilentLeases) {
      const leaseClass = this.#fleet.classOf(instance);
      if (leaseClass === undefined) continue;
      const next = this.#queue.classOf(leaseClass)?.next;
      if (next !== undefined && this.limitOf(next) !== undefined) {
        const lease = leases.firstSilent(instance, now);
        if (lease) return [lease];
      } else if (
        (this.#isShort(leaseClass) || this.#queue.isBlocked(instance.name) || this.#isTenantShort(leaseClass)) &&
        leases.isAllSilent(instance, now)
      ) {
        return leases.of(instance);
      }
    }
    return [];
  }

  /** Whether a caller lacks a slot, and may get that of an instance of this class. */
  #isShort({ entry }: LeaseClass): boolean {
    // Where the host lacks something, a slot is of no use.
    if (!this.#isFull || this.#fullBy !== 'maxProcesses') return false;
    if (!entry.isEssential) return true;
    return this.#queue.firstOf(this.#fleet.essential.servers) !== undefined;
  }

  /** Whether a slot of its tenant comes free, and this class is the next. */
  #isNextOfTenant(waiting: WaitingClass): boolean {
    const { entry, tenant } = waiting.leaseClass;
    return this.#queue.firstHeld(entry, tenant) === waiting && tenantRoom(this.#fleet, entry, tenant) !== 'full';
  }

  /** Whether a caller of the same tenant, in another class, waits for its tenant to have one less. */
  #isTenantShort({ entry, tenant }: LeaseClass): boolean {
    return this.#queue.firstHeld(entry, tenant) !== undefined && tenantRoom(this.#fleet, entry, tenant) === 'full';
  }

  /** Claims a slot that comes free for the next caller of a class; `ofServer`: it must be a slot of its server. */
  #claim(waiting: WaitingClass, ofServer: boolean): void {
    this.#claimed += 1;
    if (ofServer) waiting.server.claimed += 1;
    waiting.claimed += 1;
    this.#claimants.add(waiting);
    waiting.cover();
    this.#queue.rank(waiting, this.#clock.now());
  }
}

/** What is to be done for the next caller. */
export interface Match {
  readonly waiter: Waiter;
  readonly entry: OpenEntry;
  readonly decision:
    | typeof REUSE
    | Extract<Decision, { action: 'spawn' | 'evict' }>
    | EndForCaller['decision']
    | Refusal;
}

interface Refusal {
  readonly action: 'refuse';
  readonly error: PoolError;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
