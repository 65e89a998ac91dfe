import type { Clock } from '../config/clock.js';
import type { HostHold } from '../config/host-hold.js';
import type { ResolvedPoolOptions } from '../config/options.js';
import { PoolError } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { SessionEnd } from '../protocol/session.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Breakers } from './breakers.js';
import { Dispatcher } from './dispatcher.js';
import type { Fleet } from './fleet.js';
import { Lease, type LeaseHost } from './lease.js';
import type { LeaseNews } from './lease-news.js';
import type { Lifecycle } from './lifecycle.js';
import { aborted, acquireTimeout, queueFull } from './refusals.js';
import { whyNotAgain } from './reuse.js';
import {
  isOpen,
  isOverLimit,
  leastLoaded,
  type OpenGroup,
  readyFor,
  type ServerGroup,
  seatsFor,
  startsFor,
} from './server-group.js';
import { type GiveUpReason, type LeaseRequest, type Waiter, WaitQueue } from './wait-queue.js';
import { kind, kindOf, reuseKey, SPARE, type Whose } from './whose.js';

export interface LeaseDeskParts {
  readonly options: ResolvedPoolOptions;
  readonly clock: Clock;
  readonly hold: HostHold;
  readonly fleet: Fleet;
  readonly news: LeaseNews;
  readonly lifecycle: Lifecycle;
  readonly breakers: Breakers;
  readonly timekeeper: Timekeeper;
}

/** Who sees to what falls due later. */
export interface Timekeeper {
  /** An instance became idle. */
  parked(instance: ServerInstance): void;
  /** Something falls due at clock time `at`. */
  wakeAt(at: number): void;
  /** A caller is kept waiting by a limit: leases that are silent may have to be taken back. */
  reclaimSilent(): void;
  /** Nobody waits: there may be room for spare instances. */
  fillUp(): void;
}

/** Gives leases out and takes them back: from an idle instance, or in order of arrival from the wait queue. */
export class LeaseDesk {
  /** The leases that are held, by their number. */
  readonly leases = new Map<number, Lease>();
  readonly queue: WaitQueue;
  readonly news: LeaseNews;
  readonly #parts: LeaseDeskParts;
  readonly #dispatcher: Dispatcher;
  readonly #leaseHost: LeaseHost;
  #open = true;

