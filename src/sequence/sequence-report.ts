import type { PoolError } from '../errors.js';
import { levelsOf, longestPath, wavesOf } from '../runtime/graph.js';
import type { StepReport, StepStatus } from './step-report.js';
import type { TrackedStep } from './tracked-step.js';

/**
 * `idle`: nothing was asked for yet. `starting`: a start is under way. `ready`: all that was asked for is up. `degraded`: not all
 * of it. `failed`: the last start has failed, or a stop has left something. `stopping`: a stop of everything is under way.
 * `stopped`: it is complete.
 */
export type SequenceState = 'idle' | 'starting' | 'ready' | 'degraded' | 'failed' | 'stopping' | 'stopped';

/** What came of a start or a stop. `JSON.stringify()` writes it. */
export interface SequenceReport {
  readonly state: SequenceState;
  /** In ms. */
  readonly duration: number;
  /** Ids, in the order of the start or of the stop: those of a wave need only waves before it. */
  readonly waves: readonly (readonly string[])[];
  /** The steps that it took so long for, one after the other, in the order of the start or of the stop. */
  readonly criticalPath: readonly string[];
  readonly steps: readonly StepReport[];
  /** Those of which something may be left: `stop-failed`. */
  readonly survivors: readonly string[];
  /** Why a start has failed. `error.data.name` is the step, if it was one. */
  readonly error: PoolError | undefined;
}

/** What a start or a stop would do. */
export interface SequencePlan {
  /** The ids of the steps, wave by wave: those of one wave need none of the waves after it. */
  readonly waves: readonly (readonly string[])[];
  /** The longest chain of steps that need one another. */
  readonly criticalPath: readonly string[];
}

/** All steps now. */
export interface SequenceStatus {
  readonly state: SequenceState;
  readonly steps: readonly StepStatus[];
}

/** The steps that a step depends on; that depend on it. */
export const needsOf = (step: TrackedStep): readonly TrackedStep[] => step.needs.map(({ to }) => to);
export const dependentsOf = (step: TrackedStep): readonly TrackedStep[] => step.dependents.map(({ from }) => from);

/** @param before the steps that come before one: those that it needs, or in a stop those that depend on it */
export function planOf(
  steps: readonly TrackedStep[],
  before: (step: TrackedStep) => readonly TrackedStep[],
): SequencePlan {
  const levels = levelsOf(steps, before);
  return { waves: wavesOf(steps, levels).map(idsOf), criticalPath: idsOf(longestPath(steps, levels, before)) };
}

/**
 * The chain of steps that made a start end when it did: before each stands the one that it waited for last.
 * @param failed id of the step for which it has failed
 */
export function startPath(steps: readonly TrackedStep[], since: number, failed: string | undefined): string[] {
  const last = failed === undefined ? latest(steps) : steps.find(({ id }) => id === failed);
  return pathTo(last, ({ needs }) => {
    const during = needs.filter(({ metAt }) => metAt >= since);
    const latestMet = Math.max(...during.map(({ metAt }) => metAt));
    return during.find(({ metAt }) => metAt === latestMet)?.to;
  });
}

/** The same of a stop: a step waits for those that depend on it. */
export function stopPath(steps: readonly TrackedStep[]): string[] {
  const all = new Set(steps);
  return pathTo(latest(steps), (step) => latest(dependentsOf(step).filter((one) => all.has(one))));
}

function pathTo(last: TrackedStep | undefined, before: (step: TrackedStep) => TrackedStep | undefined): string[] {
  const path: TrackedStep[] = [];
  for (let step = last; step !== undefined; step = before(step)) path.push(step);
  return idsOf(path.reverse());
}

function latest(steps: readonly TrackedStep[]): TrackedStep | undefined {
  return steps
    .filter(({ attempts }) => attempts > 0)
    .reduce<TrackedStep | undefined>((most, one) => (one.changedAt > (most?.changedAt ?? -1) ? one : most), undefined);
}

function idsOf(steps: readonly TrackedStep[]): string[] {
  return steps.map(({ id }) => id);
}
