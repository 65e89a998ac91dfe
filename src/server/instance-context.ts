import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError } from '../errors.js';
import type { CleanupQueue, CleanupReport } from '../process/cleanup-queue.js';
import type { ExitInfo, Launcher } from '../process/launcher.js';
import type { ProcessRegistry } from '../process/process-registry.js';
import type { DroppedOutput } from '../protocol/channels/noise.js';
import type { WriteBudget } from '../protocol/channels/write-budget.js';
import type { ToolChanges } from '../protocol/mux/tool-list.js';
import type { RequestObserver } from '../protocol/request-observer.js';
import type { Clock } from '../runtime/clock.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import type { EndReason } from './end-reason.js';

/** What the instances of a pool share. */
export interface InstanceContext {
  readonly clock: Clock;
  /** Where its processes run. */
  readonly host: { launcherFor(definition: ResolvedDefinition): Launcher };
  readonly registry: ProcessRegistry;
  readonly cleanup: CleanupQueue;
  readonly keepAlive: KeepAlive;
  /** For messages that wait to be written. */
  readonly writeBudget: WriteBudget;
  /** For copies of those that were written: counted apart, so that a server that does not answer refuses no message. */
  readonly copyBudget: WriteBudget;
  /** Learns of the requests of all clients. */
  readonly requests: RequestObserver;
}

/** Runs the changes of a pool one after the other. */
export interface Operations {
  /** Makes a change. When the outermost operation returns, callers are served, and then events are delivered. */
  run<T>(operation: () => T): T;
}

/** Called in the tick in which something happens to an instance, and within an operation. */
export interface InstanceObserver<I> extends Operations {
  onReady(instance: I): void;
  /** It could not be started. Not called when it was ended on purpose during its start. */
  onStartFailed(instance: I, error: PoolError): void;
  /** It cannot be used any more. Its slot is still taken. */
  onStopping(instance: I, reason: EndReason): void;
  onExited(instance: I, exit: ExitInfo, unexpected: boolean): void;
  /** Its whole tree is dead, so its slot is free. `report`: undefined if no process had been started. Called again after a fault. */
  onStopped(instance: I, report: CleanupReport | undefined): void;
  /** Called again after a fault. */
  onQuarantined(instance: I, report: CleanupReport): void;
  /** This library had a fault at a message of the instance, which is ended because of it. */
  onInternalError(instance: I, error: PoolError): void;
  /** No message reaches it any more, so its leases have no server now. */
  onLost(instance: I, error: PoolError, reason: EndReason): void;
  /** Whether leases wait for its end, because they move to a successor. */
  isAwaited(instance: I): boolean;
  /** A client declares capabilities that the pool has not declared to the server. */
  onUndeclared(instance: I, capabilities: readonly string[]): void;
  /** It has other tools than its predecessor had. */
  onToolsChanged(instance: I, changes: ToolChanges): void;
  /** Some of what it wrote to stdout was dropped. */
  onNoise(instance: I, dropped: DroppedOutput): void;
  onStderrLine(instance: I, line: string): void;
  wantsStderr(): boolean;
}
