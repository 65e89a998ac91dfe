import { checkedUsage } from '../process/usage/checked-usage.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { Clock } from '../runtime/clock.js';
import { within } from '../runtime/within.js';
import { keyOf, type MonitoredTree } from './monitored-tree.js';

/** How long an answer may take, ms; at least the interval. */
const LEAST_ANSWER = 10_000;

/**
 * Asks trees what they use. One that has not answered in time is not asked again before it does: what hangs would gather, and
 * each sample would wait for it. One that has answered too late is waited for no longer than an interval.
 */
export class AskedTrees {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #longest: number;
  /** By key of the tree: its open question. */
  readonly #asked = new Map<string, { readonly at: number }>();
  /** Keys of trees whose last answer came too late, or has not come. */
  readonly #late = new Set<string>();

  /** @param interval from one sample to the next, ms */
  constructor(clock: Clock, interval: number) {
    this.#clock = clock;
    this.#interval = interval;
    this.#longest = Math.max(interval, LEAST_ANSWER);
  }

  /** Rejects when it cannot be measured, does not answer in time, or answers what is no usage. */
  async ask(tree: MonitoredTree): Promise<TreeUsage | undefined> {
    const key = keyOf(tree);
    const now = this.#clock.now();
    const open = this.#asked.get(key);
    if (open !== undefined) throw new Error(`no answer for ${Math.round(now - open.at)} ms`);
    const answer = tree.usage();
    const question = { at: now };
    const longest = this.#late.has(key) ? this.#interval : this.#longest;
    this.#asked.set(key, question);
    this.#late.add(key);
    const answered = () => {
      // Another tree may have its id by then.
      if (this.#asked.get(key) !== question) return;
      this.#asked.delete(key);
      if (this.#clock.now() - now < this.#longest) this.#late.delete(key);
    };
    answer.then(answered, answered);
    return checkedUsage(await within(this.#clock, longest, answer));
  }

  /** Forgets all but these: the others are gone, and will not answer. */
  keep(trees: readonly MonitoredTree[]): void {
    if (this.#late.size === 0) return;
    const present = new Set(trees.map(keyOf));
    for (const key of this.#late) if (!present.has(key)) this.#late.delete(key);
    for (const key of this.#asked.keys()) if (!present.has(key)) this.#asked.delete(key);
  }
}
