import type { MonitoredTree, TreePhase } from './monitored-tree.js';
import type { Candidate } from './victims.js';

/** A tree that could be ended, and its figures. */
export interface TreeCandidate extends Candidate {
  readonly id: string;
  readonly name: string;
  readonly phase: TreePhase;
  readonly memoryMB: number;
  readonly cpuPercent: number;
  readonly unexpected: number;
  /** Since its start, ms. */
  readonly uptime: number;
}

/** What the last sample shows of a tree. */
type Figures = {
  readonly [K in 'memoryMB' | 'cpuPercent' | 'unexpected' | 'uptime' | 'growth']?: number | undefined;
};

/**
 * What the choice of which trees end looks at. A tree that was not measured yet has nothing that its end would give back.
 * @param isStale whether it could not be measured in the last sample
 */
export function candidateOf(
  { id, name, priority, phase, leases, idleSince }: MonitoredTree,
  { memoryMB = 0, cpuPercent = 0, unexpected = 0, uptime = 0, growth = 0 }: Figures = {},
  isStale = false,
): TreeCandidate {
  const isSpared = phase === 'ending' || phase === 'overdue' || phase === 'foreign';
  const use = { phase, isSpared, isStale, isIdle: phase === 'ready' && leases === 0, leases, idleSince };
  return { id, name, priority, ...use, memoryMB, cpuPercent, unexpected, uptime, growth };
}

/** Of all trees that are ending: what comes free by itself. What could not be measured is not in the sums either. */
export function endingSum(candidates: readonly TreeCandidate[], figure: 'memoryMB' | 'unexpected'): number {
  const ending = candidates.filter(({ phase, isStale }) => phase === 'ending' && !isStale);
  return ending.reduce((sum, candidate) => sum + candidate[figure], 0);
}

/** The first of these trees that together have so much. */
export function asManyAs(
  chosen: readonly TreeCandidate[],
  much: number,
  figure: 'memoryMB' | 'unexpected',
): readonly TreeCandidate[] {
  let left = much;
  return chosen.filter((tree) => {
    const isNeeded = left > 0;
    left -= tree[figure];
    return isNeeded;
  });
}
