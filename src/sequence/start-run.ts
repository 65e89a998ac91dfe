import { type Deferred, deferred } from '../runtime/deferred.js';
import { type Due, newDue } from '../runtime/due-times.js';
import { needsOf, planOf, type SequenceReport, startPath } from './sequence-report.js';
import { isUp } from './step-state.js';
import type { Cause, Outcome, TrackedStep } from './tracked-step.js';

/** What becomes of the steps that are up when a start fails. */
export type OnFailure = 'rollback' | 'keep';

/** What holds for a start. */
interface StartTerms {
  /** In ms. */
  readonly timeout: number;
  readonly onFailure: OnFailure;
  readonly required: readonly string[] | undefined;
}

/** One call of `start()`: its steps, its time, and what came of it. */
export class StartRun {
  /** All that was asked for, and what that needs; in the order in which they were given. */
  readonly steps: readonly TrackedStep[];
  readonly since: number;
  readonly deadline: number;
  /** In ms. */
  readonly timeout: number;
  readonly onFailure: OnFailure;
  readonly result: Deferred<SequenceReport> = deferred();
  readonly due: Due;
  /** Those that came up for it, or are to. They are taken down when it fails. */
  readonly begun = new Set<TrackedStep>();
  /** To be called when it is over. */
  forget: () => void = () => {};
  readonly #members: ReadonlySet<TrackedStep>;
  /** Ids of those without which it is in vain; undefined: those that are required. */
  readonly #required: ReadonlySet<string> | undefined;
  /** Those that it waits for; of these the ones with which something is under way. */
  #watched: ReadonlySet<TrackedStep>;
  readonly #open = new Set<TrackedStep>();
  /** Why it has failed. */
  #failure: Cause | undefined;
  #isLate = false;

  /** @param onLate called when its time is over */
  constructor(
    steps: readonly TrackedStep[],
    { timeout, onFailure, required }: StartTerms,
    now: number,
    onLate: (now: number) => void,
  ) {
    this.steps = steps;
    this.#members = new Set(steps);
    this.#required = required && new Set(required);
    this.#watched = this.#members;
    this.timeout = timeout;
    this.onFailure = onFailure;
    this.since = now;
    this.deadline = now + timeout;
    this.due = newDue(onLate);
  }

  get failure(): Cause | undefined {
    return this.#failure;
  }

  /** Whether it still tries to have its steps up. */
  get isHopeful(): boolean {
    return this.#failure === undefined && !this.#isLate;
  }

  get open(): readonly TrackedStep[] {
    return [...this.#open];
  }

  get isOver(): boolean {
    return this.#open.size === 0;
  }

  has(step: TrackedStep): boolean {
    return this.#members.has(step);
  }

  /** Whether it is in vain without a step. */
  needs(step: TrackedStep): boolean {
    return this.has(step) && (this.#required?.has(step.id) ?? step.step.required);
  }

  /** Something of a step may have changed. */
  look(step: TrackedStep): void {
    if (step.isOpen && this.#watched.has(step)) this.#open.add(step);
    else this.#open.delete(step);
  }

  /** From now on it waits only for the end of what it takes down. */
  fail(cause: Cause, ending: readonly TrackedStep[]): void {
    this.#failure = cause;
    this.#watch(ending);
  }

  /** Its time is over, but all that is required is up. */
  late(ending: readonly TrackedStep[]): void {
    this.#isLate = true;
    this.#watch(ending);
  }

  /** What becomes of a step of it that it takes down. */
  outcomeOf(step: TrackedStep, { reason, error }: Cause): Outcome {
    if (step.lastFailure !== undefined) return { next: 'fail', ...step.lastFailure };
    if (step.state === 'waiting') return { next: step.attempts > 0 ? 'gone' : 'skip', reason };
    const wasUp = isUp(step.state) || step.isLeaving;
    return wasUp ? { next: 'gone', reason } : { next: 'fail', reason, error };
  }

  report(now: number): SequenceReport {
    const isReady = this.steps.every((step) => step.state === 'ready' && !step.isLeaving);
    return {
      state: this.#failure !== undefined ? 'failed' : isReady ? 'ready' : 'degraded',
      duration: Math.round(now - this.since),
      waves: planOf(this.steps, needsOf).waves,
      criticalPath: startPath([...this.begun], this.since, this.#failure && (this.#failure.error?.data.name ?? '')),
      steps: this.steps.map((step) => step.report(now)),
      survivors: this.steps.filter(({ state }) => state === 'stop-failed').map(({ id }) => id),
      error: this.#failure?.error,
    };
  }

  #watch(steps: readonly TrackedStep[]): void {
    this.#watched = new Set(steps);
    for (const step of this.open) this.look(step);
  }
}
