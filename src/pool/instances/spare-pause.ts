/** Pauses after failed starts for `minIdle`, in ms: 1 s, 2 s, 4 s, … */
const FIRST = 1_000;
const LONGEST = 60_000;

/** The pause of a server after a failed start for `minIdle`, before the next one. */
export class SparePause {
  #failures = 0;
  #until = 0;

  /** The clock time from which on the next start may be tried. */
  get until(): number {
    return this.#until;
  }

  failed(now: number): void {
    this.#until = now + Math.min(FIRST * 2 ** this.#failures, LONGEST);
    this.#failures += 1;
  }

  /** An instance serves a caller: the next pause is the first one again. */
  proven(): void {
    this.#failures = 0;
  }

  /** A start may be tried at once. */
  reset(): void {
    this.#failures = 0;
    this.#until = 0;
  }
}
