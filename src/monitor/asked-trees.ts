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
  /** By key of the tree: its last question, unless that was answered in time. */
  readonly #asked = new Map<string, { readonly at: number; isOpen: boolean }>();

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
    const last = this.#asked.get(key);
    if (last?.isOpen) throw new Error(`no answer for ${Math.round(now - last.at)} ms`);
    const answer = tree.usage();
    const question = { at: now, isOpen: true };
    this.#asked.set(key, question);
    const answered = () => {
      question.isOpen = false;
      const isInTime = this.#clock.now() - now < this.#longest;
      // Another tree may have its id by then.
      if (isInTime && this.#asked.get(key) === question) this.#asked.delete(key);
    };
    answer.then(answered, answered);
    const longest = last === undefined ? this.#longest : this.#interval;
    return checkedUsage(await within(this.#clock, longest, answer));
  }

  /** Forgets all but these: the others are gone, and will not answer. */
  keep(trees: readonly MonitoredTree[]): void {
    if (this.#asked.size === 0) return;
    const present = new Set(trees.map(keyOf));
    for (const key of this.#asked.keys()) if (!present.has(key)) this.#asked.delete(key);
  }
}
