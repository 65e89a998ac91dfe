/** Servers that are remembered. */
const MAX_SERVERS = 1_000;
/** Lives that are remembered of each. */
const MAX_LIVES = 5;
/** No two lives of a server end up at quite the same. */
const TOLERANCE = 1.1;

/**
 * What the earlier lives of each server came to. A server that always grows to the same plateau does not leak; one that leaks
 * has no plateau, or passes it.
 */
export class EarlierLives {
  /** By name of the server: where each life had settled, in MB, oldest first. Least recently changed servers come first. */
  readonly #plateaus = new Map<string, readonly number[]>();

  /** A life of this server has ended; it had settled at so much. */
  settled(name: string, memoryMB: number): void {
    const known = this.#plateaus.get(name) ?? [];
    this.#plateaus.delete(name);
    this.#plateaus.set(name, [...known, memoryMB].slice(-MAX_LIVES));
    if (this.#plateaus.size <= MAX_SERVERS) return;
    for (const [oldest] of this.#plateaus) {
      this.#plateaus.delete(oldest);
      return;
    }
  }

  /** Up to here, growth of this server is what it always does, in MB. 0 when no life is known. */
  expected(name: string): number {
    return Math.max(0, ...(this.#plateaus.get(name) ?? [])) * TOLERANCE;
  }

  /** Its earlier lives count no more: its definition has changed. */
  forget(name: string): void {
    this.#plateaus.delete(name);
  }
}
