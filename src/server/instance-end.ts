import type { ResolvedDefinition } from '../config/options.js';
import { PoolError, type PoolErrorCode, type PoolErrorData } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { ExitInfo } from '../process/launcher.js';
import type { EndMode } from '../process/termination-report.js';
import { internalError } from '../protocol/channels/message-channel.js';
import type { Noise } from '../protocol/channels/noise.js';
import type { Timer } from '../runtime/clock.js';
import { deferred } from '../runtime/deferred.js';
import { turnsOfEventLoop } from '../runtime/event-loop.js';
import { Conclusion } from './conclusion.js';
import { type EndCause, endedByPool } from './end-cause.js';
import { END_MEANING, type EndReason } from './end-reason.js';
import { exitError } from './exit-error.js';
import type { InstanceContext, InstanceObserver } from './instance-context.js';
import type { Life } from './life.js';
import type { Secrets } from './secrets.js';
import { cleanUpTree } from './tree-cleanup.js';

/** How long an exit may be reported after the pipes that it closed, in ms. */
const EXIT_FOLLOWS = 1_000;

/** The part of an instance that its end uses. */
export interface Ending {
  readonly id: string;
  readonly name: string;
  readonly pid: number | undefined;
  readonly definition: ResolvedDefinition;
  readonly stderrTail: string;
  readonly secrets: Secrets;
  readonly noise: Noise;
  readonly readySince: number | undefined;
  errorData(): PoolErrorData;
  error(code: PoolErrorCode, what: string, more?: PoolErrorData): PoolError;
}

/** Every way in which an instance ends, on purpose or not, up to the proof of its death or to quarantine. */
export class InstanceEnd<I extends Ending> {
  readonly #instance: I;
  readonly #life: Life;
  readonly #context: InstanceContext;
  readonly #observer: InstanceObserver<I>;
  #brokenTimer: Timer | undefined;
  #reason: EndReason | undefined;
  #startError: PoolError | undefined;
  #exit: ExitInfo | undefined;
  readonly #conclusion: Conclusion;
  /** Resolved when the exit was reported: nothing comes from the process after that. */
  readonly #exitReported = deferred<void>();

  constructor(instance: I, life: Life, context: InstanceContext, observer: InstanceObserver<I>) {
    this.#instance = instance;
    this.#life = life;
    this.#context = context;
    this.#observer = observer;
    this.#conclusion = new Conclusion(observer, (fault) => this.#emitFault(fault));
  }

  /** How its process exited, once it has. */
  get exit(): ExitInfo | undefined {
    return this.#exit;
  }

  /** Why it is being ended; undefined while it is not. */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Why it could not be started. */
  get startError(): PoolError | undefined {
    return this.#startError;
  }

  /** Resolves when it is stopped or quarantined. */
  get ended(): Promise<CleanupReport | undefined> {
    return this.#conclusion.ended;
  }

