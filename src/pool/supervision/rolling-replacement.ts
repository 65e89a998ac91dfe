import { baseOf } from '../../config/variant.js';
import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import type { Operations } from '../../server/instance-context.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry } from '../instances/server-entry.js';
import { tenantRoom } from '../instances/tenant-limit.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { serverEvent } from '../server-event.js';
import type { CrashRecovery } from './crash-recovery.js';
import type { InstanceSupervisor } from './instance-supervisor.js';
import type { StartTurns } from './start-turns.js';

/** Longest time that a shared instance gets to finish its requests when it is replaced, in ms. The host may allow less. */
export const REPLACEMENT_TIMEOUT = 30_000;

export interface RollingReplacementDeps {
  readonly operations: Operations;
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly emitter: PoolEmitter;
  readonly keepAlive: KeepAlive;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly recovery: CrashRecovery;
  readonly supervisor: InstanceSupervisor;
  readonly turns: StartTurns;
}

/** An instance that is being replaced. */
interface Replacement {
  /** Resolves when the old process has ended. */
  readonly ended: Promise<void>;
  /** Resolved when the time that its requests get is over. */
  readonly late: Deferred<void>;
  /** The shortest of these times, ms. */
  drain: number;
}

/**
 * Takes instances out of service: those without a lease end now, shared ones are replaced and their leases move, the others end
 * with their leases, which are taken back after the drain timeout.
 */
export class RollingReplacement {
  readonly #deps: RollingReplacementDeps;
  /** Replacements that are under way, by the old instance. */
  readonly #replacements = new Map<PooledInstance, Replacement>();

  constructor(deps: RollingReplacementDeps) {
    this.#deps = deps;
  }

  /** Whether it is being replaced, and its requests get no longer than `drain` ms for that. */
  isReplacing(instance: PooledInstance, drain = Infinity): boolean {
    const known = this.#replacements.get(instance);
    return known !== undefined && known.drain <= drain;
  }

  /**
   * Resolves when all have ended. Keeps the host alive, unless it waits for a lease without a drain timeout: then only the
   * host can go on.
   * @param drain how long requests get when their leases move, ms; at most `timeout`
   * @throws PoolError the error because of which an instance that was to take over shared leases could not be started
   */
  async retire(
    instances: readonly PooledInstance[],
    reason: EndReason,
    timeout: number,
    drain = REPLACEMENT_TIMEOUT,
  ): Promise<void> {
    const { clock, dueTimes, operations } = this.#deps;
    const old = instances.filter((instance) => reason !== 'restart' || !this.isFresh(instance));
    const late = newDue(() => this.#takeBack(old, reason, timeout));
    const ends = operations.run(() => {
      dueTimes.set(late, clock.now() + timeout);
      for (const instance of old) this.#deps.fleet.retire(instance, reason);
      return old.map((instance) => this.#end(instance, reason, timeout, drain));
    });
    // Not Promise.all: all ends must be awaited, even if one replacement fails.
    const outcomes = await Promise.allSettled(ends);
    dueTimes.delete(late);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** A process that has just been started as a replacement need not be restarted, nor a start that waits for its turn. */
  isFresh(instance: PooledInstance): boolean {
    const { recovery, turns } = this.#deps;
    return turns.isWaiting(instance) || (instance.pid !== undefined && recovery.isSuccessor(instance));
  }

  /** Whether the leases of an instance can move to an instance of the definition of now. */
  canMove(instance: PooledInstance): boolean {
    return instance.sharing === 'shared' && instance.leasesStay && this.#deps.recovery.entryFor(instance) !== undefined;
  }

  #end(instance: PooledInstance, reason: EndReason, timeout: number, drain: number): Promise<unknown> {
    const { emitter, keepAlive } = this.#deps;
    const isFree = instance.leases === 0;
    const moves = !isFree && reason !== 'removed' && this.canMove(instance);
    // Also while it is being replaced: its leases cannot move any more, so the replacement waits for their end.
    if (!isFree && !moves) emitter.emit('server:draining', { ...serverEvent(instance), reason, timeout });
    if (moves || this.#replacements.has(instance)) {
      const replaced = keepAlive.during(this.#replace(instance, reason, Math.min(timeout, drain)));
      // A restart that was under way may fail; a removal is complete when the old process has ended all the same.
      return reason === 'removed' ? replaced.catch(() => instance.ended) : replaced;
    }
    if (isFree) return keepAlive.during(instance.stop(reason));
    return timeout < Infinity ? keepAlive.during(instance.ended) : this.drained(instance);
  }

  /**
   * Resolves when an instance has ended. Keeps the host alive as soon as no lease is left, since the pool goes on by itself.
   * Reading `ended` of a lease has an effect: when that lease ends, the host is kept alive until its process has ended.
   */
  async drained(instance: PooledInstance): Promise<void> {
    const { keepAlive, leases } = this.#deps;
    const released = leases.of(instance).map(({ ended }) => ended);
    await Promise.race([instance.ended, Promise.all(released)]);
    await keepAlive.during(instance.ended);
  }

  /** The drain timeout is over: takes back the leases that cannot move. */
  #takeBack(instances: readonly PooledInstance[], reason: EndReason, timeout: number): void {
    const { clock, leases } = this.#deps;
    const did = reason === 'restart' ? 'restarted' : reason;
    const why = `its server was ${did}, and the drain timeout of ${timeout} ms is over`;
    const staying = instances.filter((instance) => !this.canMove(instance));
    for (const lease of staying.flatMap((instance) => leases.of(instance))) leases.reclaim(lease, clock.now(), why);
  }

  /**
   * Replaces an instance and keeps its leases. If there is room for two, the new one is started first. Otherwise new requests
   * wait until the old one has ended. Requests that the old one has not finished after `timeout` ms are lost.
   */
  #replace(instance: PooledInstance, reason: EndReason, timeout: number): Promise<void> {
    const known = this.#replacements.get(instance);
    if (known !== undefined) return this.#join(known, timeout);
    const late = deferred<void>();
    const ended = this.#run(instance, reason, late.promise).finally(() => this.#replacements.delete(instance));
    const replacement = { ended, late, drain: timeout };
    this.#replacements.set(instance, replacement);
    return this.#join(replacement, timeout);
  }

  /** Of several calls for the same replacement, the shortest timeout counts. */
  #join(replacement: Replacement, timeout: number): Promise<void> {
    const { ended, late } = replacement;
    replacement.drain = Math.min(replacement.drain, timeout);
    const timer = timeout < Infinity ? this.#deps.clock.after(timeout, late.resolve) : undefined;
    return ended.finally(() => timer?.cancel());
  }

