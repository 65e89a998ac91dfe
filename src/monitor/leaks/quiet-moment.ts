/**
 * Chooses when a tree that leaks is replaced: there is time, so the moment is one without a lease. In the first half of the time
 * it also learns how few leases there are at the least; in the second half a moment with so few is good enough. At the end of
 * the time the tree is replaced in any case.
 */
export class QuietMoment {
  readonly #longest: number;
  #wait: { readonly begin: number; until: number; fewest: number } | undefined;

  /** @param longest how long it waits, ms */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /**
   * Whether now is the moment. The time begins with the first call.
   *
   * @param at clock time, ms
   * @param left how long it may still take, ms: until the tree reaches its limit
   */
  isNow(at: number, leases: number, left: number): boolean {
    this.#wait ??= { begin: at, until: at + this.#longest, fewest: Infinity };
    const wait = this.#wait;
    wait.until = Math.min(wait.until, at + left);
    if (leases === 0 || at >= wait.until) return true;
    if (at >= (wait.begin + wait.until) / 2) return leases <= wait.fewest;
    wait.fewest = Math.min(wait.fewest, leases);
    return false;
  }

  /** The tree does not leak, after all. */
  forget(): void {
    this.#wait = undefined;
  }
}
