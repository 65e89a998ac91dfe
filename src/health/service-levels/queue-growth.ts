/** So many numbers are compared: seven times 10 s, so what has changed within a minute. */
const COMPARED = 7;
/** So often the number must have risen between them. */
const RISES = 3;

/**
 * Whether callers come faster than they are served: the least number of callers that wait rises from time to time, and never
 * falls. After a burst that can be served it falls; a queue of callers that wait for a slow start stays as it is.
 */
export class QueueGrowth {
  /** The oldest first. */
  readonly #floors: number[] = [];
  #isGrowing = false;

  /** @param floor the least number of callers that waited since the last call. Returns whether the queue begins to grow */
  add(floor: number): boolean {
    this.#floors.push(floor);
    if (this.#floors.length > COMPARED) this.#floors.shift();
    const wasGrowing = this.#isGrowing;
    this.#isGrowing = isRising(this.#floors);
    return this.#isGrowing && !wasGrowing;
  }
}

/** Whether so many numbers rise, and none falls. */
function isRising(floors: readonly number[]): boolean {
  if (floors.length < COMPARED) return false;
  const steps = floors.slice(1).map((floor, index) => floor - (floors[index] ?? 0));
  return steps.every((step) => step >= 0) && steps.filter((step) => step > 0).length >= RISES;
}
