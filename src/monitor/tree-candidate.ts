import type { MonitoredTree, TreePhase } from './monitored-tree.js';
import type { Candidate } from './victims.js';

/** A tree that could be ended, and its figures. */
export interface TreeCandidate extends Candidate {
  readonly id: string;
  readonly name: string;
  readonly phase: TreePhase;
  readonly memoryMB: number;
  readonly cpuPercent: number;
  readonly excess: number;
  /** Since its start, ms. */
  readonly uptime: number;
}

/** What the last sample shows of a tree. */
type Figures = {
  readonly [K in 'memoryMB' | 'cpuPercent' | 'excess' | 'uptime' | 'growth']?: number | undefined;
};

/** What the choice of whom to end looks at. A tree that was not measured yet has nothing that its end would give back. */
export function candidateOf(
  { id, name, priority, phase, leases, idleSince }: MonitoredTree,
  { memoryMB = 0, cpuPercent = 0, excess = 0, uptime = 0, growth = 0 }: Figures = {},
): TreeCandidate {
  const isSpared = phase === 'ending' || phase === 'foreign';
  const use = { phase, isSpared, isIdle: phase === 'ready' && leases === 0, leases, idleSince };
  return { id, name, priority, ...use, memoryMB, cpuPercent, excess, uptime, growth };
}

/** Of all trees whose end has begun: what comes free by itself. */
export function endingSum(candidates: readonly TreeCandidate[], figure: 'memoryMB' | 'excess'): number {
  return candidates.reduce((sum, candidate) => sum + (candidate.phase === 'ending' ? candidate[figure] : 0), 0);
}

/** The first of these trees that together have so much. */
export function asManyAs(
  chosen: readonly TreeCandidate[],
  much: number,
  figure: 'memoryMB' | 'excess',
): readonly TreeCandidate[] {
  let left = much;
  return chosen.filter((tree) => {
    const isNeeded = left > 0;
    left -= tree[figure];
    return isNeeded;
  });
}
