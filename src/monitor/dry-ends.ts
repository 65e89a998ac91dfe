import type { ActionKind } from './finding.js';
import type { MonitoredTree, TreePhase } from './monitored-tree.js';

/** What would have been done with a tree. */
interface DryEnd {
  readonly kind: ActionKind;
  readonly phase: Extract<TreePhase, 'leaving' | 'ending'>;
}

const HAS_ENDED: readonly TreePhase[] = ['ending', 'overdue', 'foreign'];

/**
 * With `dryRun`: the trees that would be leaving, or ending, by now. They count as if they were, so that the same is decided as
 * without it, and each action is reported once; until the reason is gone.
 */
export class DryEnds {
  readonly #ends = new Map<string, DryEnd>();

  /** Something would have been done with these trees. */
  note(ids: readonly string[], end: DryEnd): void {
    for (const id of ids) this.#ends.set(id, end);
  }

  /** The tree as it would be. */
  seen(tree: MonitoredTree): MonitoredTree {
    const end = this.#ends.get(tree.id);
    // One that really ends has gone further.
    if (end === undefined || HAS_ENDED.includes(tree.phase)) return tree;
    return { ...tree, phase: end.phase, endGrace: Infinity };
  }

  /** Forgets those without a reason by now. */
  keep(isSo: (id: string, kind: ActionKind) => boolean): void {
    for (const [id, { kind }] of this.#ends) if (!isSo(id, kind)) this.#ends.delete(id);
  }
}
