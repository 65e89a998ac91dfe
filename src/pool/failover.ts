import { PoolError } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import { type Deferred, deferred } from '../runtime/deferred.js';
import type { EndReason } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Breakers } from './breakers.js';
import type { Fleet } from './fleet.js';
import type { Lease } from './lease.js';
import type { LeaseNews } from './lease-news.js';
import type { Lifecycle } from './lifecycle.js';
import type { News } from './pool-events.js';
import { isOpen, type OpenGroup } from './server-group.js';
import type { PoolMetrics } from './status.js';

/** What leases are to those that keep or end them. */
export interface LeaseHolders {
  of(instance: ServerInstance): Lease[];
}

export interface FailoverParts {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly lifecycle: Lifecycle;
  readonly breakers: Breakers;
  readonly leases: LeaseHolders;
  readonly news: News;
  readonly leaseNews: LeaseNews;
  readonly metrics: PoolMetrics;
  readonly maxProcesses: number;
  isOpen(): boolean;
}

/** An instance that is being replaced. */
interface Replacement {
  /** When the old process has ended. */
  readonly ended: Promise<void>;
  /** Resolved when it has had its time. */
  readonly late: Deferred<void>;
}

/** Keeps leases through the end of their process: after one that nobody asked for, and when it is to be replaced. */
export class Failover {
  readonly #parts: FailoverParts;
  /** What starts in the place of an instance, for as long as it starts: by the one that is replaced. */
  readonly #nexts = new WeakMap<ServerInstance, ServerInstance>();
  /** Whose leases an instance takes over, for as long as it starts. */
  readonly #predecessors = new WeakMap<ServerInstance, ServerInstance>();
  /** Replacements on their way, by the instance that goes. */
  readonly #replacements = new Map<ServerInstance, Replacement>();
  /** What ended unasked. */
  readonly #lost = new WeakSet<ServerInstance>();

  constructor(parts: FailoverParts) {
    this.#parts = parts;
  }

  /** Whether an instance starts to take the place of another. */
  isNext(instance: ServerInstance): boolean {
    return this.#predecessors.has(instance);
  }

