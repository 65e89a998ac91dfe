import { levelsOf, reachable } from '../runtime/graph.js';
import { Edge } from './edge.js';
import { dependentsOf } from './sequence-report.js';
import type { TrackedStep } from './tracked-step.js';

/** More than there can be steps: the length of the path comes before the order in which they were given. */
const MORE_THAN_ALL = 100_000;

/** All steps of a manager, and what connects them. */
export class StepGraph {
  readonly #byId = new Map<string, TrackedStep>();

  get byId(): ReadonlyMap<string, TrackedStep> {
    return this.#byId;
  }

  /** In the order in which they were added. */
  get all(): TrackedStep[] {
    return [...this.#byId.values()];
  }

  /** The names of their dependencies were checked. */
  add(steps: readonly TrackedStep[]): void {
    for (const step of steps) this.#byId.set(step.id, step);
    for (const step of steps) {
      step.connect(
        step.step.dependencies.flatMap((dependency) => {
          const to = this.#byId.get(dependency.id);
          return to === undefined ? [] : [new Edge(step, to, dependency)];
        }),
      );
    }
    this.#rank();
  }

  /** To be called for one that no other depends on. */
  remove(step: TrackedStep): void {
    this.#byId.delete(step.id);
    step.disconnect();
  }

  /**
   * These steps with all that follows from them, in the order in which they were added.
   * @param ids default: all
   */
  select(
    ids: readonly string[] | undefined,
    next: (step: TrackedStep) => readonly TrackedStep[],
  ): readonly TrackedStep[] {
    if (ids === undefined) return this.all;
    const named = ids.flatMap((id) => this.#byId.get(id) ?? []);
    const selected = reachable(named, next);
    return this.all.filter((step) => selected.has(step));
  }

  /** Of two steps that could be begun, the one with the longer path of steps after it comes first. */
  #rank(): void {
    const { all } = this;
    const levels = levelsOf(all, dependentsOf);
    for (const [index, step] of all.entries()) step.priority = index - (levels.get(step) ?? 0) * MORE_THAN_ALL;
  }
}
