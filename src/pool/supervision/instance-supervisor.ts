import type { PoolError } from '../../errors.js';
import type { MonitorLoop } from '../../monitor/monitor-loop.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { ExitInfo } from '../../process/launcher.js';
import type { Clock } from '../../runtime/clock.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import type { InstanceContext, InstanceObserver } from '../../server/instance-context.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import type { PoolCounts } from '../metrics.js';
import { poolClosed, undeclared } from '../refusals.js';
import { serverEvent } from '../server-event.js';
import type { Breakers } from './breakers.js';
import type { CrashRecovery } from './crash-recovery.js';
import type { InstanceWatches } from './instance-watches.js';
import type { StartTurns } from './start-turns.js';

export interface InstanceSupervisorDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly breakers: Breakers;
  readonly leases: LeaseManager;
  readonly recovery: CrashRecovery;
  readonly turns: StartTurns;
  readonly counts: PoolCounts;
  readonly emitter: PoolEmitter;
  readonly context: InstanceContext;
  readonly monitorLoop: MonitorLoop;
  readonly watches: InstanceWatches;
  readonly packages: { prepare(instance: PooledInstance): boolean };
  readonly cleanups: { add(report: CleanupReport): void };
}

/**
 * Starts instances, and updates fleet, breakers and leases when something happens to them. What follows for waiting callers,
 * the scheduler decides.
 */
export class InstanceSupervisor {
  readonly #deps: InstanceSupervisorDeps;
  /** Starts that no caller asked for: of `warm()`, `minIdle` and replacements. */
  readonly #spares = new WeakSet<PooledInstance>();

  constructor(deps: InstanceSupervisorDeps) {
    this.#deps = deps;
  }

  /**
   * Takes a slot for an instance, if its breaker allows a start. To be launched in this tick.
   * @param observer is called for it, and for its successors
   * @throws PoolError `BREAKER_OPEN`, `POOL_CLOSED`
   */
  admit(entry: OpenEntry, scope: LeaseScope, observer: InstanceObserver<PooledInstance>): PooledInstance {
    return this.#addStart(entry, new PooledInstance(entry.definition, scope, this.#deps.context, observer));
  }

  /**
   * The same for an instance that takes over the sessions of `instance`, which serves them until then.
   * @throws PoolError `BREAKER_OPEN`, `POOL_CLOSED`
   */
  admitNext(entry: OpenEntry, instance: PooledInstance): PooledInstance {
    const next = this.#addStart(entry, instance.successor(entry.definition));
    this.markSpare(next);
    return next;
  }

  /** No caller asked for this start, so it is not ended when no caller waits. */
  markSpare(instance: PooledInstance): void {
    this.#spares.add(instance);
  }

  isSpare(instance: PooledInstance): boolean {
    return this.#spares.has(instance);
  }

  /**
   * Spawns the process if it is its turn; otherwise it is spawned when its turn comes.
   * @throws PoolError as {@link spawn}
   */
  launch(instance: PooledInstance): void {
    if (this.takeTurn(instance)) this.spawn(instance);
  }

  /** Whether it is the turn of an instance to be spawned. If not, it gets its turn when that comes, and what it needs is there. */
  takeTurn(instance: PooledInstance): boolean {
    return !this.#deps.packages.prepare(instance) && this.#deps.turns.take(instance);
  }

  /**
   * Spawns and registers the process, in this tick. It must have its turn.
   * @throws PoolError when nothing can be spawned; then the slot is free again
   */
  spawn(instance: PooledInstance): void {
    const { emitter, fleet, leases, counts, monitorLoop, watches, recovery, turns } = this.#deps;
    try {
      instance.start();
    } catch (error) {
      instance.remember();
      turns.giveBack(instance);
      recovery.lost(instance, error as PoolError);
      this.#reportFailure(instance, error as PoolError);
      fleet.remove(instance);
      leases.forget(instance);
      throw error;
    }
    counts.started += 1;
    counts.mostProcesses = fleet.slots.mostUsed;
    emitter.emit('server:starting', serverEvent(instance));
    monitorLoop.noteSpawn(instance.name, instance.canMeasure);
    watches.spawned(instance);
  }