  /** An instance ended unasked, or could not be started: its leases get another one, or end. */
  lost(instance: ServerInstance, error: PoolError): void {
    const { breakers, leases, news } = this.#parts;
    const counts = instance.leasesStay || (instance.pid !== undefined && !instance.answered);
    if (!counts) breakers.ending(instance);
    const outcome = counts ? breakers.failed(instance, error) : ({ restart: true, delay: 0 } as const);
    this.#lost.add(instance);
    const held = leases.of(instance);
    if (held.length === 0) return;
    const group = this.#groupFor(instance);
    if (!instance.leasesStay || group === undefined || !outcome.restart) {
      return this.#endLeases(instance, outcome.restart ? error : outcome.error);
    }
    // One that was to be replaced has its next on the way already.
    const next = this.#nexts.get(instance);
    const { name, id, pid, tenant } = instance;
    const delay = next ? 0 : Math.round(outcome.delay);
    news.emit('server:restarting', { name, instanceId: id, pid, tenant, error, delay, leases: held.length });
    // A listener may have ended all of them, or the pool, or may have removed the server.
    if (this.#groupFor(instance) === undefined) return this.#endLeases(instance, error);
    if (instance.leases === 0) return;
    if (next?.state === 'starting') this.#moveLeases(instance, next);
    else void this.#startHeir(this.#appointHeir(group, instance), outcome.delay);
  }

  /** An instance that can be used gets the leases of the one that it replaces; returns what tells of it. */
  takeOver(instance: ServerInstance): (() => void) | undefined {
    const predecessor = this.#predecessors.get(instance);
    if (predecessor === undefined) return undefined;
    const { news, leaseNews, leases, metrics } = this.#parts;
    this.#predecessors.delete(instance);
    if (this.#nexts.get(predecessor) === instance) this.#nexts.delete(predecessor);
    if (this.#lost.has(predecessor)) metrics.restarts += 1;
    this.#moveLeases(predecessor, instance);
    const { name, id, pid, tenant } = instance;
    const previousInstanceId = predecessor.id;
    const moved = { name, instanceId: id, pid, tenant, previousInstanceId, leases: instance.leases };
    return () => {
      news.emit('server:restarted', moved);
      for (const lease of leases.of(instance)) leaseNews.moved(lease, previousInstanceId);
    };
  }

  /**
   * Puts another process in the place of one whose leases stay: it is started first, where two may run at once; otherwise
   * new requests wait until the old one has finished what it has. What that has not finished after `timeout` ms is lost.
   * @returns when the old process has ended
   * @throws PoolError why the new one could not be started; if it was to be first, the old one serves its leases on
   */
  replace(instance: ServerInstance, reason: EndReason, timeout: number): Promise<void> {
    const known = this.#replacements.get(instance);
    if (known !== undefined) return this.#join(known, timeout);
    const late = deferred<void>();
    const ended = this.#replace(instance, reason, late.promise).finally(() => this.#replacements.delete(instance));
    const replacement = { ended, late };
    this.#replacements.set(instance, replacement);
    return this.#join(replacement, timeout);
  }

  /** The shortest time that somebody gives a replacement counts. */
  #join({ ended, late }: Replacement, timeout: number): Promise<void> {
    const timer = timeout < Infinity ? this.#parts.clock.after(timeout, late.resolve) : undefined;
    return ended.finally(() => timer?.cancel());
  }

  /** Whether the leases of an instance can go to another one of the definition as it is now. */
  canMove(instance: ServerInstance): boolean {
    return instance.definition.sharing === 'shared' && instance.leasesStay && this.#groupFor(instance) !== undefined;
  }

  /** Whether an instance is being replaced. */
  isReplaced(instance: ServerInstance): boolean {
    return this.#replacements.has(instance);
  }

  async #replace(instance: ServerInstance, reason: EndReason, late: Promise<void>): Promise<void> {
    if (instance.state === 'starting' && instance.pid === undefined) return this.#replaceHeir(instance, reason);
    // One that starts has leases only because it is itself the heir of another. One that runs is replaced in this tick,
    // so that callers who come now count on the new one.
    if (instance.state === 'starting') await instance.started;
    while (instance.state === 'ready' && instance.leases > 0) {
      const group = this.#groupFor(instance);
      if (group === undefined) break;
      if (!this.#parts.fleet.hasRoom(group, this.#parts.maxProcesses)) {
        return this.#replaceInPlace(group, instance, reason, late);
      }
      await this.#startNext(group, instance, reason);
    }
    // Its server was removed meanwhile, or shares in another way now: it ends with its last lease.
    if (instance.leases > 0) return void (await instance.ended);
    await Promise.race([instance.drained(), late]);
    await instance.stop(reason);
  }

  /** One that still waits for its time, after failures: the definition may be better now, and somebody asks for it. */
  async #replaceHeir(waiting: ServerInstance, reason: EndReason): Promise<void> {
    const group = this.#groupFor(waiting);
    if (group === undefined) return void (await waiting.ended);
    const heir = this.#appointHeir(group, waiting);
    void this.#startHeir(heir, 0);
    await waiting.stop(reason);
    await heir.started;
    if (heir.startError) throw heir.startError;
  }

