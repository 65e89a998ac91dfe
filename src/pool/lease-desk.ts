import type { ResolvedPoolOptions } from '../config/options.js';
import { PoolError } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { SessionEnd } from '../protocol/session.js';
import type { Clock } from '../runtime/clock.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Fleet } from './fleet.js';
import { Lease, type LeaseHost } from './lease.js';
import type { LeaseNews } from './lease-news.js';
import { whyNotAgain } from './reuse.js';
import { isOverLimit, leastLoaded, type OpenGroup } from './server-group.js';
import type { LeaseRequest } from './wait-queue.js';
import type { WaitingCallers } from './waiting-callers.js';
import { kindOf, reuseKey, type Whose } from './whose.js';

export interface LeaseDeskParts {
  readonly options: ResolvedPoolOptions;
  readonly clock: Clock;
  readonly hold: KeepAlive;
  readonly fleet: Fleet;
  readonly news: LeaseNews;
  readonly waiting: WaitingCallers;
  readonly timekeeper: Timekeeper;
}

/** Who sees to what falls due later. */
export interface Timekeeper {
  /** An instance became idle. */
  parked(instance: ServerInstance): void;
  /** Something falls due at clock time `at`. */
  wakeAt(at: number): void;
}

/** Gives leases out, on instances that can be used now, and takes them back. */
export class LeaseDesk {
  /** The leases that are held, by their number. */
  readonly leases = new Map<number, Lease>();
  readonly news: LeaseNews;
  readonly #parts: LeaseDeskParts;
  readonly #leaseHost: LeaseHost;

  constructor(parts: LeaseDeskParts) {
    this.#parts = parts;
    this.news = parts.news;
    const { hold } = parts;
    this.#leaseHost = { hold, clock: parts.clock, leaseEnded: (lease, end) => this.#leaseEnded(lease, end) };
  }

  /** A lease on an instance that can be used now. This is the warm path: no promise, no wait, no walk through a queue. */
  acquireFree(group: OpenGroup, request: LeaseRequest, stack: string | undefined): Lease | undefined {
    // Nobody goes before those who wait for a seat on a shared server.
    const { waiting } = this.#parts;
    if (group.definition.sharing === 'shared' && waiting.queue.count(kindOf(group.definition, request)) > 0)
      return undefined;
    const lease = this.lend(group, request, stack);
    if (lease === undefined) return undefined;
    this.news.acquired(lease, 0);
    if (group.definition.minIdle > 0) waiting.settle();
    return lease;
  }

  /** The same, whoever waits, and without telling. */
  lend(group: OpenGroup, whose: Whose, stack: string | undefined): Lease | undefined {
    const instance = this.#takeFree(group, whose);
    return instance && this.#leaseOn(instance, whose, stack);
  }

  /** An instance that nobody uses: serves the next waiter, or is idle from now on. */
  park(instance: ServerInstance, now = this.#parts.clock.now()): void {
    const { fleet, timekeeper, waiting } = this.#parts;
    const group = fleet.group(instance.name);
    if (group === undefined) return;
    if (instance.leases > 0) {
      if (instance.definition.sharing === 'shared') fleet.addShared(instance);
      return waiting.settle();
    }
    if (isOverLimit(group)) return void instance.stop('surplus');
    instance.idleSince = now;
    fleet.park(group, instance);
    timekeeper.parked(instance);
    waiting.settle();
  }

  /** The definition of a server was changed: what holds for its waiters and its processes may have changed with it. */
  redefined(group: OpenGroup): void {
    const { definition } = group;
    const { timekeeper, waiting } = this.#parts;
    waiting.queue.rename(group.name, (waiter) => kindOf(definition, waiter));
    for (const instance of group.instances)
      if (instance.definition.key === definition.key) instance.definition = definition;
    for (const idle of [...group.idle.values()].flat()) {
      if (isOverLimit(group)) void idle.stop('surplus');
      else timekeeper.parked(idle);
    }
  }

