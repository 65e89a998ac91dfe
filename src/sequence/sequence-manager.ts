import { readArgument, readLabel } from '../config/arguments.js';
import {
  planAction,
  type ResolvedSequence,
  resolveAddedSteps,
  resolveSequence,
  resolveSequencePlan,
  resolveSequenceStart,
  resolveSequenceStop,
  type SequencePlanAction,
} from '../config/resolve-sequence.js';
import type {
  SequenceOptions,
  SequencePlanOptions,
  SequenceStartOptions,
  SequenceStep,
  SequenceStopOptions,
} from '../config/sequence-options.js';
import { PoolError } from '../errors.js';
import { listenerError, SafeEmitter } from '../events.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import { DueTimer, DueTimes } from '../runtime/due-times.js';
import { KeepAlive } from '../runtime/keep-alive.js';
import { Outbox } from '../runtime/outbox.js';
import { Engine } from './engine.js';
import type { SequenceEvents } from './sequence-events.js';
import {
  dependentsOf,
  needsOf,
  planOf,
  type SequencePlan,
  type SequenceReport,
  type SequenceState,
  type SequenceStatus,
} from './sequence-report.js';
import { Starts } from './starts.js';
import { StepGraph } from './step-graph.js';
import { isOver, isThere, isUp, type StepState } from './step-state.js';
import { Stops } from './stops.js';
import type { TrackedStep } from './tracked-step.js';

/**
 * Starts steps that need one another in the right order, as fast as that allows, and stops them in reverse. A start that cannot
 * succeed leaves nothing. In a pool the steps are its servers; it also works alone, with steps of your own. Its events are
 * {@link SequenceEvents}. It keeps the host alive while a `start()` or a `stop()` is under way, and never otherwise (issue 13).
 */
export class SequenceManager extends SafeEmitter<SequenceEvents> {
  readonly #options: ResolvedSequence['options'];
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #keepAlive = new KeepAlive();
  readonly #dueTimes = new DueTimes();
  readonly #timer: DueTimer;
  readonly #engine: Engine;
  readonly #starts: Starts;
  readonly #stops: Stops;
  readonly #graph = new StepGraph();
  /** Those that should be up, and are not. */
  readonly #missing = new Set<TrackedStep>();
  #state: SequenceState = 'idle';
  /** Since when it is ready or degraded. */
  #since = 0;

