import type { ResolvedDefinition } from '../config/options.js';
import { PoolError, type PoolErrorCode, type PoolErrorData } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { ExitInfo } from '../process/launcher.js';
import type { EndMode } from '../process/termination.js';
import type { Timer } from '../runtime/clock.js';
import { deferred } from '../runtime/deferred.js';
import { lastWords, wordsOf } from './exit-words.js';
import type { EndReason, InstanceContext, InstanceObserver } from './instance-context.js';
import type { Life } from './life.js';

/** How long an exit may take to be told after the pipes were closed by it, ms. */
const EXIT_FOLLOWS = 200;
/** What an attempt to end a tree needs beside the graces: SIGKILL and proof. */
const LADDER_RESERVE = 3_000;

/** An instance, as far as its end is concerned. */
export interface Ending {
  readonly id: string;
  readonly name: string;
  readonly pid: number | undefined;
  readonly definition: ResolvedDefinition;
  readonly leases: number;
  readonly leasesStay: boolean;
  readonly stderrTail: string;
  startError: PoolError | undefined;
  errorData(): PoolErrorData;
  error(code: PoolErrorCode, what: string): PoolError;
}

/** Every way in which an instance ends, asked or unasked, and from there to the proof of its death, or to quarantine. */
export class InstanceEnd<I extends Ending> {
  readonly #instance: I;
  readonly #life: Life;
  readonly #context: InstanceContext;
  readonly #observer: InstanceObserver<I>;
  #brokenTimer: Timer | undefined;
  #exit: ExitInfo | undefined;
  readonly #ended = deferred<CleanupReport | undefined>();
  /** Resolved when the exit was told: nothing of the process comes after. */
  readonly #exitTold = deferred<void>();

  constructor(instance: I, life: Life, context: InstanceContext, observer: InstanceObserver<I>) {
    this.#instance = instance;
    this.#life = life;
    this.#context = context;
    this.#observer = observer;
  }

  /** How its process exited, once it has. */
  get exit(): ExitInfo | undefined {
    return this.#exit;
  }

  /** Resolves when it is stopped or quarantined. */
  get ended(): Promise<CleanupReport | undefined> {
    return this.#ended.promise;
  }

  /** The pool ends it, whatever state it is in. */
  stop(reason: EndReason, mode: EndMode): Promise<CleanupReport | undefined> {
    if (this.#begin(reason, mode)) {
      this.#endConversation(this.#instance.error('SERVER_STOPPED', `was ended by the pool (${reason})`), false);
      this.#life.started.resolve();
    } else if (mode === 'emergency') {
      this.#context.cleanup.escalate(this.#instance.id);
    }
    return this.ended;
  }

  /** There was nothing to be spawned, which its starter is told. */
  unlaunched(error: PoolError): void {
    this.#life.move('refused');
    this.#instance.startError = error;
    this.#life.started.resolve();
    this.#ended.resolve(undefined);
  }

