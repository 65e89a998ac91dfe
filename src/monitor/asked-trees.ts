import { checkedUsage } from '../process/usage/checked-usage.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { Clock } from '../runtime/clock.js';
import { within } from '../runtime/within.js';
import { keyOf, type MonitoredTree } from './monitored-tree.js';

/**
 * Asks trees what they use. One that has not answered in time is not asked again before it does: what hangs would gather, and
 * each sample would wait for it.
 */
export class AskedTrees {
  readonly #clock: Clock;
  /** How long an answer may take, ms. */
  readonly #longest: number;
  /** By key of the tree: its open question. */
  readonly #asked = new Map<string, { readonly at: number }>();

  constructor(clock: Clock, longest: number) {
    this.#clock = clock;
    this.#longest = longest;
  }

  /** Rejects when it cannot be measured, does not answer in time, or answers what is no usage. */
  async ask(tree: MonitoredTree): Promise<TreeUsage | undefined> {
    const key = keyOf(tree);
    const now = this.#clock.now();
    const open = this.#asked.get(key);
    if (open !== undefined) throw new Error(`no answer for ${Math.round(now - open.at)} ms`);
    const answer = tree.usage();
    const question = { at: now };
    this.#asked.set(key, question);
    // Another tree may have its id by then.
    const answered = () => void (this.#asked.get(key) === question && this.#asked.delete(key));
    answer.then(answered, answered);
    return checkedUsage(await within(this.#clock, this.#longest, answer));
  }

  /** Forgets all but these: the others are gone, and will not answer. */
  keep(trees: readonly MonitoredTree[]): void {
    if (this.#asked.size === 0) return;
    const present = new Set(trees.map(keyOf));
    for (const key of this.#asked.keys()) if (!present.has(key)) this.#asked.delete(key);
  }
}
