import type { DueTimes } from '../runtime/due-times.js';
import type { Engine } from './engine.js';
import { withDependents } from './incident.js';
import type { SequenceReport } from './sequence-report.js';
import { type OnFailure, StartRun } from './start-run.js';
import { sequenceAborted, sequenceTimeout } from './step-errors.js';
import { isUp } from './step-state.js';
import type { Cause, TrackedStep } from './tracked-step.js';

/** One call of `start()`. */
export interface StartCall {
  /** In ms. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Default: that of the manager. */
  readonly onFailure?: OnFailure | undefined;
  /** Ids. Default: all that are required. */
  readonly required?: readonly string[] | undefined;
}

export interface StartsDeps {
  readonly engine: Engine;
  readonly dueTimes: DueTimes;
  readonly onFailure: OnFailure;
  readonly shutdownTimeout: number;
  run(task: (now: number) => void): void;
  /** Whether a stop is under way: what is asked for meanwhile begins after it. */
  isStopping(): boolean;
  onBegin(run: StartRun): void;
  onEnd(report: SequenceReport): void;
}

/** The calls of `start()`, side by side: a step that several need is started once. One that fails takes down what only it needs. */
export class Starts {
  readonly #deps: StartsDeps;
  readonly #waiting: StartRun[] = [];
  readonly #active = new Set<StartRun>();

  constructor(deps: StartsDeps) {
    this.#deps = deps;
  }

  get isActive(): boolean {
    return this.#active.size > 0;
  }

  call(
    steps: readonly TrackedStep[],
    { timeout, signal, onFailure = this.#deps.onFailure, required }: StartCall,
    now: number,
  ): Promise<SequenceReport> {
    const run: StartRun = new StartRun(steps, { timeout, onFailure, required }, now, (later) => this.#late(run, later));
    this.#waiting.push(run);
    this.#deps.dueTimes.set(run.due, run.deadline);
    if (signal !== undefined) {
      const abort = () => this.#deps.run((later) => this.#fail(run, abortedBy(signal), later));
      signal.addEventListener('abort', abort, { once: true });
      run.forget = () => signal.removeEventListener('abort', abort);
      if (signal.aborted) this.#fail(run, abortedBy(signal), now);
    }
    return run.result.promise;
  }

  /** `stop()` was called: for all, or for some steps. */
  abort(steps: readonly TrackedStep[] | 'all', now: number): void {
    const cause = { reason: 'aborted', error: sequenceAborted('by stop()') };
    const isLost = (run: StartRun) => steps === 'all' || steps.some((step) => run.needs(step));
    for (const run of [...this.#waiting, ...this.#active]) if (isLost(run)) this.#fail(run, cause, now);
  }

  /** Something of a step may have changed. */
  look(step: TrackedStep): void {
    for (const run of this.#active) run.look(step);
  }

  /** A step cannot be started. Without one that is required a start is in vain. */
  failed(step: TrackedStep, { error }: Cause, now: number): void {
    for (const run of this.#active)
      if (run.begun.has(step) && run.needs(step)) this.#fail(run, { reason: 'sequence-failed', error }, now);
  }

  /** Clock time after which no attempt of a step may begin. */
  until(step: TrackedStep): number {
    const runs = [...this.#active].filter((run) => run.begun.has(step));
    if (runs.length === 0) return Infinity;
    return Math.max(...runs.map((run) => (run.isHopeful ? run.deadline : -Infinity)));
  }

  /** Ends the starts that are over, and begins those that wait. False when there are neither. */
  settle(now: number): boolean {
    const over = [...this.#active].filter(({ isOver }) => isOver);
    for (const run of over) this.#finish(run, now);
    const next = this.#deps.isStopping() ? [] : this.#waiting.splice(0);
    for (const run of next) this.#begin(run, now);
    return over.length > 0 || next.length > 0;
  }

  #begin(run: StartRun, now: number): void {
    const { engine, onBegin } = this.#deps;
    const others = [...this.#active];
    this.#active.add(run);
    onBegin(run);
    for (const step of run.steps) {
      const isNew = engine.want(step, now);
      if (isNew || others.some(({ begun }) => begun.has(step))) run.begun.add(step);
      run.look(step);
    }
    // It is not started beside what may be left of it.
    const lost = run.steps.find((step) => step.state === 'stop-failed' && run.needs(step));
    if (lost !== undefined) this.#fail(run, { reason: 'sequence-failed', error: lost.cause?.error }, now);
  }

  #late(run: StartRun, now: number): void {
    const isActive = this.#active.has(run);
    const open = isActive ? run.open : run.steps;
    const ids = open.map(({ id }) => id);
    const cause = { reason: 'deadline', error: sequenceTimeout(ids, run.timeout) };
    if (!isActive || open.some((step) => run.needs(step))) return this.#fail(run, cause, now);
    const ending = open.filter((step) => run.begun.has(step) && !this.#handOver(step, run));
    run.late(ending);
    this.#end(run, ending, cause, now);
  }

  #fail(run: StartRun, cause: Cause, now: number): void {
    if (run.failure !== undefined) return;
    if (!this.#active.has(run)) {
      run.fail(cause, []);
      this.#waiting.splice(this.#waiting.indexOf(run), 1);
      this.#resolve(run, now);
      return;
    }
    const isKept = (step: TrackedStep) => run.onFailure === 'keep' && isUp(step.state) && !step.isLeaving;
    const lost = withDependents([...run.begun].filter((step) => !isKept(step)));
    const ending = [...run.begun].filter((step) => lost.has(step) && !this.#handOver(step, run));
    run.fail(cause, ending);
    for (const step of ending) this.#deps.engine.unwant(step);
    this.#end(run, ending, cause, now);
  }

  /** Whether another start needs a step, too: then it is that one's from now on. */
  #handOver(step: TrackedStep, run: StartRun): boolean {
    const heirs = [...this.#active].filter((other) => other !== run && other.isHopeful && other.has(step));
    for (const heir of heirs) heir.begun.add(step);
    return heirs.length > 0;
  }

  #end(run: StartRun, steps: readonly TrackedStep[], cause: Cause, now: number): void {
    const { engine, shutdownTimeout } = this.#deps;
    const takeDown = engine.takeDown(steps, 'graceful', now + shutdownTimeout);
    for (const step of steps)
      if (step.isOpen || isUp(step.state)) engine.end(step, run.outcomeOf(step, cause), takeDown, now);
  }

  #finish(run: StartRun, now: number): void {
    this.#active.delete(run);
    // What one start has brought up no other takes down.
    if (run.failure === undefined)
      for (const other of this.#active) for (const step of run.steps) if (isUp(step.state)) other.begun.delete(step);
    this.#deps.onEnd(this.#resolve(run, now));
  }

  #resolve(run: StartRun, now: number): SequenceReport {
    this.#deps.dueTimes.delete(run.due);
    run.forget();
    const report = run.report(now);
    run.result.resolve(report);
    return report;
  }
}

function abortedBy(signal: AbortSignal): Cause {
  return { reason: 'aborted', error: sequenceAborted('by its signal', signal.reason) };
}