  /** The operating system did not start it. Nothing runs: the slot is free at once. */
  refused(error: Error): void {
    this.#exitTold.resolve();
    if (!this.#life.move('refused')) return;
    this.#life.startTimer?.cancel();
    this.#tellStartFailed(error as PoolError);
    this.#finish(undefined);
  }

  /** It does not become ready: it took too long, or said that it would not. */
  startFailed(error: PoolError): void {
    if (!this.#begin('start-failed', 'graceful')) return;
    this.#tellStartFailed(error);
  }

  /** Its process is gone, asked or unasked. */
  exited(exit: ExitInfo): void {
    this.#exit = exit;
    // What could not be proven dead may be so now.
    if (this.#life.state === 'quarantined') void this.recheck();
    const wasStarting = this.#life.state === 'starting';
    const unexpected = this.#begin('crashed', 'emergency');
    // At once, not when the queue has room: what a crashed server leaves behind works for nobody.
    if (unexpected) this.#life.process?.killNow();
    void this.#tellExit(exit, unexpected, wasStarting);
  }

  /** The connection is of no use any more. */
  broken(error: PoolError): void {
    if (error.code === 'INTERNAL_ERROR') this.#observer.onInternalError(this.#instance, this.#withData(error));
    if (this.#life.state !== 'starting' && this.#life.state !== 'ready') return;
    if (error.code !== 'SERVER_EXITED') return this.#endBroken(error);
    this.#life.conversation?.suspend();
    // A pipe that closed is mostly the first sign of an exit, which tells more: its code, and the last words.
    this.#brokenTimer ??= this.#context.clock.after(EXIT_FOLLOWS, () => this.#endBroken(error));
  }

  /** Tries again to end a quarantined instance; it may be dead by now. */
  async recheck(): Promise<CleanupReport> {
    const report = await this.#enqueueCleanup('emergency');
    this.#settle(report);
    return report;
  }

  #withData({ code, message, cause }: PoolError): PoolError {
    return new PoolError(code, message, this.#instance.errorData(), cause);
  }

  #endBroken(error: PoolError): void {
    const full = this.#withData(error);
    if (this.#life.state === 'starting') return this.startFailed(full);
    // Its leases wait for the next process, which waits for the end of this one.
    const mode = this.#instance.leasesStay && this.#instance.leases > 0 ? 'emergency' : 'graceful';
    if (this.#begin('broken', mode)) this.#endConversation(full, true);
    // A fault may have come while it became ready.
    this.#life.started.resolve();
  }

  /** After the last words of the process were read: answers among them still count, and the tail is complete. */
  async #tellExit(exit: ExitInfo, unexpected: boolean, wasStarting: boolean): Promise<void> {
    await this.#life.process?.drained();
    this.#observer.onExited(this.#instance, exit, unexpected);
    if (unexpected) {
      const { how, why } = wordsOf(exit, this.#instance.definition);
      const early = `${how} before it was ready${why || lastWords(this.#instance.stderrTail)}`;
      const refusal = this.#life.process?.refusal;
      const error = refusal
        ? this.#instance.error(refusal.code, `could not be started: ${refusal.reason}`)
        : this.#instance.error('SERVER_EXITED', wasStarting ? early : `${how} unasked${why}`);
      if (wasStarting) this.#tellStartFailed(error);
      else this.#endConversation(error, true);
    }
    this.#exitTold.resolve();
  }

  #tellStartFailed(error: PoolError): void {
    this.#instance.startError = error;
    this.#endConversation(error, true);
    this.#observer.onStartFailed(this.#instance, error);
    this.#life.started.resolve();
  }

  /** Nothing can be said to it any more. */
  #endConversation(error: PoolError, unasked: boolean): void {
    this.#life.conversation?.close(error);
    // First who keeps its lease, then what becomes of requests: those of a lease that ends are answered by its end.
    this.#observer.onLost(this.#instance, error, unasked);
    this.#life.conversation?.end(error);
  }

  /** The one way into `stopping`. False when it is on its way already. */
  #begin(reason: EndReason, mode: EndMode): boolean {
    if (!this.#life.move('end')) return false;
    this.#life.startTimer?.cancel();
    this.#brokenTimer?.cancel();
    // What was sent in this tick still goes out, before the ladder closes stdin; what is sent later is for the next one.
    this.#life.conversation?.flush();
    this.#life.conversation?.suspend();
    this.#observer.onStopping(this.#instance, reason);
    if (this.#life.process === undefined) this.#settleUnstarted();
    else void this.#enqueueCleanup(mode).then((report) => this.#settle(report));
    return true;
  }

  #enqueueCleanup(mode: EndMode): Promise<CleanupReport> {
    const { eofGrace, termGrace } = this.#instance.definition;
    return this.#context.cleanup.enqueue(
      {
        id: this.#instance.id,
        name: this.#instance.name,
        pid: this.#instance.pid,
        leastTime: eofGrace + termGrace + LADDER_RESERVE,
        end: async (options) => {
          if (this.#life.process === undefined) throw new Error('nothing was started');
          return this.#life.process.end({ ...options, graces: this.#instance.definition });
        },
      },
      mode,
    );
  }

  #settle(report: CleanupReport): void {
    if (!report.confirmed) {
      if (this.#life.move('unproven')) this.#observer.onQuarantined(this.#instance, report);
      return this.#ended.resolve(report);
    }
    // Dead, but Node may not have told its exit yet.
    void this.#exitTold.promise.then(() => {
      if (this.#life.move('proven')) this.#finish(report);
    });
  }

  /** It waited for its slot, or for its time: there is nothing to be ended. */
  #settleUnstarted(): void {
    queueMicrotask(() => {
      if (this.#life.move('proven')) this.#finish(undefined);
    });
  }

  #finish(report: CleanupReport | undefined): void {
    this.#context.registry.remove(this.#instance.id);
    this.#observer.onStopped(this.#instance, report);
    this.#ended.resolve(report);
  }
}