  /** Whether its end has not begun. */
  get #isLiving(): boolean {
    return this.#life.state === 'starting' || this.#life.state === 'ready';
  }

  /** The pool ends it, whatever state it is in. */
  stop(reason: EndReason, mode: EndMode, cause?: EndCause): Promise<CleanupReport | undefined> {
    if (this.#begin(reason, mode)) {
      this.#endConversation(this.#startError ?? endedByPool(this.#instance, reason, cause));
      this.#life.started.resolve();
    } else if (mode === 'emergency') {
      this.#context.cleanup.escalate(this.#instance.id);
    }
    return this.ended;
  }

  /** It was never launched, and will not be: its leases end with `error`. */
  giveUp(error: PoolError): void {
    this.#startError = error;
    void this.stop('unwanted', 'graceful');
  }

  /** Nothing could be spawned; `start()` throws the error. */
  unlaunched(error: PoolError): void {
    this.#life.move('refused');
    this.#life.startTimer?.cancel();
    this.#startError = error;
    this.#life.started.resolve();
    this.#conclusion.reach(undefined, () => {});
  }

  /** The operating system did not start it. Nothing runs: the slot is free at once. */
  refused(error: Error): void {
    this.#exitReported.resolve();
    if (!this.#life.move('refused')) return;
    this.#life.startTimer?.cancel();
    try {
      this.#reportStartFailed(error as PoolError);
    } finally {
      this.#stopped(undefined);
    }
  }

  /** It does not become ready: it did not answer in time, or refused the handshake. */
  startFailed(error: PoolError): void {
    if (!this.#begin('start-failed', 'graceful')) return;
    this.#reportStartFailed(error);
  }

  /** Its process has exited, on purpose or not. */
  exited(exit: ExitInfo): void {
    this.#exit = exit;
    // Now its tree may be dead, too.
    if (this.#life.state === 'quarantined') void this.recheck();
    const wasStarting = this.#life.state === 'starting';
    const unexpected = this.#begin('crashed', 'emergency');
    void this.#reportExit(exit, unexpected, wasStarting);
  }

  /** The channel cannot be used any more. */
  broken(error: PoolError): void {
    if (error.code === 'INTERNAL_ERROR') this.#observer.onInternalError(this.#instance, this.#withData(error));
    if (!this.#isLiving) return;
    if (error.code !== 'SERVER_EXITED') return this.#endBroken(error);
    this.#life.conversation?.suspend();
    // A closed pipe is usually the first sign of an exit, and the exit has a better error: its code and stderr.
    this.#brokenTimer ??= this.#context.clock.after(EXIT_FOLLOWS, () => void this.#endUnlessExited(error));
  }

  /** It does not answer, so it ends as after a crash. */
  unanswering(reason: 'stuck' | 'unhealthy', error: PoolError): void {
    if (this.#begin(reason, 'emergency')) this.#endConversation(error);
  }

  /** Tries again to end a quarantined instance; it may be dead by now. */
  async recheck(): Promise<CleanupReport> {
    const report = await this.#enqueueCleanup('emergency');
    this.#settle(report);
    return report;
  }

  /** Makes a change as an operation. A fault of this library in it ends the instance, and is emitted. */
  guard(change: () => void): void {
    try {
      this.#observer.run(() => {
        try {
          change();
        } catch (fault) {
          this.faulted(fault);
        }
      });
    } catch (fault) {
      // It has come again, or in what follows. What calls this is mostly no place that could catch it.
      this.#emitFault(fault);
    }
  }

  /** Within an operation. The change may be half done, so each step is made that it may have left out. */
  faulted(fault: unknown): void {
    const error = this.#emitFault(fault);
    this.#begin('broken', 'emergency');
    const isNew = this.#instance.readySince === undefined && this.#startError === undefined;
    if (isNew) return this.#reportStartFailed(error);
    this.#endConversation(error);
  }

  #emitFault(fault: unknown): PoolError {
    const error = this.#withData(internalError(this.#instance, fault));
    this.#observer.onInternalError(this.#instance, error);
    return error;
  }

  #withData({ code, message, cause }: PoolError): PoolError {
    return new PoolError(code, message, this.#instance.errorData(), cause);
  }

  async #endUnlessExited(error: PoolError): Promise<void> {
    // A host that was held up finds the time over before it has read that the process exited.
    await turnsOfEventLoop(2);
    if (this.#isLiving) this.guard(() => this.#endBroken(error));
  }

  #endBroken(error: PoolError): void {
    const full = this.#withData(error);
    if (this.#life.state === 'starting') return this.startFailed(full);
    // If leases wait for a successor, this process must end soon.
    const mode = this.#observer.isAwaited(this.#instance) ? 'emergency' : 'graceful';
    if (this.#begin('broken', mode)) this.#endConversation(full);
  }

  /** Reports the exit when all output of the process was read: answers in it still count, and the tail is complete. */
  async #reportExit(exit: ExitInfo, unexpected: boolean, wasStarting: boolean): Promise<void> {
    await this.#life.process?.drained();
    try {
      this.guard(() => {
        this.#observer.onExited(this.#instance, exit, unexpected);
        if (!unexpected) return;
        const error = exitError(this.#instance, exit, wasStarting, this.#life.process?.refusal);
        if (wasStarting) this.#reportStartFailed(error);
        else this.#endConversation(error);
      });
    } finally {
      this.#exitReported.resolve();
    }
  }

  #reportStartFailed(error: PoolError): void {
    this.#startError = error;
    this.#life.started.resolve();
    this.#endConversation(error);
    this.#observer.onStartFailed(this.#instance, error);
  }

  /** No message reaches it any more. */
  #endConversation(error: PoolError): void {
    this.#life.conversation?.close(error);
    this.#observer.onLost(this.#instance, error, this.#reason ?? 'start-failed');
    // Leases that end answer their own requests first. What is left are the requests of leases that stay.
    this.#life.conversation?.end(error);
  }

  /** The one way into `stopping`. False when the instance is being ended already. */
  #begin(reason: EndReason, mode: EndMode): boolean {
    if (!this.#life.move('end')) return false;
    this.#life.startTimer?.cancel();
    this.#life.preparation?.abort.abort(new Error('its start is over'));
    this.#life.readiness?.stop();
    this.#brokenTimer?.cancel();
    this.#reason = reason;
    try {
      // Messages of this tick are still written, before the ladder closes stdin. Later ones wait for the next process.
      this.#life.conversation?.flush();
      this.#life.conversation?.suspend();
      // Now, not when the cleanup queue has room: the rest of a crashed server works for no caller.
      if (END_MEANING[reason].killsAtOnce) this.#life.process?.killNow();
      this.#observer.onStopping(this.#instance, reason);
    } finally {
      if (this.#life.process) this.#cleanUp(mode);
      else this.#settleUnstarted(mode);
    }
    return true;
  }

  #cleanUp(mode: EndMode): void {
    void this.#enqueueCleanup(mode).then((report) => this.#settle(report));
  }

  #enqueueCleanup(mode: EndMode): Promise<CleanupReport> {
    return cleanUpTree(this.#context.cleanup, this.#instance, this.#life, mode);
  }

  #settle(report: CleanupReport): void {
    // The tree is dead, but Node may not have reported the exit yet.
    if (report.confirmed) return void this.#exitReported.promise.then(() => this.#proven(report));
    const isNew = this.#life.move('unproven');
    this.#conclusion.reach(report, () => {
      if (isNew) this.#observer.onQuarantined(this.#instance, report);
    });
  }

  /** It has no process: it waited for its slot or its backoff. A launcher that called back within `launch()` is the exception. */
  #settleUnstarted(mode: EndMode): void {
    queueMicrotask(() => {
      if (this.#life.process) this.#cleanUp(mode);
      else this.#proven(undefined);
    });
  }

  #proven(report: CleanupReport | undefined): void {
    if (this.#life.move('proven')) this.#stopped(report);
  }

  #stopped(report: CleanupReport | undefined): void {
    this.#conclusion.reach(report, () => {
      this.#context.registry.remove(this.#instance.id);
      this.#observer.onStopped(this.#instance, report);
    });
  }
}