  /**
   * @param steps in any order; of two that could start at the same time, and lead equally far, the first one comes first
   * @param options default: none
   * @param clock the source of time. Default: the monotonic clock of Node and its timers
   * @param outbox of a pool, which delivers the events
   * @throws PoolError `INVALID_OPTIONS` that lists every problem: unknown names, cycles with their path, and so on
   */
  constructor(
    steps: readonly SequenceStep[] = [],
    options: SequenceOptions = {},
    clock: Clock = systemClock,
    outbox: Outbox = new Outbox(),
  ) {
    super(outbox);
    const resolved = resolveSequence(steps, options);
    this.#options = resolved.options;
    this.#clock = clock;
    this.#outbox = outbox;
    // Its timer goes with the last call that needs it.
    this.#keepAlive.dispose();
    const dueTimes = this.#dueTimes;
    const run = <T>(task: (now: number) => T) => this.#run(task);
    this.#timer = new DueTimer(clock, dueTimes, () => run((now) => dueTimes.run(now, (error) => this.#fault(error))));
    this.#engine = new Engine({
      ...resolved.options,
      dueTimes,
      outbox,
      run,
      emit: (event, ...payload) => this.emit(event, ...payload),
      onChange: (step) => this.#look(step),
      onFailed: (step, cause, now) => this.#starts.failed(step, cause, now),
      until: (step) => this.#starts.until(step),
    });
    this.#stops = new Stops(this.#engine, (report, isFull) => this.#stopped(report, isFull));
    this.#starts = new Starts({
      ...resolved.options,
      engine: this.#engine,
      dueTimes,
      run,
      isStopping: () => this.#stops.isActive,
      onBegin: ({ steps: wanted }) => this.#begin(wanted),
      onEnd: (report) => this.#started(report),
    });
    this.#graph.add(resolved.steps.map((step) => this.#engine.track(step)));
  }

  /**
   * Starts steps, and what they depend on. Resolves with a report also when that fails: look at its `state`. Several may be under way:
   * what more than one needs is started once. During a stop it waits, within its own time. What is up already stays as it is.
   * @param options default: all steps, within 60,000 ms
   * @throws PoolError `INVALID_OPTIONS`
   */
  async start(options: SequenceStartOptions = {}): Promise<SequenceReport> {
    const { only, ...how } = resolveSequenceStart(options, this.#graph.byId);
    const steps = this.#graph.select(only, needsOf);
    return this.#keepAlive.during(this.#run((now) => this.#starts.call(steps, how, now)));
  }

  /**
   * Stops steps, and what depends on them, in reverse order. Aborts each start under way that cannot do without one of them. Resolves
   * with a report that names what could not be stopped in time (`survivors`). Another call while one is under way may shorten its time, or make an emergency
   * of it. The manager can be started again.
   * @param options default: all steps, `graceful`, within `shutdownTimeout`
   * @throws PoolError `INVALID_OPTIONS`
   */
  async stop(options: SequenceStopOptions = {}): Promise<SequenceReport> {
    const { only, mode, timeout = this.#options.shutdownTimeout } = resolveSequenceStop(options, this.#graph.byId);
    const selected = this.#graph.select(only, dependentsOf);
    const isFull = only === undefined;
    const stopped = this.#run((now) => {
      const steps = selected.filter((step) => isThere(step.state) || step.isOpen);
      this.#starts.abort(isFull ? 'all' : steps, now);
      if (isFull) this.#state = 'stopping';
      return this.#stops.call({ steps, isFull, mode, timeout }, now);
    });
    return this.#keepAlive.during(stopped);
  }

  /**
   * Tells that a step has ended by itself, as `exited` of the {@link StepResult} of its `start()` does: it is started again, and
   * what depends on it goes by its `onDependencyExit`.
   * @returns false when it is not up, or is being stopped
   * @throws PoolError `INVALID_OPTIONS` when there is no such step
   */
  exited(id: string, error?: unknown): boolean {
    const step = this.#stepOf(id, 'exited()');
    return this.#run((now) => this.#engine.exited(step, error, now));
  }

  /**
   * Adds steps, such as those of one start. They may depend on each other, and on those that are there.
   * @throws PoolError `INVALID_OPTIONS` that lists every problem
   */
  add(steps: readonly SequenceStep[]): void {
    const present = this.#graph.all.map(({ step }) => step);
    this.#graph.add(resolveAddedSteps(steps, present).map((step) => this.#engine.track(step)));
  }

  /**
   * Forgets a step that is not up.
   * @returns false when there is none with this id
   * @throws PoolError `INVALID_OPTIONS` when it is up or on the way, or another step depends on it
   */
  remove(id: string): boolean {
    const step = this.#graph.byId.get(readLabel(id, 'id', 'remove()'));
    if (step === undefined) return false;
    const [dependent] = dependentsOf(step);
    const problem = dependent !== undefined ? `'${dependent.id}' depends on it` : isGone(step) ? '' : 'stop it first';
    if (problem !== '') throw invalid(`the step '${id}' cannot be removed: ${problem}`);
    this.#graph.remove(step);
    this.#missing.delete(step);
    return true;
  }

  /** What each step does, what it waits for, and for how long. */
  status(): SequenceStatus {
    const now = this.#clock.now();
    return { state: this.#state, steps: this.#graph.all.map((step) => step.status(now)) };
  }

  /**
   * What one step does; `status()` says more. `stopping` also when it is to be stopped, and waits for those that depend on it.
   * @throws PoolError `INVALID_OPTIONS` when there is no such step
   */
  stateOf(id: string): StepState {
    const { isLeaving, state } = this.#stepOf(id, 'stateOf()');
    return isLeaving ? 'stopping' : state;
  }

  /**
   * What `start()` or `stop()` would do: the waves, of which each needs only those before it, and the longest chain. Steps do not
   * wait for a whole wave, but for what they need.
   * @param action `shutdown` is about what is up now, or on the way
   * @throws PoolError `INVALID_OPTIONS`
   */
  plan(action: SequencePlanAction = 'start', options: SequencePlanOptions = {}): SequencePlan {
    readArgument(planAction, action, 'the action', 'plan()');
    const { only } = resolveSequencePlan(options, this.#graph.byId);
    if (action === 'start') return planOf(this.#graph.select(only, needsOf), needsOf);
    const steps = this.#graph.select(only, dependentsOf).filter((step) => isThere(step.state) || step.isOpen);
    return planOf(steps, dependentsOf);
  }

  override toJSON(): object {
    return { state: this.#state, steps: this.#graph.all.map(({ id, state }) => ({ id, state })) };
  }

  /** Events, and calls of the host, come when the task is complete, with all that follows from it. */
  #run<T>(task: (now: number) => T): T {
    this.#outbox.hold();
    try {
      const now = this.#clock.now();
      const result = task(now);
      do this.#engine.advance(now);
      while (this.#starts.settle(now) || this.#stops.settle(now));
      this.#watch(now);
      return result;
    } finally {
      this.#timer.set();
      this.#timer.rest();
      this.#outbox.release();
    }
  }

  /** A fault of this library when something was due. The rest of what is due is done all the same. */
  #fault(error: unknown): void {
    this.emit('listener:error', listenerError('sequence', error));
  }

  #look(step: TrackedStep): void {
    this.#starts.look(step);
    this.#stops.look(step);
    if (step.isWanted && (step.state !== 'ready' || step.isLeaving)) this.#missing.add(step);
    else this.#missing.delete(step);
  }

  #begin(steps: readonly TrackedStep[]): void {
    this.#state = 'starting';
    this.emit('sequence:started', { waves: planOf(steps, needsOf).waves });
  }

  #started(report: SequenceReport): void {
    const { state } = report;
    if (state !== 'ready' && state !== 'degraded' && state !== 'failed') return;
    if (this.#state === 'starting' && !this.#starts.isActive) this.#state = state;
    this.#since = this.#clock.now();
    this.emit(`sequence:${state}`, report);
  }

  #stopped(report: SequenceReport, isFull: boolean): void {
    const isRest = !isFull && !this.#starts.isActive && this.#graph.all.every(isGone);
    if (!isFull && !isRest) return;
    // Another one may be under way.
    if (!this.#stops.isActive) this.#state = report.state;
    this.emit('sequence:stopped', report);
  }

  /** While no start is under way, steps may end by themselves, and come back. */
  #watch(now: number): void {
    if (this.#state !== 'ready' && this.#state !== 'degraded') return;
    const state = this.#missing.size === 0 ? 'ready' : 'degraded';
    if (state === this.#state) return;
    const steps = this.#graph.all.filter(({ isWanted }) => isWanted);
    this.emit(`sequence:${state}`, {
      ...planOf(steps, needsOf),
      state,
      duration: Math.round(now - this.#since),
      steps: steps.map((step) => step.report(now)),
      survivors: steps.filter((step) => step.state === 'stop-failed').map((step) => step.id),
      error: undefined,
    });
    this.#state = state;
    this.#since = now;
  }

  #stepOf(id: string, call: string): TrackedStep {
    const step = this.#graph.byId.get(readLabel(id, 'id', call));
    if (step === undefined) throw invalid(`id of ${call} must be that of a step, got '${id}'`);
    return step;
  }
}

function isGone(step: TrackedStep): boolean {
  return isOver(step.state) && step.state !== 'stop-failed' && !isUp(step.state);
}

function invalid(problem: string): PoolError {
  return new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}