  /** An instance is ready: it gets the leases of the one that it replaces. */
  ready(instance: PooledInstance): void {
    const { breakers, emitter, fleet, watches, recovery, turns } = this.#deps;
    turns.giveBack(instance);
    watches.ready(instance);
    fleet.startSucceeded(instance);
    breakers.ready(instance);
    const emitMoves = recovery.takeOver(instance);
    emitter.emit('server:ready', { ...serverEvent(instance), duration: instance.startDuration });
    emitMoves?.();
  }

  startFailed(instance: PooledInstance, error: PoolError): void {
    this.#deps.turns.giveBack(instance);
    this.#deps.fleet.removeStart(instance);
    this.#reportFailure(instance, error);
  }

  stopping(instance: PooledInstance, reason: EndReason): void {
    const { breakers, emitter, fleet, counts, watches, recovery, turns } = this.#deps;
    instance.remember();
    watches.ending(instance, reason);
    turns.giveBack(instance);
    recovery.stopping(instance);
    const { asked } = END_MEANING[reason];
    if (asked) breakers.ending(instance);
    // A failed start keeps its seats until its failure is reported, so that its callers get the error and not another start.
    if (asked || instance.readySince !== undefined) fleet.removeStart(instance);
    fleet.markEnding(instance);
    if (reason === 'evicted') counts.evicted += 1;
    // Without a process it had no `server:starting` either.
    if (instance.wasLaunched) emitter.emit('server:stopping', { ...serverEvent(instance), reason });
  }

  exited(instance: PooledInstance, { exitCode, signal, outOfMemory }: ExitInfo, unexpected: boolean): void {
    if (unexpected) this.#deps.counts.crashes += 1;
    this.#deps.emitter.emit('server:exited', {
      ...serverEvent(instance),
      exitCode,
      signal,
      outOfMemory: outOfMemory === true,
      unexpected,
      stderrTail: instance.stderrTail,
    });
  }

  /** No message reaches an instance any more: its leases go on with a successor, or end. */
  lost(instance: PooledInstance, error: PoolError, reason: EndReason): void {
    instance.remember();
    if (END_MEANING[reason].recovers) this.#deps.recovery.lost(instance, error);
    else this.#deps.leases.endAll(instance, error);
  }

  /** Made again after a fault: so the event, which nothing follows, is last. */
  stopped(instance: PooledInstance, report: CleanupReport | undefined): void {
    const { cleanups, emitter, fleet, leases, counts, recovery } = this.#deps;
    if (report) cleanups.add(report);
    recovery.slotDecided(instance);
    fleet.remove(instance);
    leases.forget(instance);
    if (!instance.wasLaunched) return;
    counts.stopped += 1;
    emitter.emit('server:stopped', { ...serverEvent(instance), reason: instance.endReason, report });
  }

  quarantined(instance: PooledInstance, report: CleanupReport): void {
    const { cleanups, emitter, fleet, counts, recovery } = this.#deps;
    cleanups.add(report);
    recovery.slotDecided(instance);
    fleet.markQuarantined(instance);
    counts.quarantined += 1;
    emitter.emit('server:quarantined', { ...serverEvent(instance), report });
  }

  undeclared(instance: PooledInstance, capabilities: readonly string[]): void {
    const { emitter, fleet } = this.#deps;
    const first = fleet.entries.get(instance.name)?.undeclared.report(capabilities) ?? [];
    if (first.length === 0) return;
    const message = undeclared(instance, first);
    emitter.emit('capability:undeclared', { ...serverEvent(instance), capabilities: first, message });
  }

  #addStart(entry: OpenEntry, instance: PooledInstance): PooledInstance {
    const { breakers, fleet } = this.#deps;
    if (!fleet.isOpen) throw poolClosed();
    breakers.admit(instance);
    fleet.addStart(entry, instance);
    return instance;
  }

  #reportFailure(instance: PooledInstance, error: PoolError): void {
    const { clock, emitter, fleet, counts, watches } = this.#deps;
    counts.startFailures += 1;
    watches.failed(instance, error);
    fleet.startFailed(instance, error, clock.now());
    emitter.emit('server:failed', { ...serverEvent(instance), error });
  }
}
