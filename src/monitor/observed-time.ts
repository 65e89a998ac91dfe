/**
 * The time that samples prove. A clock that jumps forward, or a machine that was suspended, adds one long step in which
 * nothing was seen, so a step counts for `longestStep` at most. A clock that was set back adds nothing. What must last for
 * some time is measured by this time: then no jump alone makes it last.
 */
export class ObservedTime {
  readonly #longestStep: number;
  #last: number | undefined;
  #now = 0;

  /** @param longestStep in ms; a third of a window, so that a jump alone is never most of it */
  constructor(longestStep: number) {
    this.#longestStep = longestStep;
  }

  /** ms since the first sample. */
  get now(): number {
    return this.#now;
  }

  /** Takes the clock time of a sample, in ms, and returns how much of the time since the one before it counts. */
  advance(at: number): number {
    if (!Number.isFinite(at)) return 0;
    const step = Math.min(Math.max(at - (this.#last ?? at), 0), this.#longestStep);
    this.#last = at;
    this.#now += step;
    return step;
  }
}
