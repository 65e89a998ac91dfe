/** With fewer dead entries, a clean-up costs more than it saves. */
const MANY = 64;

/**
 * Items of many senders, taken in turn: one item of each sender that has any, so that a sender with a thousand items does
 * not delay the others.
 */
export class FairQueue<S, T> {
  readonly #lines = new Map<S, Line<S, T>>();
  /** The order in which senders take their turns. A sender with items is in it once. */
  readonly #turns = new Fifo<Line<S, T>>();
  /** How many lines in `#turns` were dropped. */
  #dropped = 0;

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  has(sender: S): boolean {
    return this.#lines.has(sender);
  }

  push(sender: S, item: T): void {
    this.#line(sender).items.push(item);
  }

  /** Puts items before all others of this sender. */
  unshift(sender: S, items: readonly T[]): void {
    if (items.length > 0) this.#line(sender).items.unshift(items);
  }

  /** Removes the next item of the sender that has the turn. */
  shift(): T | undefined {
    for (let line = this.#turns.shift(); line !== undefined; line = this.#turns.shift()) {
      if (line.dropped) {
        this.#dropped -= 1;
        continue;
      }
      const item = line.items.shift();
      if (line.items.size > 0) this.#turns.push(line);
      else this.#lines.delete(line.sender);
      return item;
    }
    return undefined;
  }

  /** To be called when an item of `sender` is not wanted any more. Removes such items when there are many. */
  tidy(sender: S, isWanted: (item: T) => boolean): void {
    const line = this.#lines.get(sender);
    if (line === undefined) return;
    line.unwanted += 1;
    if (line.unwanted < MANY || line.unwanted * 2 < line.items.size) return;
    const wanted = line.items.clear().filter(isWanted);
    line.unwanted = 0;
    if (wanted.length > 0) line.items.unshift(wanted);
    else this.drop(sender);
  }

  /** Removes and returns all items of a sender. */
  drop(sender: S): T[] {
    const line = this.#lines.get(sender);
    if (line === undefined) return [];
    this.#lines.delete(sender);
    line.dropped = true;
    this.#dropped += 1;
    // The line stays in the turns until its own turn comes. That may be never, while nothing is sent.
    if (this.#dropped >= MANY && this.#dropped * 2 > this.#turns.size) {
      this.#turns.unshift(this.#turns.clear().filter(({ dropped }) => !dropped));
      this.#dropped = 0;
    }
    return line.items.clear();
  }

  #line(sender: S): Line<S, T> {
    const known = this.#lines.get(sender);
    if (known) return known;
    const line = { sender, items: new Fifo<T>(), dropped: false, unwanted: 0 };
    this.#lines.set(sender, line);
    this.#turns.push(line);
    return line;
  }
}

/** The items of one sender. */
interface Line<S, T> {
  readonly sender: S;
  readonly items: Fifo<T>;
  dropped: boolean;
  /** How many of its items are not wanted any more. */
  unwanted: number;
}

/** First in, first out; constant time at both ends. */
class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  unshift(items: readonly T[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    // Array.shift() moves all other items, every time. This moves them once for half of them.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Removes and returns all items. */
  clear(): T[] {
    const items = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return items;
  }
}
