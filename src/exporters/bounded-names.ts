/** What stands for all names beyond the limit. */
export const OTHER = 'other';

export interface BoundedNamesCallbacks {
  /** A name is used for the first time, or again after it was forgotten. */
  onAdded?(name: string): void;
  onForgotten?(name: string): void;
}

/**
 * The values of a label, with a limit: each value is a time series of its own, which a metrics system keeps for months. The
 * first names have values of their own; those beyond the limit are `other`.
 */
export class BoundedNames {
  readonly #most: number;
  readonly #callbacks: BoundedNamesCallbacks;
  readonly #names = new Set<string>();
  #hasOther = false;

  constructor(most: number, callbacks: BoundedNamesCallbacks = {}) {
    this.#most = most;
    this.#callbacks = callbacks;
  }

  /** The value for a name. */
  of(name: string): string {
    if (this.#names.has(name)) return name;
    if (name === OTHER || this.#names.size >= this.#most) return this.#other();
    this.#names.add(name);
    this.#callbacks.onAdded?.(name);
    return name;
  }

  /** Forgets all names but these, if the limit is reached: what a host has now matters more than what it had. */
  makeRoom(used: ReadonlySet<string>): void {
    if (this.#names.size < this.#most) return;
    for (const name of [...this.#names]) {
      if (used.has(name)) continue;
      this.#names.delete(name);
      this.#callbacks.onForgotten?.(name);
    }
  }

  /** Never forgotten: what it stands for may come again. */
  #other(): string {
    if (!this.#hasOther) {
      this.#hasOther = true;
      this.#callbacks.onAdded?.(OTHER);
    }
    return OTHER;
  }
}
