/** A pause is never longer than so many first ones. */
const MOST = 16;
/** An attempt that comes so many pauses after the last one does not go on with it. */
const FORGOTTEN = 4;

/**
 * The pause after an attempt that did not help for long. It doubles with each attempt in a row, so that what cannot succeed is
 * tried rarely. It is fed clock times.
 */
export class GrowingPause {
  readonly #first: number;
  #length = 0;
  #begin = -Infinity;

  /** @param first ms */
  constructor(first: number) {
    this.#first = first;
  }

  /** Whether it is under way. A clock that was set back ends it: else it could last for hours. */
  isOn(at: number): boolean {
    return at >= this.#begin && at - this.#begin < this.#length;
  }

  /** When it ends, in clock time. */
  get until(): number {
    return this.#begin + this.#length;
  }

  /** An attempt was made. @param at Clock time, ms */
  begin(at: number): void {
    const isInRow = at - this.#begin < FORGOTTEN * this.#length;
    this.#length = isInRow ? Math.min(this.#length * 2, this.#first * MOST) : this.#first;
    this.#begin = at;
  }
}