  /** Releases all leases, and gives up all waiting calls, of those that match; returns how many leases. */
  releaseAll(matches: (whose: Whose) => boolean, why: string): number {
    this.#parts.waiting.abortAll(matches, why);
    return [...this.leases.values()].filter((lease) => matches(lease) && lease.release()).length;
  }

  /** Takes a lease from its holder. */
  reclaim(lease: Lease, why: string): void {
    this.news.reclaimed(lease, this.#parts.clock.now());
    const message = `the lease ${lease.id} on server '${lease.name}' was taken back: ${why}`;
    const data = { name: lease.name, leaseId: lease.id, instanceId: lease.instanceId };
    lease.end({ asked: false, error: () => new PoolError('LEASE_RECLAIMED', message, data) });
  }

  /** The pool ended the instance of these leases. */
  endLeases(instance: ServerInstance, error: PoolError): void {
    for (const lease of this.leasesOf(instance)) lease.end({ asked: false, error: () => error });
  }

  /** The leases on an instance. */
  leasesOf(instance: ServerInstance): Lease[] {
    return instance.leases === 0 ? [] : [...this.leases.values()].filter((lease) => lease.instance === instance);
  }

  #takeFree(group: OpenGroup, whose: Whose): ServerInstance | undefined {
    const { fleet, clock } = this.#parts;
    const key = reuseKey(group.definition, whose);
    let instance = fleet.takeIdle(group, key);
    for (; instance; instance = fleet.takeIdle(group, key)) {
      const expired = instance.expiresAt < Infinity && instance.expiresAt <= clock.now();
      if (!expired && instance.retired === undefined) return instance;
      void instance.stop(instance.retired ?? 'max-lifetime');
    }
    return group.definition.sharing === 'shared' ? leastLoaded(group, key, clock.now()) : undefined;
  }

  #leaseOn(instance: ServerInstance, whose: Whose, stack: string | undefined): Lease {
    const { clock, fleet, options, timekeeper } = this.#parts;
    const now = clock.now();
    const lease = new Lease(this.#leaseHost, instance, whose, now, stack);
    instance.leases += 1;
    instance.uses += 1;
    if (instance.leases === 1 && instance.definition.sharing === 'shared') fleet.addShared(instance);
    if (instance.uses === 1) fleet.provenUseful(instance);
    this.leases.set(lease.number, lease);
    if (options.leakDetection > 0) timekeeper.wakeAt(now + options.leakDetection);
    return lease;
  }

  /** The end of a lease, whoever ended it. Returns the end of its process, if that ends with it. */
  #leaseEnded(lease: Lease, end: SessionEnd): Promise<CleanupReport | undefined> | undefined {
    const { instance } = lease;
    const shared = instance.definition.sharing === 'shared';
    // On a shared server they are cancelled.
    const unfinished = !shared && lease.openRequests > 0;
    this.leases.delete(lease.number);
    instance.leases -= 1;
    // What becomes of the instance is for its last lease, which a listener may end before this one is through.
    const isLast = instance.leases === 0;
    const wasStarting = instance.state === 'starting';
    if (shared && isLast) this.#parts.fleet.removeShared(instance);
    lease.closeSession(end);
    const now = this.#parts.clock.now();
    this.news.released(lease, now);
    if (wasStarting) return this.#unwanted(instance);
    // A shutdown ends the instances itself, when it has taken the leases: in its own way, and as the reason.
    if (instance.state !== 'ready' || !this.#parts.waiting.isOpen) return instance.ended;
    if (!isLast) return this.#seatFree();
    const reason = unfinished ? 'unfinished' : whyNotAgain(instance, now);
    if (reason !== undefined) return instance.stop(reason);
    this.park(instance, now);
    return undefined;
  }

  /** A lease ended while its server was started again. */
  #unwanted(instance: ServerInstance): undefined {
    if (instance.leases === 0 && instance.state === 'starting') this.#parts.waiting.endUnwantedStart(instance);
    return undefined;
  }

  #seatFree(): undefined {
    this.#parts.waiting.settle();
    return undefined;
  }
}
