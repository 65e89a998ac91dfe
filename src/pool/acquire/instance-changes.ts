import type { PoolError, ServerNames } from '../../errors.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { ExitInfo } from '../../process/launcher.js';
import type { DroppedOutput } from '../../protocol/channels/noise.js';
import type { ToolChanges } from '../../protocol/mux/tool-list.js';
import type { Clock } from '../../runtime/clock.js';
import { type Due, type DueTimes, newDue } from '../../runtime/due-times.js';
import type { EndReason } from '../../server/end-reason.js';
import type { InstanceObserver, Operations } from '../../server/instance-context.js';
import { isPublished } from '../event-channels.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { IdleWatch } from '../instances/idle-watch.js';
import type { ScopeLabels } from '../instances/lease-scope.js';
import { PooledInstance } from '../instances/pooled-instance.js';
import { ownFault } from '../refusals.js';
import { serverEvent } from '../server-event.js';
import type { InstanceSupervisor } from '../supervision/instance-supervisor.js';
import type { Starts } from './starts.js';

export interface InstanceChangesDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly emitter: PoolEmitter;
  readonly fleet: Fleet;
  readonly idleWatch: IdleWatch;
  readonly supervisor: InstanceSupervisor;
  readonly starts: Starts;
}

/** Time after which the pool tries again to end a quarantined tree, in ms. */
const QUARANTINE_INTERVAL = 30_000;

/** Handles what happens to the instances of a pool. Each change is an operation of the scheduler. */
export class InstanceChanges implements InstanceObserver<PooledInstance> {
  readonly #operations: Operations;
  readonly #deps: InstanceChangesDeps;

  constructor(operations: Operations, deps: InstanceChangesDeps) {
    this.#operations = operations;
    this.#deps = deps;
  }

  run<T>(operation: () => T): T {
    return this.#operations.run(operation);
  }

  onReady(instance: PooledInstance): void {
    const { clock, fleet, idleWatch, supervisor } = this.#deps;
    supervisor.ready(instance);
    if (instance.leases === 0) return idleWatch.park(instance, clock.now());
    const leaseClass = fleet.classOf(instance);
    if (leaseClass && instance.sharing === 'shared') fleet.addShared(leaseClass, instance);
  }

  onStartFailed(instance: PooledInstance, error: PoolError): void {
    this.#deps.starts.failed(instance, error);
  }

  onStopping(instance: PooledInstance, reason: EndReason): void {
    this.#deps.supervisor.stopping(instance, reason);
    this.#deps.starts.spareEnded(instance, reason);
  }

  onExited(instance: PooledInstance, exit: ExitInfo, unexpected: boolean): void {
    this.#deps.supervisor.exited(instance, exit, unexpected);
  }

  onLost(instance: PooledInstance, error: PoolError, reason: EndReason): void {
    this.#deps.supervisor.lost(instance, error, reason);
  }

  onStopped(instance: PooledInstance, report: CleanupReport | undefined): void {
    this.#deps.idleWatch.forget(instance);
    this.#deps.supervisor.stopped(instance, report);
  }

  onQuarantined(instance: PooledInstance, report: CleanupReport): void {
    this.#deps.supervisor.quarantined(instance, report);
    const look: Due = newDue((now) => this.#recheck(instance, look, now), instance);
    this.#deps.dueTimes.set(look, this.#deps.clock.now() + QUARANTINE_INTERVAL);
  }

  isAwaited({ leases, leasesStay }: PooledInstance): boolean {
    return leasesStay && leases > 0;
  }

  onUndeclared(instance: PooledInstance, capabilities: readonly string[]): void {
    this.#deps.supervisor.undeclared(instance, capabilities);
  }

  onToolsChanged(instance: PooledInstance, changes: ToolChanges): void {
    this.#deps.emitter.emit('tools:changed', { ...serverEvent(instance), ...changes });
  }

  onInternalError(instance: PooledInstance, error: PoolError): void {
    this.#deps.emitter.emit('internal:error', { ...serverEvent(instance), error });
  }

  /** A fault of this library in what was due. It ends the instance that it concerns, if there is one. */
  onDueFault(fault: unknown, about: object | undefined): void {
    if (about instanceof PooledInstance) about.fault(fault);
    else this.#deps.emitter.emit('internal:error', { error: ownFault(fault) });
  }

  /** A fault of this library while a caller is given up. Returns the error for the caller. */
  onCallFault(fault: unknown, caller: ScopeLabels & ServerNames): PoolError {
    const { name, tenant } = caller;
    const error = ownFault(fault, caller);
    this.#deps.emitter.emit('internal:error', { name, tenant, error });
    return error;
  }

  onNoise(instance: PooledInstance, dropped: DroppedOutput): void {
    this.#deps.emitter.emit('server:noise', { ...serverEvent(instance), ...dropped });
  }

  onStderrLine(instance: PooledInstance, line: string): void {
    this.#deps.emitter.emit('server:stderr', { ...serverEvent(instance), line });
  }

  wantsStderr(): boolean {
    return this.#deps.emitter.listenerCount('server:stderr') > 0 || isPublished('server:stderr');
  }

  /** A quarantined tree may be dead by now, for example because a hung file system answers again. */
  #recheck(instance: PooledInstance, look: Due, now: number): void {
    if (instance.state !== 'quarantined') return;
    // First: after a fault it is looked at again, too.
    this.#deps.dueTimes.set(look, now + QUARANTINE_INTERVAL);
    void instance.recheck();
  }
}
