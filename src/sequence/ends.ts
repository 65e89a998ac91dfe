import type { PoolError } from '../errors.js';
import type { Attempt } from './attempt.js';
import type { EngineDeps } from './engine-deps.js';
import type { StartQueue } from './start-queue.js';
import { stepFailed, stepTimeout } from './step-errors.js';
import type { TakeDown } from './take-down.js';
import type { Cause, Outcome, TrackedStep } from './tracked-step.js';

const ASKED: Outcome = { next: 'gone', reason: 'asked' };
const EVENT_OF = { gone: 'step:stopped', fail: 'step:failed', skip: 'step:skipped' } as const;

export interface EndsDeps extends Pick<EngineDeps, 'dueTimes' | 'outbox' | 'emit' | 'run'> {
  readonly queue: StartQueue;
  /** To be called with each step of which something has changed. */
  changed(step: TrackedStep): void;
}

/** Ends steps, each in its time, and knows what is left of them. */
export class Ends {
  readonly #deps: EndsDeps;

  constructor(deps: EndsDeps) {
    this.#deps = deps;
  }

  /** Ends a step when what depends on it is gone. One that is to be ended already ends as the first call says, apart from restarts. */
  end(step: TrackedStep, outcome: Outcome, takeDown: TakeDown<TrackedStep>, now: number): void {
    const { leaving, attempt } = step;
    if (leaving !== undefined) {
      if (leaving.outcome.next === 'again' && outcome.next !== 'again') leaving.outcome = outcome;
      this.#hasten(step, takeDown, now);
    } else if (step.state === 'waiting') {
      if (outcome.next !== 'again') this.conclude(step, outcome, now);
    } else if (attempt !== undefined) {
      attempt.cancel();
      const error = outcome.next === 'again' ? step.lastFailure?.error : outcome.error;
      this.#deps.outbox.push(() => attempt.abort(error));
      if (attempt.isEmpty) {
        this.conclude(step, outcome, now);
        return;
      }
      this.#deps.dueTimes.delete(step.due);
      step.leave({ outcome, takeDown, since: now, isHurried: false });
      this.#deps.changed(step);
    }
  }

  /** Begins the end of a step, unless it has begun, or something that depends on it is left. In an emergency nothing is waited for. */
  proceed(step: TrackedStep, now: number): void {
    const { outbox, dueTimes, emit, run, changed } = this.#deps;
    const { leaving, attempt } = step;
    if (leaving === undefined || leaving.giveUpAt !== undefined || attempt === undefined) return;
    const { mode } = leaving.takeDown;
    if (step.leavingDependents > 0 && mode !== 'emergency') return;
    const { hurryAt, giveUpAt } = leaving.takeDown.times(step, now);
    leaving.giveUpAt = giveUpAt;
    dueTimes.set(step.due, hurryAt);
    step.take('end', now);
    changed(step);
    const reason = leaving.outcome.next === 'again' ? undefined : leaving.outcome.reason;
    emit('step:stopping', { id: step.id, mode, reason });
    const gone = (error?: PoolError) => run((later) => this.#gone(step, attempt, error, later));
    const failed = (error: unknown) => gone(stepFailed(step.id, error, 'stop'));
    outbox.push(() => void attempt.end(mode).then(() => gone(), failed));
  }

  /** A step that is to be ended has ended by itself. Once its `stop()` is called, that says when all is gone. */
  exited(step: TrackedStep, now: number): void {
    const { leaving, attempt } = step;
    if (leaving !== undefined && leaving.giveUpAt === undefined && attempt?.isEmpty)
      this.conclude(step, leaving.outcome, now);
  }

  /** The time of its end, or of a part of it, is over. */
  fallDue(step: TrackedStep, now: number): void {
    const { leaving, attempt } = step;
    if (leaving?.giveUpAt === undefined) return;
    if (!leaving.isHurried) this.#hurry(step, now);
    else if (attempt?.hasExited) this.conclude(step, leaving.outcome, now);
    else {
      const error = stepTimeout(step.id, now - step.changedAt, 'stopped');
      this.#lose(step, { reason: 'stop-timeout', error }, now);
    }
  }

  /** Nothing of a step is left. */
  conclude(step: TrackedStep, outcome: Outcome, now: number): void {
    const { emit, dueTimes, changed } = this.#deps;
    this.#leave(step, now);
    step.attempt = undefined;
    step.rests = false;
    changed(step);
    if (outcome.next !== 'again') {
      step.take(outcome.next, now, outcome);
      emit(EVENT_OF[outcome.next], step.report(now));
      return;
    }
    step.take('again', now, step.lastFailure);
    step.rests = outcome.delay > 0;
    if (step.rests) dueTimes.set(step.due, now + outcome.delay);
  }

  /** @param error with which it could not be ended */
  #gone(step: TrackedStep, attempt: Attempt, error: PoolError | undefined, now: number): void {
    if (step.attempt !== attempt) return;
    if (error !== undefined) this.#lose(step, { reason: 'stop-error', error }, now);
    // Not waited for any more, it is gone all the same.
    else if (step.state === 'stop-failed') this.conclude(step, ASKED, now);
    else this.conclude(step, step.leaving?.outcome ?? ASKED, now);
  }

  #lose(step: TrackedStep, cause: Cause, now: number): void {
    if (!step.take('lose', now, cause)) return;
    this.#leave(step, now);
    this.#deps.emit('step:failed', step.report(now));
    this.#deps.changed(step);
  }

  #leave(step: TrackedStep, now: number): void {
    const { queue, dueTimes } = this.#deps;
    step.left(now);
    queue.leave(step);
    queue.delete(step);
    dueTimes.delete(step.due);
  }

  /** Another end takes it in: the one with less time counts. */
  #hasten(step: TrackedStep, takeDown: TakeDown<TrackedStep>, now: number): void {
    const { leaving } = step;
    if (leaving === undefined) return;
    this.#deps.changed(step);
    const { hurryAt, giveUpAt } = takeDown.times(step, now);
    const isShorter = giveUpAt < (leaving.giveUpAt ?? leaving.takeDown.times(step, now).giveUpAt);
    if (leaving.giveUpAt === undefined) {
      const isUrgent = takeDown.mode === 'emergency' || (isShorter && leaving.takeDown.mode !== 'emergency');
      if (isUrgent) leaving.takeDown = takeDown;
      return;
    }
    if (isShorter) {
      leaving.giveUpAt = giveUpAt;
      this.#deps.dueTimes.set(step.due, leaving.isHurried ? giveUpAt : hurryAt);
    }
    if (takeDown.mode === 'emergency') this.#hurry(step, now);
  }

  #hurry(step: TrackedStep, now: number): void {
    const { leaving, attempt } = step;
    if (leaving === undefined || leaving.isHurried) return;
    leaving.isHurried = true;
    this.#deps.outbox.push(() => attempt?.hurry());
    this.#deps.dueTimes.set(step.due, leaving.giveUpAt ?? now);
  }
}
