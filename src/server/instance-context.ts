import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError } from '../errors.js';
import type { CleanupQueue, CleanupReport } from '../process/cleanup-queue.js';
import type { ExitInfo, Launcher } from '../process/launcher.js';
import type { ProcessRegistry } from '../process/process-registry.js';
import type { WriteBudget } from '../protocol/channels/write-budget.js';
import type { ToolChanges } from '../protocol/mux/tool-list.js';
import type { Clock } from '../runtime/clock.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import type { EndReason } from './end-reason.js';

/** What the instances of a pool share. */
export interface InstanceContext {
  readonly clock: Clock;
  /** What starts the servers of this definition. */
  readonly launcherFor: (definition: ResolvedDefinition) => Launcher;
  readonly registry: ProcessRegistry;
  readonly cleanup: CleanupQueue;
  readonly keepAlive: KeepAlive;
  readonly writeBudget: WriteBudget;
}

/** Changes of a pool are made one after the other. */
export interface Operations {
  /** Makes a change. What follows from it is done when the outermost operation returns, and then events are delivered. */
  run<T>(operation: () => T): T;
  /** Runs `task`, which calls handlers of clients, when the outermost operation is complete. */
  afterwards(task: () => void): void;
}

/** Hears what happens to an instance, in the tick in which it happens and within an operation. */
export interface InstanceObserver<I> extends Operations {
  onReady(instance: I): void;
  /** It could not be started. Not called when it was ended on purpose while it started. */
  onStartFailed(instance: I, error: PoolError): void;
  /** It cannot be used any more; its slot is still taken. */
  onStopping(instance: I, reason: EndReason): void;
  onExited(instance: I, exit: ExitInfo, unexpected: boolean): void;
  /** Its whole tree is dead: its slot is free. The report is undefined when nothing had been started. */
  onStopped(instance: I, report: CleanupReport | undefined): void;
  onQuarantined(instance: I, report: CleanupReport): void;
  /** This library failed at a message of the instance, which is ended because of it. */
  onInternalError(instance: I, error: PoolError): void;
  /** No message reaches it any more. Its leases have no server now. */
  onLost(instance: I, error: PoolError, reason: EndReason): void;
  /** Whether leases on it wait for its end, since they go on with a successor. */
  isAwaited(instance: I): boolean;
  /** A client counts on capabilities that the instance was not started with. */
  onUndeclared(instance: I, capabilities: readonly string[]): void;
  /** It has other tools than the process whose sessions it took over. */
  onToolsChanged(instance: I, changes: ToolChanges): void;
  onStderrLine(instance: I, line: string): void;
  wantsStderr(): boolean;
}
