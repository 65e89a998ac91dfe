/** First in, first out; both ends in constant time. */
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
    // Array.shift() moves all that follow, each time; this moves them once for as many as were taken.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes all. */
  clear(): T[] {
    const items = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return items;
  }
}

interface Line<S, T> {
  readonly sender: S;
  readonly items: Fifo<T>;
  dropped: boolean;
  /** How many of its items nobody wants any more. */
  unwanted: number;
}

/** Fewer are not worth to be tidied up. */
const MANY = 64;

/** Items of many senders, taken in turn: one of each who has any, so that a sender with a thousand delays no other. */
export class FairQueue<S, T> {
  readonly #lines = new Map<S, Line<S, T>>();
  /** Whose turn is next; each sender that has items stands in it once. */
  readonly #turns = new Fifo<Line<S, T>>();
  /** How many of those who stand in it have nothing any more. */
  #dropped = 0;

  /** Whether nobody has anything. */
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

  /** The next item of the sender whose turn it is. */
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

  /** Lets go of what a sender has and nobody wants any more, once that is much. */
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

  /** Takes out all that a sender has. */
  drop(sender: S): T[] {
    const line = this.#lines.get(sender);
    if (line === undefined) return [];
    this.#lines.delete(sender);
    line.dropped = true;
    this.#dropped += 1;
    // It stands in the turns until its own comes, which may be never while nothing moves.
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
