import type { ResolvedStep } from '../config/resolve-sequence.js';
import type { StepResult, StopMode } from '../config/sequence-options.js';
import { type Deferred, deferred } from '../runtime/deferred.js';

/** What happens to an attempt, in this order. Each is called later than the call that causes it. */
export interface AttemptHandlers {
  started(): void;
  ready(): void;
  healthy(): void;
  /** A function of the step threw. */
  failed(error: unknown): void;
  /** It has said that it was not started. */
  skipped(reason: string): void;
  /** It has ended by itself. @param error with which `exited` was rejected */
  exited(error: unknown): void;
}

/** One attempt to have a step up: the only place that calls its functions. It belongs to one life of what it starts. */
export class Attempt {
  readonly #step: ResolvedStep;
  readonly #handlers: AttemptHandlers;
  readonly #abort = new AbortController();
  /** Of `ready()` and `healthy()`; of `stop()`. Made when they are called: one costs more than all else of an attempt. */
  #checks: AbortController | undefined;
  #hurry: AbortController | undefined;
  /** Resolved when `start()` has come back. */
  readonly #settled: Deferred<void> = deferred();
  readonly #hurried: Deferred<void> = deferred();
  #isSettled = false;
  #isCancelled = false;
  #isProving = false;
  #isAborted = false;
  #isHurried = false;
  #isEmpty = false;
  #hasExited = false;

  constructor(step: ResolvedStep, handlers: AttemptHandlers) {
    this.#step = step;
    this.#handlers = handlers;
  }

  /** Whether nothing of it is left, so that it needs no `stop()`. */
  get isEmpty(): boolean {
    return this.#isSettled && (this.#isEmpty || this.#hasExited);
  }

  /** Whether it is known to have ended by itself. */
  get hasExited(): boolean {
    return this.#hasExited;
  }

  async run(): Promise<void> {
    if (this.#isCancelled) return this.#settle('empty');
    let result: StepResult;
    try {
      result = resultOf(await this.#step.start(this.#abort.signal));
    } catch (error) {
      this.#settle('empty');
      this.#handlers.failed(error);
      return;
    }
    if (result.skipped !== undefined) {
      this.#settle('empty');
      this.#handlers.skipped(result.skipped);
      return;
    }
    this.#settle();
    this.#watch(result.exited);
    this.#handlers.started();
    try {
      await this.#step.ready?.(this.#checkSignal());
      this.#handlers.ready();
    } catch (error) {
      this.#handlers.failed(error);
    }
  }

  /** Whether it is to be proven to work; returns false when that is so already. */
  claimProof(): boolean {
    const isNew = !this.#isProving;
    this.#isProving = true;
    return isNew;
  }

  async prove(): Promise<void> {
    try {
      await this.#step.healthy?.(this.#checkSignal());
      this.#handlers.healthy();
    } catch (error) {
      this.#handlers.failed(error);
    }
  }

  /** It is not wanted any more: `start()` is not called, if it was not yet. */
  cancel(): void {
    this.#isCancelled = true;
  }

  /**
   * Tells `start()`, `ready()` and `healthy()` that it is not wanted any more. A `start()` that has come back does not learn of it: what
   * it has started may live as long as its signal, and is to be ended by `stop()`.
   */
  abort(reason: unknown): void {
    if (!this.#isSettled) this.#abort.abort(reason);
    this.#isAborted = true;
    this.#checks?.abort(reason);
  }

  /** It has ended by itself, as its host says. */
  noteExit(): void {
    this.#hasExited = true;
  }

  /** It must end at once: `stop()` learns of it by its signal, and a `start()` that has not come back is waited for no longer. */
  hurry(): void {
    this.#isHurried = true;
    this.#hurry?.abort();
    this.#hurried.resolve();
  }

  /** Resolves when nothing of it is left. Rejects with what `stop()` has thrown. */
  async end(mode: StopMode): Promise<void> {
    if (mode === 'emergency') this.#hurried.resolve();
    if (!this.#isSettled) await Promise.race([this.#settled.promise, this.#hurried.promise]);
    if (!this.#isSettled) {
      // It may be there already, in part. What matters is the end after `start()` has come back: an error of this one does not.
      await this.#stop('emergency').catch(() => {});
      await this.#settled.promise;
    }
    if (this.isEmpty) return;
    try {
      await this.#stop(this.#isHurried ? 'emergency' : mode);
    } catch (error) {
      if (this.isEmpty) return;
      if (mode === 'emergency') throw error;
      await this.#stop('emergency');
    }
  }

  async #stop(mode: StopMode): Promise<void> {
    this.#hurry ??= new AbortController();
    if (this.#isHurried) this.#hurry.abort();
    await this.#step.stop?.({ mode, signal: this.#hurry.signal });
  }

  #checkSignal(): AbortSignal {
    this.#checks ??= new AbortController();
    if (this.#isAborted) this.#checks.abort();
    return this.#checks.signal;
  }

  #settle(how?: 'empty'): void {
    this.#isSettled = true;
    this.#isEmpty = how === 'empty';
    this.#settled.resolve();
  }

  #watch(exited: PromiseLike<unknown> | undefined): void {
    if (exited === undefined) return;
    const note = (error: unknown) => {
      this.#hasExited = true;
      this.#handlers.exited(error);
    };
    Promise.resolve(exited).then(() => note(undefined), note);
  }
}

/** What a step has resolved with may be anything. */
function resultOf(value: unknown): StepResult {
  if (typeof value !== 'object' || value === null) return {};
  const { exited, skipped } = value as { readonly exited?: unknown; readonly skipped?: unknown };
  return {
    exited: isThenable(exited) ? exited : undefined,
    skipped: typeof skipped === 'string' && skipped !== '' ? skipped : undefined,
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