  async #run(instance: PooledInstance, reason: EndReason, late: Promise<void>): Promise<void> {
    const { fleet, recovery } = this.#deps;
    if (instance.state === 'starting' && instance.pid === undefined) return this.#replacePending(instance, reason);
    // An instance that starts has leases only if it is a successor itself. One that runs is replaced in this tick, so that
    // new callers wait for the new one.
    if (instance.state === 'starting') await instance.started;
    while (instance.state === 'ready' && instance.leases > 0) {
      const entry = recovery.entryFor(instance);
      if (entry === undefined) break;
      const hasRoom = fleet.hasRoom(entry) && tenantRoom(fleet, entry, instance.tenant) === 'free';
      const mayStart = hasRoom && fleet.gate.dependencies.allows(entry, instance.tenant);
      if (!mayStart) return this.#replaceInPlace(entry, instance, reason, late);
      await this.#startNext(entry, instance, reason);
    }
    // Its server was removed, or is shared in another way now: the leases cannot move, so it ends with the last of them.
    if (instance.leases > 0) return void (await instance.ended);
    await Promise.race([instance.drained(), late]);
    await instance.stop(reason);
  }

  /** Replaces a successor that waits for its backoff by one that starts now: the new definition may be better. */
  async #replacePending(pending: PooledInstance, reason: EndReason): Promise<void> {
    const entry = this.#deps.recovery.entryFor(pending);
    if (entry === undefined) return void (await pending.ended);
    await this.#succeed(entry, pending, reason);
  }

  /** Without room for two: suspends new requests, lets the old one finish, proves its death, starts the new one. */
  async #replaceInPlace(
    entry: OpenEntry,
    instance: PooledInstance,
    reason: EndReason,
    late: Promise<void>,
  ): Promise<void> {
    instance.suspend();
    await Promise.race([instance.drained(), late]);
    if (instance.state === 'ready' && this.#deps.recovery.entryFor(instance) && instance.leases > 0) {
      return this.#succeed(entry, instance, reason);
    }
    // It has crashed and has a successor, or its leases have ended.
    if (instance.state === 'ready') instance.resume();
    if (instance.leases === 0) await instance.stop(reason);
    await instance.ended;
  }

  /** Appoints a successor, ends the instance, and waits until the successor has started. */
  async #succeed(entry: OpenEntry, instance: PooledInstance, reason: EndReason): Promise<void> {
    const { operations, recovery } = this.#deps;
    const { ended, successor } = operations.run(() => ({
      successor: recovery.appointSuccessor(entry, instance, 0),
      ended: instance.stop(reason),
    }));
    await ended;
    await successor.started;
    if (successor.startError) throw successor.startError;
  }

  /** Starts the next one beside `instance`. Returns normally, too, when the next one was ended on purpose during its start. */
  async #startNext(entry: OpenEntry, instance: PooledInstance, reason: EndReason): Promise<void> {
    const { operations, recovery, supervisor } = this.#deps;
    let failure: PoolError | undefined;
    try {
      const next = operations.run(() => {
        const appointed = supervisor.admitNext(entry, instance);
        // Before the launch, which may fail at once.
        recovery.appointNext(instance, appointed);
        supervisor.launch(appointed);
        return appointed;
      });
      await next.started;
      failure = next.startError;
    } catch (error) {
      failure = error as PoolError;
    }
    recovery.forgetNext(instance);
    if (failure === undefined) return;
    operations.run(() => this.#serveOn(instance, reason));
    throw failure;
  }

  /** The replacement failed. The old instance may be leased again, if its definition is still the current one. */
  #serveOn(instance: PooledInstance, reason: EndReason): void {
    const { fleet, recovery } = this.#deps;
    const isDefined = baseOf(instance.definition) === recovery.entryFor(instance)?.definition;
    const isRevocable = END_MEANING[reason].revocable && instance.retired === reason;
    if (isDefined && isRevocable) fleet.unretire(instance);
  }
}
