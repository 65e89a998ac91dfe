import type { PoolError } from '../errors.js';
import type { CleanupQueue, CleanupReport } from '../process/cleanup-queue.js';
import type { ExitInfo, Launcher } from '../process/launcher.js';
import type { ProcessRegistry } from '../process/process-registry.js';
import type { WriteBudget } from '../protocol/channels/write-budget.js';
import type { ToolChanges } from '../protocol/mux/tool-list.js';
import type { Clock } from '../runtime/clock.js';
import type { KeepAlive } from '../runtime/keep-alive.js';

/** Why an instance ends. */
export type EndReason =
  /** Its process exited unasked. */
  | 'crashed'
  | 'start-failed'
  /** Nobody waits for its start any more. */
  | 'unwanted'
  /** Its lease was released and it may not be used again: dedicated, or `reuse: 'never'`. */
  | 'released'
  /** Its lease ended while a request was open. */
  | 'unfinished'
  /** It broke the protocol: a message too large, or stdin closed. */
  | 'broken'
  | 'idle'
  /** It was idle, and a caller needed its slot. */
  | 'evicted'
  | 'max-uses'
  | 'max-lifetime'
  /** More of its server run than a changed definition allows. */
  | 'surplus'
  /** Its definition was changed. */
  | 'replaced'
  | 'removed'
  | 'restart'
  | 'tenant-released'
  | 'shutdown';

/** What the instances of a pool share. */
export interface InstanceContext {
  readonly clock: Clock;
  readonly launcher: Launcher;
  readonly registry: ProcessRegistry;
  readonly cleanup: CleanupQueue;
  readonly hold: KeepAlive;
  readonly writeBudget: WriteBudget;
}

/** News of an instance, each told in the tick in which it happens. */
export interface InstanceObserver<I> {
  onReady(instance: I): void;
  /** It could not be started. Not told when it was ended on purpose while it started. */
  onStartFailed(instance: I, error: PoolError): void;
  /** It cannot be used any more; its slot is still taken. */
  onStopping(instance: I, reason: EndReason): void;
  onExited(instance: I, exit: ExitInfo, unexpected: boolean): void;
  /** Everything of it is dead: its slot is free. The report is undefined when nothing had been started. */
  onStopped(instance: I, report: CleanupReport | undefined): void;
  onQuarantined(instance: I, report: CleanupReport): void;
  /** This library failed while it worked on messages of the instance, which is ended because of it. */
  onInternalError(instance: I, error: PoolError): void;
  /** Nothing can be said to it any more; `unasked` unless the pool ended it. Its leases have no server now. */
  onLost(instance: I, error: PoolError, unasked: boolean): void;
  /** A client counts on capabilities that the instance was not started with. */
  onUndeclared(instance: I, capabilities: readonly string[]): void;
  /** It has other tools than the process whose sessions it took over. */
  onToolsChanged(instance: I, changes: ToolChanges): void;
  onStderrLine(instance: I, line: string): void;
  wantsStderr(): boolean;
}
