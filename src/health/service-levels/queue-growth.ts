/** Length of a slice, ms. */
const SLICE = 10_000;
/** So many slices are compared: a minute, and the one before it. */
const SLICES = 7;
/** So often the least number of callers must have risen between them. */
const RISES = 3;

/**
 * Whether callers come faster than they are served: the least number of callers that wait rises from slice to slice, and never
 * falls. After a burst that can be served it falls; a queue of callers that wait for a slow start stays as it is.
 */
export class QueueGrowth {
  /** The least number of callers in each of the last slices, the oldest first. */
  readonly #floors: number[] = [];
  /** Slices since the begin of the clock; undefined before the first number. */
  #slice: number | undefined;
  /** The least number in the slice of now. */
  #floor = 0;
  #waiting = 0;
  #isGrowing = false;

  /** So many callers wait from `now` on. Returns whether the queue begins to grow. */
  add(now: number, waiting: number): boolean {
    const slice = Math.floor(now / SLICE);
    const passed = Math.min(slice - (this.#slice ?? slice), SLICES);
    for (let left = passed; left > 0; left -= 1) this.#close();
    this.#slice = Math.max(slice, this.#slice ?? slice);
    this.#waiting = waiting;
    this.#floor = Math.min(this.#floor, waiting);
    const wasGrowing = this.#isGrowing;
    this.#isGrowing = isRising(this.#floors);
    return this.#isGrowing && !wasGrowing;
  }

  #close(): void {
    this.#floors.push(this.#floor);
    if (this.#floors.length > SLICES) this.#floors.shift();
    this.#floor = this.#waiting;
  }
}

/** Whether so many numbers rise, and none falls. */
export function isRising(floors: readonly number[]): boolean {
  if (floors.length < SLICES) return false;
  const steps = floors.slice(1).map((floor, index) => floor - (floors[index] ?? 0));
  return steps.every((step) => step >= 0) && steps.filter((step) => step > 0).length >= RISES;
}
