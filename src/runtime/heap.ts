/** What a heap keeps: it knows its own place, so that it can be moved and taken out without a search. */
export interface HeapItem {
  /** The least comes first. Written by the heap only. */
  rank: number;
  /** Index in the heap, or -1. Written by the heap only. */
  place: number;
}

/** A binary heap: the item with the least rank first. Each change costs O(log n), a look at the first O(1). */
export class Heap<T extends HeapItem> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item, or gives it another rank. */
  set(item: T, rank: number): void {
    if (item.place === -1) {
      item.rank = rank;
      item.place = this.#items.length;
      this.#items.push(item);
      this.#rise(item);
    } else if (rank !== item.rank) {
      const rises = rank < item.rank;
      item.rank = rank;
      if (rises) this.#rise(item);
      else this.#sink(item);
    }
  }

  /** False when it was not there. */
  delete(item: T): boolean {
    if (item.place === -1) return false;
    const last = this.#items.pop() as T;
    if (last !== item) {
      this.#put(last, item.place);
      this.#rise(last);
      this.#sink(last);
    }
    item.place = -1;
    return true;
  }

  clear(): void {
    for (const item of this.#items) item.place = -1;
    this.#items.length = 0;
  }

  #rise(item: T): void {
    while (item.place > 0) {
      const parent = this.#items[(item.place - 1) >> 1] as T;
      if (parent.rank <= item.rank) return;
      const { place } = parent;
      this.#put(parent, item.place);
      this.#put(item, place);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const left = 2 * item.place + 1;
      const right = this.#items[left + 1];
      let child = this.#items[left];
      if (child === undefined) return;
      if (right !== undefined && right.rank < child.rank) child = right;
      if (item.rank <= child.rank) return;
      const { place } = child;
      this.#put(child, item.place);
      this.#put(item, place);
    }
  }

  #put(item: T, place: number): void {
    this.#items[place] = item;
    item.place = place;
  }
}
