/** A value, and for how long it stands, ms: for the time since the value before it. */
interface Span {
  length: number;
  value: number;
}

/** Spans shorter than this share of the window are joined, so that the memory has a limit however often it is sampled. */
const FINEST = 1 / 100;

/** The values of the last time, each with the time for which it stands. */
export class ValueWindow {
  readonly #longest: number;
  /** The oldest first. */
  readonly #spans: Span[] = [];
  #covered = 0;

  /** @param longest The longest window that is asked for, ms */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** For how long values are known without a break, ms; at least the longest window as soon as that is full. */
  get covered(): number {
    return this.#covered;
  }

  /** @param length Time since the value before, ms. Of 0, as for the first one: nothing. */
  add(length: number, value: number): void {
    if (length <= 0) return;
    const last = this.#spans.at(-1);
    if (last && last.length + length <= this.#longest * FINEST) {
      last.value = (last.value * last.length + value * length) / (last.length + length);
      last.length += length;
    } else this.#spans.push({ length, value });
    this.#covered += length;
    for (let first = this.#spans[0]; first && this.#covered - first.length >= this.#longest; first = this.#spans[0]) {
      this.#covered -= first.length;
      this.#spans.shift();
    }
  }

  /** For which share of the last `window` ms the value was so, from 0 to 1. Unknown time counts as not so. */
  share(window: number, isSo: (value: number) => boolean): number {
    let [left, so] = [window, 0];
    for (let index = this.#spans.length - 1; index >= 0 && left > 0; index -= 1) {
      const { length, value } = this.#spans[index] as Span;
      const counted = Math.min(length, left);
      if (isSo(value)) so += counted;
      left -= counted;
    }
    return window > 0 ? so / window : 0;
  }

  /** The highest value of the last `window` ms; `-Infinity` when none is known. */
  highest(window: number): number {
    let [left, highest] = [window, -Infinity];
    for (let index = this.#spans.length - 1; index >= 0 && left > 0; index -= 1) {
      const { length, value } = this.#spans[index] as Span;
      highest = Math.max(highest, value);
      left -= length;
    }
    return highest;
  }
}
