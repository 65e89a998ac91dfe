/** What was counted, in slices of time. Its memory has a limit: a slice takes the place of the oldest. */
export class SliceRing<S> {
  readonly #length: number;
  readonly #make: () => S;
  readonly #places: (Slice<S> | undefined)[];

  /**
   * @param length of a slice, ms
   * @param window the longest that is asked for, ms
   * @param make a slice in which nothing is counted
   */
  constructor(length: number, window: number, make: () => S) {
    this.#length = length;
    this.#make = make;
    // One more than fit into the window: that of now is not full.
    this.#places = new Array<Slice<S> | undefined>(Math.ceil(window / length) + 1).fill(undefined);
  }

  /** The slice of this time. Of one that is too long ago, the newest in its place. */
  at(now: number): S {
    const number = Math.floor(now / this.#length);
    const place = number % this.#places.length;
    const found = this.#places[place];
    if (found !== undefined && found.number >= number) return found.counted;
    const counted = this.#make();
    this.#places[place] = { number, counted };
    return counted;
  }

  /** The slices of the last `window` ms, in no order. They begin with a whole slice, so up to one earlier than that. */
  last(now: number, window: number): S[] {
    const oldest = Math.floor((now - window) / this.#length);
    const newest = Math.floor(now / this.#length);
    return this.#places.flatMap((slice) =>
      slice !== undefined && slice.number >= oldest && slice.number <= newest ? [slice.counted] : [],
    );
  }
}

interface Slice<S> {
  /** Slices since the begin of the clock. */
  readonly number: number;
  readonly counted: S;
}
