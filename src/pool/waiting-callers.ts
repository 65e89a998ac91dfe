import type { ResolvedPoolOptions } from '../config/options.js';
import type { PoolError } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Breakers } from './breakers.js';
import { Dispatcher } from './dispatcher.js';
import type { Fleet } from './fleet.js';
import type { Lease } from './lease.js';
import type { LeaseNews } from './lease-news.js';
import type { Lifecycle } from './lifecycle.js';
import { aborted, acquireTimeout, queueFull } from './refusals.js';
import { isOpen, type OpenGroup, readyFor, type ServerGroup, seatsFor, startsFor } from './server-group.js';
import { type GiveUpReason, type LeaseRequest, type Waiter, WaitQueue } from './wait-queue.js';
import { kind, reuseKey, SPARE, type Whose } from './whose.js';

/** What the rest of the pool does for callers that wait. */
export interface WaitingHost {
  /** A lease on an instance that is idle, or shared and has room. */
  lend(group: OpenGroup, whose: Whose, stack: string | undefined): Lease | undefined;
  /** A caller is kept waiting by a limit: leases that are silent may have to be taken back. */
  reclaimSilent(): void;
  /** Nobody waits: there may be room for spare instances. */
  fillUp(): void;
}

export interface WaitingParts {
  readonly options: ResolvedPoolOptions;
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly news: LeaseNews;
  readonly lifecycle: Lifecycle;
  readonly breakers: Breakers;
  readonly host: WaitingHost;
}

/** Callers that cannot have a server at once: each waits, is served in order of arrival, or is told why it is not. */
export class WaitingCallers {
  readonly queue: WaitQueue;
  readonly #parts: WaitingParts;
  readonly #dispatcher: Dispatcher;
  #open = true;

  constructor(parts: WaitingParts) {
    this.#parts = parts;
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

  /** Whether anybody is served; false once the pool ends. */
  get isOpen(): boolean {
    return this.#open;
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
      this.#parts.news.rejected({ ...request, name: group.name }, 0, error);
      throw error;
    }
    const { waiter, lease } = this.queue.add(request, { name: group.name, kind: kind(group.name, key), stack });
    this.settle();
    if (this.queue.has(waiter)) this.#tellWaiting(waiter);
    return lease;
  }

  /** Something has changed: serves whom it can, then fills up to the minimum what nobody needs. */
  settle(): void {
    if (!this.#open) return;
    const { host } = this.#parts;
    this.#dispatcher.run();
    if (this.queue.size > 0) host.reclaimSilent();
    else host.fillUp();
  }

  reject(waiter: Waiter, error: PoolError): void {
    waiter.reject(error);
    this.#parts.news.rejected(waiter, this.#waited(waiter), error);
    this.endUnwantedStart(waiter);
  }

  rejectAll(matches: (waiter: Waiter) => boolean, error: (waiter: Waiter) => PoolError): number {
    const rejected = [...this.queue].filter(matches);
    for (const waiter of rejected) this.reject(waiter, error(waiter));
    return rejected.length;
  }

  /** Gives up all calls of those that match. */
  abortAll(matches: (whose: Whose) => boolean, why: string): void {
    this.rejectAll(matches, (waiter) => aborted(waiter, this.#waited(waiter), why));
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

  /** A start belongs to the pool and serves the next waiter; when there is none, and no minimum asks for it, it ends. */
  endUnwantedStart(whose: Whose & { readonly name: string }): void {
    const { fleet, lifecycle } = this.#parts;
    const group = fleet.group(whose.name);
    // A shutdown ends all starts itself.
    if (!isOpen(group) || !this.#open) return;
    const key = reuseKey(group.definition, whose);
    const isSpare = key === reuseKey(group.definition, SPARE);
    const missing = isSpare ? Math.max(0, group.definition.minIdle - readyFor(group, key)) : 0;
    lifecycle.endUnwantedStart(group, key, this.queue.count(kind(group.name, key)), missing);
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
    this.#parts.news.waiting(waiter, this.queue.size);
    if (blockedBy === undefined) return;
    const maxInstances = fleet.group(name)?.definition?.maxInstances ?? 0;
    const value = blockedBy === 'maxInstances' ? maxInstances : options.limits.maxProcesses;
    this.#parts.news.limitReached({ name, limit: blockedBy, value });
  }

  #serve(waiter: Waiter, group: OpenGroup): void {
    const lease = this.#parts.host.lend(group, waiter, waiter.stack);
    if (lease === undefined) return;
    const waited = this.#waited(waiter);
    // The caller has its lease before anybody is told, so that nothing a listener does can lose it.
    waiter.resolve(lease);
    this.#parts.news.served(waiter, waited);
    this.#parts.news.acquired(lease, waited);
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
    this.#parts.news.rejected(waiter, this.#waited(waiter), error);
    this.endUnwantedStart(waiter);
    this.settle();
  }

  #waited(waiter: { readonly since: number }): number {
    return Math.round(this.#parts.clock.now() - waiter.since);
  }
}
