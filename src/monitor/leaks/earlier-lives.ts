import { BoundedMap } from '../../runtime/bounded-map.js';

/** Servers that are remembered. */
const MAX_SERVERS = 1_000;
/** Lives that are remembered of each. */
const MAX_LIVES = 5;

/**
 * What the earlier lives of each server came to. A server that always grows to the same plateau does not leak; one that leaks
 * has no plateau, or passes it.
 */
export class EarlierLives {
  /** By name of the server: the level of each life, in MB, oldest first. */
  readonly #levels = new BoundedMap<readonly number[]>(MAX_SERVERS);

  /** A life of this server has ended: it had settled at this level, or had given it back. */
  ended(name: string, memoryMB: number): void {
    const known = this.#levels.get(name) ?? [];
    this.#levels.set(name, [...known, memoryMB].slice(-MAX_LIVES));
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
