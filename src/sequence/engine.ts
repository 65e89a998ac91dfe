import type { ResolvedStep } from '../config/resolve-sequence.js';
import type { StopMode } from '../config/sequence-options.js';
import { Attempt } from './attempt.js';
import type { Edge } from './edge.js';
import { Ends } from './ends.js';
import type { EngineDeps } from './engine-deps.js';
import { consequencesOf } from './incident.js';
import { failuresAfter, retryDelay } from './retry.js';
import { needsOf } from './sequence-report.js';
import { StartQueue } from './start-queue.js';
import { dependencyFailed, stepExited, stepFailed, stepTimeout } from './step-errors.js';
import { isUp } from './step-state.js';
import { TakeDown } from './take-down.js';
import { type Cause, type Outcome, TrackedStep } from './tracked-step.js';

/**
 * Brings steps up and down: a step begins when what it needs is there, and ends when nothing that depends on it is left. It knows
 * no start as a whole. What follows from a change of a step is done by `advance()`, one step after the other, so that no chain of
 * steps becomes a chain of calls.
 */
export class Engine {
  readonly #deps: EngineDeps;
  readonly #queue: StartQueue;
  readonly #ends: Ends;
  /** Steps of which something has changed. */
  #changed: TrackedStep[] = [];
  /** Steps that have begun to wait. */
  readonly #waiting = new Set<TrackedStep>();

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    this.#queue = new StartQueue(deps.concurrency);
    this.#ends = new Ends({ ...deps, queue: this.#queue, changed: (step) => this.#change(step) });
  }

  track(step: ResolvedStep): TrackedStep {
    const tracked: TrackedStep = new TrackedStep(step, (now) => this.#fallDue(tracked, now));
    return tracked;
  }

  /** A start needs a step. False when it is there, or comes already, or could not be stopped. */
  want(step: TrackedStep, now: number): boolean {
    const { leaving } = step;
    step.isWanted = true;
    if (leaving !== undefined) leaving.outcome = { next: 'again', delay: 0 };
    else if (!step.take('want', now)) return false;
    this.#change(step);
    return true;
  }

  /** It need not be up any more. */
  unwant(step: TrackedStep): void {
    step.isWanted = false;
    this.#change(step);
  }

  /** Ends a step when what depends on it is gone. */
  end(step: TrackedStep, outcome: Outcome, takeDown: TakeDown<TrackedStep>, now: number): void {
    this.#ends.end(step, outcome, takeDown, now);
  }

  /** Steps that are ended together, within one time. */
  takeDown(steps: readonly TrackedStep[], mode: StopMode, deadline: number): TakeDown<TrackedStep> {
    return new TakeDown(mode, deadline, steps, needsOf);
  }

  /** A step has ended by itself, as its host says. False when it is not there, or is to be ended. */
  exited(step: TrackedStep, error: unknown, now: number): boolean {
    const { attempt } = step;
    if (attempt === undefined || attempt.hasExited) return false;
    attempt.noteExit();
    return this.#exited(step, error, now);
  }

  /** Does all that can be done now. */
  advance(now: number): void {
    for (;;) {
      // The length is read anew each time: a change may cause others.
      for (let done = 0; done < this.#changed.length; done++) this.#spread(this.#changed[done] as TrackedStep, now);
      this.#changed = [];
      const next = this.#queue.next();
      if (next === undefined) break;
      this.#begin(next, now);
    }
    for (const step of this.#waiting) {
      if (step.state === 'waiting') this.#deps.emit('step:waiting', { id: step.id, waitsFor: step.waitsFor(now) });
    }
    this.#waiting.clear();
  }

  #change(step: TrackedStep): void {
    this.#changed.push(step);
  }

  /** What a change of a step means for itself and for its neighbours. */
  #spread(step: TrackedStep, now: number): void {
    for (const edge of step.dependents) {
      edge.from.look(edge, now);
      this.#consider(edge.from, now);
      this.#ask(edge, now);
    }
    for (const edge of step.needs) {
      step.look(edge, now);
      this.#consider(edge.to, now);
      this.#ask(edge, now);
    }
    this.#consider(step, now);
    if (step.state === 'waiting') this.#waiting.add(step);
    this.#deps.onChange(step);
  }

  /** Begins what a step has waited for. */
  #consider(step: TrackedStep, now: number): void {
    if (step.isLeaving) this.#ends.proceed(step, now);
    else if (step.state === 'waiting' && step.isFree) this.#queue.add(step);
    else this.#queue.delete(step);
    if (step.isLeaving || step.unmet > 0 || !step.take('resume', now)) return;
    this.#deps.emit('step:resumed', { id: step.id });
    this.#change(step);
  }

  /** What a step that waits does about one that it waits for. */
  #ask(edge: Edge<TrackedStep>, now: number): void {
    const { from, to, condition, isMet, isBroken } = edge;
    if (isMet || from.isLeaving || (from.state !== 'waiting' && from.state !== 'held')) return;
    if (isBroken) this.#broken(edge, now);
    else if (condition === 'healthy' && from.state === 'waiting' && isUp(to.state) && !to.isLeaving)
      this.#prove(to, now);
  }

  /** Only what something waits for is proven to work. */
  #prove(step: TrackedStep, now: number): void {
    const { attempt } = step;
    if (!attempt?.claimProof()) return;
    this.#deps.dueTimes.set(step.due, now + step.step.timeout);
    this.#deps.outbox.push(() => void attempt.prove());
  }

  /** A step that waits for one that will not come cannot be started. One that is held goes, with what depends on it. */
  #broken({ from, to }: Edge<TrackedStep>, now: number): void {
    const cause = { reason: 'dependency-failed', error: dependencyFailed(from.id, to.id, to.cause?.error) };
    if (from.state === 'waiting') {
      this.#ends.conclude(from, { next: 'skip', ...cause }, now);
      this.#deps.onFailed(from, cause, now);
    } else if (from.state === 'held') {
      const { takeDown } = this.#cascade(from, now);
      this.end(from, { next: 'gone', ...cause }, takeDown, now);
    }
  }

  #begin(step: TrackedStep, now: number): void {
    const { emit, outbox, dueTimes } = this.#deps;
    step.take('begin', now);
    const attempt = this.#attemptOf(step);
    step.attempt = attempt;
    const { id, attempts, waitedFor } = step.report(now);
    emit('step:starting', { id, attempt: attempts, waitedFor });
    dueTimes.set(step.due, now + step.step.timeout);
    outbox.push(() => void attempt.run());
    this.#change(step);
  }

  /** What comes of an attempt counts as long as it is the one of its step, and that is not to be ended. */
  #attemptOf(step: TrackedStep): Attempt {
    const when = (handle: (now: number) => void) =>
      this.#deps.run((now) => {
        if (step.attempt === attempt && step.isAlive) handle(now);
      });
    const attempt: Attempt = new Attempt(step.step, {
      started: () => when((now) => this.#started(step, now)),
      ready: () => when((now) => this.#ready(step, now)),
      healthy: () => when(() => this.#healthy(step)),
      failed: (error) => when((now) => this.#fail(step, { reason: 'error', error: stepFailed(step.id, error) }, now)),
      skipped: (reason) => when((now) => this.#ends.conclude(step, { next: 'skip', reason }, now)),
      exited: (error) =>
        this.#deps.run((now) => {
          if (step.attempt === attempt) this.#exited(step, error, now);
        }),
    });
    return attempt;
  }

  #started(step: TrackedStep, now: number): void {
    if (!step.take('start', now)) return;
    const { id, attempts, duration } = step.report(now);
    this.#deps.emit('step:started', { id, attempt: attempts, duration });
    this.#change(step);
  }

  #ready(step: TrackedStep, now: number): void {
    if (!step.take('ready', now)) return;
    this.#queue.leave(step);
    this.#deps.dueTimes.delete(step.due);
    this.#deps.emit('step:ready', step.report(now));
    if (step.unmet > 0 && step.step.onDependencyExit === 'hold') this.#hold(step, now);
    this.#change(step);
  }

  #healthy(step: TrackedStep): void {
    step.prove();
    this.#deps.dueTimes.delete(step.due);
    this.#change(step);
  }

  #hold(step: TrackedStep, now: number): void {
    if (!step.take('hold', now)) return;
    this.#deps.emit('step:held', { id: step.id });
    this.#change(step);
  }

  /** False when it is to be ended: then there is nothing left to do, unless that has begun. */
  #exited(step: TrackedStep, error: unknown, now: number): boolean {
    const { isAlive } = step;
    if (isAlive) this.#fail(step, { reason: 'exited', error: stepExited(step.id, error) }, now);
    else this.#ends.exited(step, now);
    return isAlive;
  }

  /** An attempt has failed, or its step has ended by itself: the step is tried again, or has failed. */
  #fail(step: TrackedStep, cause: Cause, now: number): void {
    const { emit, until, onFailed } = this.#deps;
    const { id, attempts: attempt, state } = step;
    step.lastFailure = cause;
    step.failures = failuresAfter(step.failures, cause.reason === 'exited' ? step.uptime(now) : 0);
    const delay = retryDelay(step.failures, step.step, now, until(step));
    const { takeDown, affected, stopped } = this.#cascade(step, now);
    if (cause.reason === 'exited' && state !== 'starting') emit('step:exited', { id, error: cause.error, ...affected });
    if (delay !== undefined) {
      emit('step:retrying', { id, attempt, delay, reason: cause.reason, error: cause.error });
      this.end(step, { next: 'again', delay }, takeDown, now);
    } else {
      this.end(step, { next: 'fail', ...cause }, takeDown, now);
      onFailed(step, cause, now);
    }
    for (const one of stopped)
      onFailed(one, { reason: 'dependency-exited', error: dependencyFailed(one.id, id, cause.error) }, now);
  }

  /** What depends on a step that has ended is started again, stopped, or held: each by its `onDependencyExit`. */
  #cascade(step: TrackedStep, now: number) {
    const consequences = consequencesOf(step);
    const affected = { restarted: [] as string[], held: [] as string[], stopped: [] as string[] };
    const stopped: TrackedStep[] = [];
    const ending = [...consequences].flatMap(([one, policy]) => (policy === 'hold' ? [] : [one]));
    const takeDown = this.takeDown([step, ...ending], 'graceful', now + this.#deps.shutdownTimeout);
    for (const [one, policy] of consequences) {
      if (policy === 'hold') {
        affected.held.push(one.id);
        this.#hold(one, now);
      } else if (policy === 'restart') {
        affected.restarted.push(one.id);
        this.end(one, { next: 'again', delay: 0 }, takeDown, now);
      } else {
        affected.stopped.push(one.id);
        stopped.push(one);
        this.end(one, { next: 'gone', reason: 'dependency-exited' }, takeDown, now);
      }
    }
    return { takeDown, affected, stopped };
  }

  /** A pause, an attempt or an end has lasted as long as it may. */
  #fallDue(step: TrackedStep, now: number): void {
    if (step.isLeaving) this.#ends.fallDue(step, now);
    else if (step.state === 'waiting') {
      step.rested(now);
      this.#change(step);
    } else if (step.isAlive) {
      const error = stepTimeout(step.id, step.step.timeout, 'ready');
      this.#fail(step, { reason: 'timeout', error }, now);
    }
  }
}
