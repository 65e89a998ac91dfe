/** Servers that are remembered. */
const MAX_SERVERS = 1_000;
/** Lives that are remembered of each. */
const MAX_LIVES = 5;
/**
 * What the earlier lives of each server came to. A server that always grows to the same plateau does not leak; one that leaks
 * has no plateau, or passes it.
 */
export class EarlierLives {
  /** By name of the server: the level of each life, in MB, oldest first. Least recently changed servers come first. */
  readonly #levels = new Map<string, readonly number[]>();

  /** A life of this server has ended: it had settled at this level, or had given it back. */
  ended(name: string, memoryMB: number): void {
    const known = this.#levels.get(name) ?? [];
    this.#levels.delete(name);
    this.#levels.set(name, [...known, memoryMB].slice(-MAX_LIVES));
    if (this.#levels.size <= MAX_SERVERS) return;
    for (const [oldest] of this.#levels) {
      this.#levels.delete(oldest);
      return;
    }
  }

  /** The highest level of its earlier lives, in MB. 0 when none is known. */
  highest(name: string): number {
    return Math.max(0, ...(this.#levels.get(name) ?? []));
  }

  /** Its earlier lives count no more: its definition has changed. */
  forget(name: string): void {
    this.#levels.delete(name);
  }
}
