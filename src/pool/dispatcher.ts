import type { PoolError } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import type { ServerInstance } from '../server/server-instance.js';
import { type Decision, decide, type Limit, type Room } from './admission.js';
import type { Fleet } from './fleet.js';
import {
  idleFor,
  isOpen,
  isServing,
  leastLoaded,
  type OpenGroup,
  type ServerGroup,
  seatsFor,
  startsNeeded,
} from './server-group.js';
import type { Waiter, WaitQueue } from './wait-queue.js';
import { kind, reuseKey, type Whose } from './whose.js';

/** What the dispatcher has done for it. */
export interface DispatchActions {
  /** Gives a waiter an instance that is idle, or shared and has room. */
  lend(waiter: Waiter, group: OpenGroup): void;
  /** @throws PoolError when there is nothing to be spawned */
  start(group: OpenGroup, whose: Whose): void;
  evict(instance: ServerInstance): void;
  /** Why no start would be made for a waiter, because its server fails again and again. */
  refusal(waiter: Waiter): PoolError | undefined;
  /** A waiter's start could not even be spawned. */
  reject(waiter: Waiter, error: PoolError): void;
}

/** What earlier waiters of one round count on. */
class Claims {
  readonly #starts = new Map<string, number>();
  readonly #serverEnding = new Map<ServerGroup, number>();
  ending = 0;

  startsOf(kind: string): number {
    return this.#starts.get(kind) ?? 0;
  }

  endingOf(group: ServerGroup): number {
    return this.#serverEnding.get(group) ?? 0;
  }

  claimStart(kind: string): void {
    this.#starts.set(kind, this.startsOf(kind) + 1);
  }

  /** A slot that comes free counts for the server too, if the waiter needs it there. */
  claimEnding(group: ServerGroup, from: 'server' | 'pool'): void {
    this.ending += 1;
    if (from === 'server') this.#serverEnding.set(group, this.endingOf(group) + 1);
  }
}

/** Matches waiters with instances: goes through them in order of arrival and does what `admission.decide` says. */
export class Dispatcher {
  readonly #fleet: Fleet;
  readonly #clock: Clock;
  readonly #queue: WaitQueue;
  readonly #maxProcesses: number;
  readonly #actions: DispatchActions;
  #running = false;
  #again = false;

  constructor(fleet: Fleet, clock: Clock, queue: WaitQueue, maxProcesses: number, actions: DispatchActions) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#queue = queue;
    this.#maxProcesses = maxProcesses;
    this.#actions = actions;
  }

  /** To be called whenever something changed. A call from within (an event listener that releases, say) makes another round. */
  run(): void {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#again && this.#queue.size > 0) {
        this.#again = false;
        this.#round();
      }
    } finally {
      this.#running = false;
    }
  }

  /** Starts that no caller waits for, the youngest of each kind first. A caller's own need goes before a minimum. */
  *surplusStarts(among: Iterable<ServerGroup> = this.#fleet.groups.values()): Generator<ServerInstance> {
    if (this.#fleet.startCount === 0) return;
    for (const group of among) {
      for (const [key, starts] of group.starts) {
        const free = starts.filter(({ leases }) => leases === 0);
        yield* free.slice(startsNeeded(free, this.#queue.count(kind(group.name, key)))).reverse();
      }
    }
  }

  #surplusStart(among?: Iterable<ServerGroup>): ServerInstance | undefined {
    return this.surplusStarts(among).next().value ?? undefined;
  }

  #round(): void {
    const claims = new Claims();
    const blocked = new Map<string, Limit>();
    let full = false;
    for (const waiter of this.#queue) {
      if (full) {
        // Nothing can be done for anybody; only a start that is on its way already may serve this one.
        const covered = claims.startsOf(waiter.kind) < this.#fleet.seatsForKind(waiter.kind);
        if (covered) claims.claimStart(waiter.kind);
        waiter.blockedBy = covered ? undefined : 'maxProcesses';
        continue;
      }
      const limit = blocked.get(waiter.kind);
      if (limit !== undefined) {
        // Nothing is left for its kind, since an earlier waiter of it got nothing.
        waiter.blockedBy = limit;
        continue;
      }
      const group = this.#fleet.group(waiter.name);
      // Removed servers reject their waiters before they call us.
      if (!isOpen(group)) continue;
      const key = reuseKey(group.definition, waiter);
      const decision = this.#consider(this.#decide(group, key, claims), waiter, group, key);
      if (decision === undefined) continue;
      this.#act(decision, waiter, group, claims);
      // What was done, or a listener to it, changed something that an earlier waiter may want: from the front again.
      if (this.#again) return;
      if (decision.action !== 'wait' || decision.for !== 'release') continue;
      blocked.set(waiter.kind, decision.limit);
      full = decision.limit === 'maxProcesses';
    }
  }

  /** What remains of a decision when no start would be made; undefined when the waiter was told so. */
  #consider(decision: Decision, waiter: Waiter, group: OpenGroup, key: string): Decision | undefined {
    if (decision.action === 'reuse' || (decision.action === 'wait' && decision.for === 'start')) return decision;
    const refusal = this.#actions.refusal(waiter);
    if (refusal === undefined) return decision;
    // What runs may come free for it; for a start that is not made nobody is evicted.
    if (isServing(group, key)) return { action: 'wait', for: 'release', limit: 'maxInstances' };
    this.#actions.reject(waiter, refusal);
    return undefined;
  }

  #decide(group: OpenGroup, key: string, claims: Claims): Decision {
    const fleet = this.#fleet;
    const server: Room = {
      used: group.used,
      limit: group.definition.maxInstances,
      ending: group.ending.size - claims.endingOf(group),
      evictable: group.idleCount > 0 || (isFull(group) && this.#surplusStart([group]) !== undefined),
    };
    const pool: Room = {
      used: fleet.used,
      limit: this.#maxProcesses,
      ending: fleet.endingCount - claims.ending,
      evictable: fleet.idleCount > 0 || (fleet.used >= this.#maxProcesses && this.#surplusStart() !== undefined),
    };
    return decide({
      free: idleFor(group, key) > 0 || leastLoaded(group, key, this.#clock.now()) !== undefined,
      starting: seatsFor(group, key) - claims.startsOf(kind(group.name, key)),
      server,
      pool,
    });
  }

  #act(decision: Decision, waiter: Waiter, group: OpenGroup, claims: Claims): void {
    waiter.blockedBy = undefined;
    switch (decision.action) {
      case 'reuse': {
        this.#actions.lend(waiter, group);
        return;
      }
      case 'spawn':
        try {
          this.#actions.start(group, waiter);
          claims.claimStart(waiter.kind);
        } catch (error) {
          this.#actions.reject(waiter, error as PoolError);
        }
        return;
      case 'evict': {
        const chosen = decision.from === 'server' ? group : undefined;
        const instance = this.#fleet.idleLongestFirst(chosen)[0] ?? this.#surplusStart(chosen && [chosen]);
        if (instance) this.#actions.evict(instance);
        return claims.claimEnding(group, decision.from);
      }
      case 'wait':
        if (decision.for === 'start') claims.claimStart(waiter.kind);
        else if (decision.for === 'ending') claims.claimEnding(group, isFull(group) ? 'server' : 'pool');
        else waiter.blockedBy = decision.limit;
    }
  }
}

function isFull({ definition, used }: OpenGroup): boolean {
  return used >= definition.maxInstances;
}
