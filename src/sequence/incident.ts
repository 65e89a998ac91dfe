import type { DependencyExitPolicy } from '../config/sequence-options.js';
import { reachable } from '../runtime/graph.js';
import type { Edge } from './edge.js';
import type { TrackedStep } from './tracked-step.js';

function policyOf({ from, to, required }: Edge<TrackedStep>): DependencyExitPolicy {
  return from.step.onDependencyExit ?? (required && !to.step.recovers ? 'restart' : 'ignore');
}

/** These steps, and all that cannot do without them. */
export function withDependents(steps: Iterable<TrackedStep>): Set<TrackedStep> {
  return reachable(steps, (step) =>
    step.dependents.filter((edge) => edge.isMet && policyOf(edge) !== 'ignore').map(({ from }) => from),
  );
}

/** What the end of a step means for those that depend on it: all that is not ignored, nearest first. */
export function consequencesOf(ended: TrackedStep): Map<TrackedStep, Exclude<DependencyExitPolicy, 'ignore'>> {
  const found = new Map<TrackedStep, Exclude<DependencyExitPolicy, 'ignore'>>();
  // Each step once, however many of its dependencies end: so one incident stops it once.
  const ending = new Set([ended]);
  for (const step of ending) {
    for (const edge of step.dependents) {
      const { from, isMet } = edge;
      // One that does not wait for it any more, though it was not there, does not miss it.
      if (!isMet || !from.isAlive || found.has(from)) continue;
      const policy = policyOf(edge);
      if (policy === 'ignore') continue;
      found.set(from, policy);
      // Those that depend on one that is held keep it.
      if (policy !== 'hold') ending.add(from);
    }
  }
  return found;
}
