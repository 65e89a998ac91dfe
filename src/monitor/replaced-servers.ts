import { BoundedMap } from '../runtime/bounded-map.js';
import type { ReplacedTree } from './finding.js';
import { GrowingPause } from './growing-pause.js';

/** The last replacement of a server for one kind of reason. */
interface Replacement {
  readonly name: string;
  /** Clock time, ms. */
  at: number;
  value: number;
  isUrgent: boolean;
  readonly pause: GrowingPause;
}

/** The start times of processes are in ticks, ms. */
const SAME_TIME = 1_000;
/** What needs this many times as much as the one before it cannot wait for a pause. */
const MUCH_MORE = 1.5;
/** Most replacements that are known. */
const MOST = 1_000;

/**
 * The servers of which a tree was replaced. The next one may need as much: then another replacement does not help either, and
 * rests for a pause that grows. It is fed clock times.
 */
export class ReplacedServers {
  readonly #firstPause: number;
  /** By kind and server. */
  readonly #known = new BoundedMap<Replacement>(MOST);

  /** @param firstPause ms */
  constructor(firstPause: number) {
    this.#firstPause = firstPause;
  }

  /** Whether a tree that has come for another rests: it needs as much, and the pause is not over. */
  rests(at: number, tree: ReplacedTree): boolean {
    const known = this.#known.get(keyOf(tree));
    if (known === undefined || !known.pause.isOn(at) || !hasComeFor(known, at, tree.uptime)) return false;
    return tree.value < MUCH_MORE * known.value && (known.isUrgent || !tree.isUrgent);
  }

  /** A tree is replaced. */
  note(at: number, tree: ReplacedTree): void {
    const { name, uptime, value, isUrgent } = tree;
    const key = keyOf(tree);
    const known = this.#known.get(key);
    if (known?.pause.isOn(at) && !hasComeFor(known, at, uptime)) {
      // One of several that were there before: that one more is replaced does not show that it does not help.
      known.value = Math.max(known.value, value);
      known.isUrgent ||= isUrgent;
      return;
    }
    const pause = known?.pause ?? new GrowingPause(this.#firstPause);
    pause.begin(at);
    this.#known.set(key, { name, at, value, isUrgent, pause });
  }

  /** A tree that has come for another needs little: the replacement has helped. */
  helped(at: number, tree: Pick<ReplacedTree, 'kind' | 'name' | 'uptime'>): void {
    const known = this.#known.get(keyOf(tree));
    if (known && hasComeFor(known, at, tree.uptime)) this.#known.delete(keyOf(tree));
  }

  /** The next trees of this server are others: its definition has changed. */
  forget(name: string): void {
    for (const [key, known] of this.#known) if (known.name === name) this.#known.delete(key);
  }
}

function keyOf({ kind, name }: Pick<ReplacedTree, 'kind' | 'name'>): string {
  return `${kind} ${name}`;
}

function hasComeFor({ at: replacedAt }: Replacement, at: number, uptime: number): boolean {
  return uptime <= at - replacedAt + SAME_TIME;
}
