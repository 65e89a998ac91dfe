import type { StopMode } from '../config/sequence-options.js';
import { type Deferred, deferred } from '../runtime/deferred.js';
import type { Engine } from './engine.js';
import { dependentsOf, planOf, type SequenceReport, stopPath } from './sequence-report.js';
import { isUp } from './step-state.js';
import type { TrackedStep } from './tracked-step.js';

interface StopRun {
  readonly steps: readonly TrackedStep[];
  /** Those that are not gone. */
  readonly open: Set<TrackedStep>;
  readonly isFull: boolean;
  readonly waves: SequenceReport['waves'];
  readonly since: number;
  readonly result: Deferred<SequenceReport>;
}

export interface StopCall {
  /** All that is there, or comes, of what is to be stopped; with what depends on it. */
  readonly steps: readonly TrackedStep[];
  /** Whether that is all. */
  readonly isFull: boolean;
  readonly mode: StopMode;
  /** In ms. */
  readonly timeout: number;
}

/** The calls of `stop()`. Several may be under way: each waits for its own steps. */
export class Stops {
  readonly #engine: Engine;
  readonly #onEnd: (report: SequenceReport, isFull: boolean) => void;
  readonly #active = new Set<StopRun>();

  constructor(engine: Engine, onEnd: (report: SequenceReport, isFull: boolean) => void) {
    this.#engine = engine;
    this.#onEnd = onEnd;
  }

  get isActive(): boolean {
    return this.#active.size > 0;
  }

  call({ steps, isFull, mode, timeout }: StopCall, now: number): Promise<SequenceReport> {
    const { waves } = planOf(steps, dependentsOf);
    const run: StopRun = { steps, open: new Set(steps), isFull, waves, since: now, result: deferred() };
    this.#active.add(run);
    const takeDown = this.#engine.takeDown(steps, mode, now + timeout);
    for (const step of steps) {
      this.#engine.unwant(step);
      this.#engine.end(step, { next: 'gone', reason: 'asked' }, takeDown, now);
    }
    return run.result.promise;
  }

  /** Something of a step may have changed. */
  look(step: TrackedStep): void {
    if (!step.isOpen && !isUp(step.state)) for (const { open } of this.#active) open.delete(step);
  }

  /** Ends the stops that are complete. False when none is. */
  settle(now: number): boolean {
    const complete = [...this.#active].filter(({ open }) => open.size === 0);
    for (const run of complete) {
      this.#active.delete(run);
      const report = reportOf(run, now);
      run.result.resolve(report);
      this.#onEnd(report, run.isFull);
    }
    return complete.length > 0;
  }
}

function reportOf({ steps, waves, since }: StopRun, now: number): SequenceReport {
  const survivors = steps.filter(({ state }) => state === 'stop-failed').map(({ id }) => id);
  return {
    state: survivors.length > 0 ? 'failed' : 'stopped',
    duration: Math.round(now - since),
    waves,
    criticalPath: stopPath(steps),
    steps: steps.map((step) => step.report(now)),
    survivors,
    error: undefined,
  };
}
