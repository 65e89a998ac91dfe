import type { PooledInstance } from './pooled-instance.js';
import type { ServerEntry } from './server-entry.js';

/**
 * The slots of a pool and of its servers. An instance has a slot from the tick of its spawn until its death is proven, and may
 * leave it to a successor.
 */
export class Slots {
  /** Number of slots of the pool. */
  readonly limit: number;
  /** Slots taken. */
  used = 0;
  /** Largest number of slots that were taken at the same time. */
  mostUsed = 0;
  /** Number of slots that come free. */
  ending = 0;
  /** By predecessor: the successor that waits for its slot. */
  readonly #successors = new Map<PooledInstance, PooledInstance>();
  /** The same by successor. */
  readonly #predecessors = new Map<PooledInstance, PooledInstance>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get isFull(): boolean {
    return this.used >= this.limit;
  }

  take(entry: ServerEntry): void {
    entry.used += 1;
    this.used += 1;
    this.mostUsed = Math.max(this.mostUsed, this.used);
  }

  /** `successor` gets the slot of `predecessor` when the predecessor is proven dead. */
  bequeath(entry: ServerEntry, predecessor: PooledInstance, successor: PooledInstance): void {
    this.#link(predecessor, successor);
    this.keep(entry, predecessor);
  }

  /** `predecessor` could not be ended and keeps its slot: its successor takes another one. */
  separate(entry: ServerEntry, predecessor: PooledInstance): void {
    if (this.#unlink(predecessor)) this.take(entry);
  }

  /** The instance that has the slot for which this one waits; undefined when it waits for none. */
  predecessorOf(instance: PooledInstance): PooledInstance | undefined {
    return this.#predecessors.get(instance);
  }

  /** The instance that waits for the slot of this one. */
  successorOf(instance: PooledInstance): PooledInstance | undefined {
    return this.#successors.get(instance);
  }

  /** An instance is being ended: its slot comes free, unless a successor gets it or it has none yet. */
  free(entry: ServerEntry, instance: PooledInstance): void {
    if (this.#successors.has(instance) || this.#predecessors.has(instance)) return;
    this.#comesFree(entry, instance);
  }

  /** The slot of an instance does not come free for callers. */
  keep(entry: ServerEntry, instance: PooledInstance): void {
    if (entry.ending.delete(instance)) this.ending -= 1;
  }

  /** An instance is dead: gives its slot back, or to its successor. */
  giveBack(entry: ServerEntry, instance: PooledInstance): void {
    this.keep(entry, instance);
    const predecessor = this.predecessorOf(instance);
    const successor = this.#unlink(instance);
    if (predecessor) {
      // It never had the slot. Its own successor waits for the slot instead, or the slot comes free with the predecessor.
      this.#unlink(predecessor);
      if (successor) this.#link(predecessor, successor);
      else if (predecessor.state === 'stopping') this.#comesFree(entry, predecessor);
    } else if (successor === undefined) {
      entry.used -= 1;
      this.used -= 1;
    }
  }

  #link(predecessor: PooledInstance, successor: PooledInstance): void {
    this.#successors.set(predecessor, successor);
    this.#predecessors.set(successor, predecessor);
  }

  /** Returns the successor that has waited for the slot of `predecessor`. */
  #unlink(predecessor: PooledInstance): PooledInstance | undefined {
    const successor = this.#successors.get(predecessor);
    if (successor === undefined) return undefined;
    this.#successors.delete(predecessor);
    this.#predecessors.delete(successor);
    return successor;
  }

  #comesFree(entry: ServerEntry, instance: PooledInstance): void {
    entry.ending.add(instance);
    this.ending += 1;
  }
}