  constructor(parts: LeaseDeskParts) {
    this.#parts = parts;
    this.news = parts.news;
    const { hold } = parts;
    this.#leaseHost = { hold, clock: parts.clock, leaseEnded: (lease, end) => this.#leaseEnded(lease, end) };
    const { options, clock, fleet, lifecycle, breakers } = parts;
    this.queue = new WaitQueue(clock, (waiter, why, reject) => this.#giveUp(waiter, why, reject));
    this.#dispatcher = new Dispatcher(fleet, clock, this.queue, options.limits.maxProcesses, {
      lend: (waiter, group) => this.#serve(waiter, group),
      refusal: (waiter) => breakers.refusal(waiter.kind, waiter.name),
      start: (group, whose) => lifecycle.start(group, whose),
      evict: (instance) => void instance.stop('evicted'),
      reject: (waiter, error) => this.reject(waiter, error),
    });
  }

  /** A lease on an instance that can be used now. This is the warm path: no promise, no wait, no walk through a queue. */
  acquireFree(group: OpenGroup, request: LeaseRequest, stack: string | undefined): Lease | undefined {
    // Nobody goes before those who wait for a seat on a shared server.
    if (group.definition.sharing === 'shared' && this.queue.count(kindOf(group.definition, request)) > 0)
      return undefined;
    const instance = this.#takeFree(group, request);
    if (instance === undefined) return undefined;
    const lease = this.#lend(instance, request, stack);
    this.news.acquired(lease, 0);
    if (group.definition.minIdle > 0) this.settle();
    return lease;
  }

  /** An instance that nobody uses: serves the next waiter, or is idle from now on. */
  park(instance: ServerInstance, now = this.#parts.clock.now()): void {
    const { fleet, timekeeper } = this.#parts;
    const group = fleet.group(instance.name);
    if (group === undefined) return;
    if (instance.leases > 0) {
      if (instance.definition.sharing === 'shared') fleet.addShared(instance);
      return this.settle();
    }
    if (isOverLimit(group)) return void instance.stop('surplus');
    instance.idleSince = now;
    fleet.park(group, instance);
    timekeeper.parked(instance);
    this.settle();
  }

  /** Something has changed: serves whom it can, then fills up to the minimum what nobody needs. */
  settle(): void {
    if (!this.#open) return;
    const { timekeeper } = this.#parts;
    this.#dispatcher.run();
    if (this.queue.size > 0) timekeeper.reclaimSilent();
    else timekeeper.fillUp();
  }

  /** The definition of a server was changed: what holds for its waiters and its processes may have changed with it. */
  redefined(group: OpenGroup): void {
    const { definition } = group;
    const { timekeeper } = this.#parts;
    this.queue.rename(group.name, (waiter) => kindOf(definition, waiter));
    for (const instance of group.instances)
      if (instance.definition.key === definition.key) instance.definition = definition;
    for (const idle of [...group.idle.values()].flat()) {
      if (isOverLimit(group)) void idle.stop('surplus');
      else timekeeper.parked(idle);
    }
  }

  /** Starts that would be called off for callers who need their slots. */
  surplusStarts(): ServerInstance[] {
    return [...this.#dispatcher.surplusStarts()];
  }

  /** Serves nobody any more, and rejects those who wait; returns how many. */
  close(error: PoolError): number {
    this.#open = false;
    return this.rejectAll(
      () => true,
      () => error,
    );
  }

  reject(waiter: Waiter, error: PoolError): void {
    waiter.reject(error);
    this.news.rejected(waiter, this.#waited(waiter), error);
    this.#endUnwantedStart(waiter);
  }

  rejectAll(matches: (waiter: Waiter) => boolean, error: (waiter: Waiter) => PoolError): number {
    const rejected = [...this.queue].filter(matches);
    for (const waiter of rejected) this.reject(waiter, error(waiter));
    return rejected.length;
  }

  /** Releases all leases, and gives up all waiting calls, of those that match; returns how many leases. */
  releaseAll(matches: (whose: Whose) => boolean, why: string): number {
    this.rejectAll(matches, (waiter) => aborted(waiter, this.#waited(waiter), why));
    return [...this.leases.values()].filter((lease) => matches(lease) && lease.release()).length;
  }

  /** Takes a lease from its holder. */
  reclaim(lease: Lease, why: string): void {
    this.news.reclaimed(lease, this.#parts.clock.now());
    const message = `the lease ${lease.id} on server '${lease.name}' was taken back: ${why}`;
    const data = { name: lease.name, leaseId: lease.id, instanceId: lease.instanceId };
    lease.end({ asked: false, error: () => new PoolError('LEASE_RECLAIMED', message, data) });
  }

  /** A start failed on which `seats` callers counted: those who waited longest get its error, unless other starts have room. */
  startFailed(group: ServerGroup, key: string, seats: number, error: PoolError): void {
    if (!isOpen(group)) return;
    const failed = kind(group.name, key);
    const count = Math.min(seats, this.queue.count(failed) - seatsFor(group, key));
    if (count <= 0) return;
    const waiters = [...this.queue].filter((waiter) => waiter.kind === failed);
    for (const waiter of waiters.slice(0, count)) this.reject(waiter, error);
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

  /**
   * A lease in the order of arrival. Not async: callers must learn of their leases in the order in which these are given
   * out, and each step between that and the caller's own promise could change it.
   * @throws PoolError `QUEUE_FULL`
   */
  wait(group: OpenGroup, request: LeaseRequest, stack: string | undefined): Promise<Lease> {
    const { maxWaiting } = this.#parts.options;
    const key = reuseKey(group.definition, request);
    if (this.#waitingForOthers() >= maxWaiting && !this.#canStart(group, key)) {
      const error = queueFull(group.name, maxWaiting);
      this.news.rejected({ ...request, name: group.name }, 0, error);
      throw error;
    }
    const { waiter, lease } = this.queue.add(request, { name: group.name, kind: kind(group.name, key), stack });
    this.settle();
    if (this.queue.has(waiter)) this.#tellWaiting(waiter);
    return lease;
  }

  /** Callers that no start is on its way to. */
  #waitingForOthers(): number {
    const { fleet } = this.#parts;
    let waiting = 0;
    for (const [kind, count] of this.queue.kinds()) waiting += Math.max(0, count - fleet.seatsForKind(kind));
    return waiting;
  }

  /** Whether a caller would get a start of its own, so that it does not wait for others. */
  #canStart(group: OpenGroup, key: string): boolean {
    const { fleet, options } = this.#parts;
    if (seatsFor(group, key) > this.queue.count(kind(group.name, key))) return true;
    return fleet.hasRoom(group, options.limits.maxProcesses);
  }

  #tellWaiting(waiter: Waiter): void {
    const { options, fleet } = this.#parts;
    const { name, blockedBy } = waiter;
    waiter.announced = true;
    this.news.waiting(waiter, this.queue.size);
    if (blockedBy === undefined) return;
    const maxInstances = fleet.group(name)?.definition?.maxInstances ?? 0;
    const value = blockedBy === 'maxInstances' ? maxInstances : options.limits.maxProcesses;
    this.news.limitReached({ name, limit: blockedBy, value });
  }

  #serve(waiter: Waiter, group: OpenGroup): void {
    const instance = this.#takeFree(group, waiter);
    if (instance === undefined) return;
    const waited = this.#waited(waiter);
    const lease = this.#lend(instance, waiter, waiter.stack);
    // The caller has its lease before anybody is told, so that nothing a listener does can lose it.
    waiter.resolve(lease);
    this.news.served(waiter, waited);
    this.news.acquired(lease, waited);
  }

  #lend(instance: ServerInstance, whose: Whose, stack: string | undefined): Lease {
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
    if (instance.state !== 'ready' || !this.#open) return instance.ended;
    if (!isLast) return this.#seatFree();
    const reason = unfinished ? 'unfinished' : whyNotAgain(instance, now);
    if (reason !== undefined) return instance.stop(reason);
    this.park(instance, now);
    return undefined;
  }

  /** A lease ended while its server was started again. */
  #unwanted(instance: ServerInstance): undefined {
    if (instance.leases === 0 && instance.state === 'starting') this.#endUnwantedStart(instance);
    return undefined;
  }

  #seatFree(): undefined {
    this.settle();
    return undefined;
  }

  #giveUp(waiter: Waiter, why: GiveUpReason, reject: (error: PoolError) => void): void {
    const { fleet } = this.#parts;
    const group = fleet.group(waiter.name);
    if (!isOpen(group)) return reject(aborted(waiter, this.#waited(waiter), 'its server was removed'));
    const key = reuseKey(group.definition, waiter);
    const starting = waiter.blockedBy === undefined ? startsFor(group, key)[0] : undefined;
    const error =
      why === 'timeout'
        ? acquireTimeout(waiter, group, starting?.errorData(), this.#waited(waiter))
        : aborted(waiter, this.#waited(waiter), 'its signal was aborted', why.abortedBy);
    // The caller knows before anybody is told, so that whom a listener serves is never served before it.
    reject(error);
    this.news.rejected(waiter, this.#waited(waiter), error);
    this.#endUnwantedStart(waiter);
    this.settle();
  }

  /** A start belongs to the pool and serves the next waiter; when there is none, and no minimum asks for it, it ends. */
  #endUnwantedStart(whose: Whose & { readonly name: string }): void {
    const { fleet, lifecycle } = this.#parts;
    const group = fleet.group(whose.name);
    // A shutdown ends all starts itself.
    if (!isOpen(group) || !this.#open) return;
    const key = reuseKey(group.definition, whose);
    const isSpare = key === reuseKey(group.definition, SPARE);
    const missing = isSpare ? Math.max(0, group.definition.minIdle - readyFor(group, key)) : 0;
    lifecycle.endUnwantedStart(group, key, this.queue.count(kind(group.name, key)), missing);
  }

  #waited(waiter: { readonly since: number }): number {
    return Math.round(this.#parts.clock.now() - waiter.since);
  }
}
