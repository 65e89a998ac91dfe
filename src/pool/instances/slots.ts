import type { PooledInstance } from './pooled-instance.js';
import type { ServerEntry } from './server-entry.js';

/**
 * Slots of a pool and of its servers: an instance has one from the tick before its spawn until its death is proven, and may
 * leave it to a successor.
 */
export class Slots {
  /** Most slots of the pool. */
  readonly limit: number;
  /** Slots taken. */
  used = 0;
  /** Most slots that were taken at once. */
  mostUsed = 0;
  /** Slots that come free. */
  ending = 0;
  /** Instances that wait for the slot of the one they replace, by that. */
  readonly #successors = new Map<PooledInstance, PooledInstance>();

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

  /** `successor` gets the slot of `predecessor`, as soon as that is proven dead. */
  bequeath(entry: ServerEntry, predecessor: PooledInstance, successor: PooledInstance): void {
    this.#successors.set(predecessor, successor);
    this.keep(entry, predecessor);
  }

  /** The slot of `predecessor` stays taken by what could not be ended: its successor takes one of its own. */
  separate(entry: ServerEntry, predecessor: PooledInstance): void {
    if (this.#successors.delete(predecessor)) this.take(entry);
  }

  /** The instance whose slot this one waits for; undefined when it has one of its own. */
  predecessorOf(instance: PooledInstance): PooledInstance | undefined {
    for (const [predecessor, successor] of this.#successors) if (successor === instance) return predecessor;
    return undefined;
  }

  /** The tree of an instance is being ended: its slot comes free, unless a successor gets it, or it has none yet. */
  free(entry: ServerEntry, instance: PooledInstance): void {
    if (this.#successors.has(instance) || this.predecessorOf(instance) !== undefined) return;
    this.#comesFree(entry, instance);
  }

  /** The slot of an instance does not come free by itself. */
  keep(entry: ServerEntry, instance: PooledInstance): void {
    if (entry.ending.delete(instance)) this.ending -= 1;
  }

  /** An instance is dead: gives its slot back, or to its successor. */
  giveBack(entry: ServerEntry, instance: PooledInstance): void {
    this.keep(entry, instance);
    const predecessor = this.predecessorOf(instance);
    const successor = this.#successors.get(instance);
    this.#successors.delete(instance);
    if (predecessor) {
      // It never had the slot: that goes to its own successor, or comes free with its predecessor.
      this.#successors.delete(predecessor);
      if (successor) this.#successors.set(predecessor, successor);
      else if (predecessor.state === 'stopping') this.#comesFree(entry, predecessor);
    } else if (successor === undefined) {
      entry.used -= 1;
      this.used -= 1;
    }
  }

  #comesFree(entry: ServerEntry, instance: PooledInstance): void {
    entry.ending.add(instance);
    this.ending += 1;
  }
}