  /** Starts the next one beside `instance`. Comes back without it when that was ended on purpose, by whomever. */
  async #startNext(group: OpenGroup, instance: ServerInstance, reason: EndReason): Promise<void> {
    let failure: PoolError | undefined;
    try {
      const next = this.#parts.lifecycle.appointNext(group, instance);
      // Known before anybody hears of it: a listener may end the old one.
      this.#nexts.set(instance, next);
      this.#predecessors.set(next, instance);
      this.#parts.lifecycle.launch(next);
      await next.started;
      failure = next.startError;
      this.#forget(next);
    } catch (error) {
      failure = error as PoolError;
    }
    this.#nexts.delete(instance);
    if (failure === undefined) return;
    // As good as ever: a definition that was not changed still describes it.
    const isDefined = instance.definition.key === this.#groupFor(instance)?.definition.key;
    if (reason === 'restart' && instance.retired === 'restart' && isDefined) {
      instance.retired = undefined;
      this.#parts.lifecycle.changed();
    }
    throw failure;
  }

  /** Two may not run at once: holds new requests, lets the old one finish, proves its end, starts the new one. */
  async #replaceInPlace(
    group: OpenGroup,
    instance: ServerInstance,
    reason: EndReason,
    late: Promise<void>,
  ): Promise<void> {
    instance.suspend();
    await Promise.race([instance.drained(), late]);
    if (instance.state === 'ready' && this.#groupFor(instance) && instance.leases > 0) {
      const heir = this.#appointHeir(group, instance);
      void this.#startHeir(heir, 0);
      await instance.stop(reason);
      await heir.started;
      if (heir.startError) throw heir.startError;
      return;
    }
    // It crashed, which gave it an heir; or nobody needs another.
    if (instance.state === 'ready') instance.resume();
    if (instance.leases === 0) await instance.stop(reason);
    await instance.ended;
  }

  /** An instance that gets the slot and the leases of another, as soon as that is proven dead. */
  #appointHeir(group: OpenGroup, predecessor: ServerInstance): ServerInstance {
    const heir = this.#parts.lifecycle.appointHeir(group, predecessor);
    // Whom it replaces is the one that served last, however many starts failed in between.
    this.#predecessors.set(heir, this.#predecessors.get(predecessor) ?? predecessor);
    this.#predecessors.delete(predecessor);
    this.#moveLeases(predecessor, heir);
    return heir;
  }

  /** Starts an heir when its time has come and the slot is free, unless it is ended before. */
  async #startHeir(heir: ServerInstance, delay: number): Promise<void> {
    const { clock, fleet, lifecycle, maxProcesses } = this.#parts;
    const due = deferred<void>();
    const timer = delay > 0 ? clock.after(delay, due.resolve) : due.resolve();
    await Promise.race([Promise.all([this.#slotOf(heir), due.promise]), heir.ended]);
    timer?.cancel();
    if (heir.state !== 'starting') return this.#forget(heir);
    const group = this.#groupFor(heir);
    const { name } = heir;
    if (group === undefined) {
      return this.#giveUp(
        heir,
        new PoolError('SERVER_STOPPED', `server '${name}' was not started again: it was removed`, { name }),
      );
    }
    const predecessor = fleet.predecessorOf(heir);
    if (predecessor === undefined) return lifecycle.launch(heir);
    // What could not be ended keeps its slot.
    if (fleet.hasRoom(group, maxProcesses)) {
      fleet.disinherit(group, predecessor);
      return lifecycle.launch(heir);
    }
    const { pid } = predecessor;
    const message = `server '${name}' was not started again: process ${pid} could not be ended and keeps its slot`;
    this.#giveUp(heir, new PoolError('SERVER_EXITED', message, { name, pid }));
  }

  /** An heir is not started. */
  #giveUp(heir: ServerInstance, error: PoolError): void {
    heir.startError = error;
    this.#endLeases(heir, error);
    void heir.stop('unwanted');
    this.#forget(heir);
  }

  #endLeases(instance: ServerInstance, error: PoolError): void {
    for (const lease of this.#parts.leases.of(instance)) lease.end({ asked: false, error: () => error });
  }

  /** Resolves when an heir has its slot, or cannot get it. */
  async #slotOf(heir: ServerInstance): Promise<void> {
    const { fleet } = this.#parts;
    for (;;) {
      const predecessor = fleet.predecessorOf(heir);
      if (predecessor === undefined || predecessor.state === 'quarantined') return;
      await predecessor.ended;
    }
  }

  #forget(heir: ServerInstance): void {
    this.#predecessors.delete(heir);
  }

  #moveLeases(from: ServerInstance, to: ServerInstance): void {
    for (const lease of this.#parts.leases.of(from)) lease.moveTo(to);
    this.#parts.fleet.removeShared(from);
  }

  /** The group of an instance, if another one of it may have its leases. */
  #groupFor({ name, definition }: ServerInstance): OpenGroup | undefined {
    const group = this.#parts.fleet.group(name);
    if (!isOpen(group) || !this.#parts.isOpen()) return undefined;
    const { sharing, reuse } = group.definition;
    return sharing === definition.sharing && reuse === definition.reuse ? group : undefined;
  }
}
