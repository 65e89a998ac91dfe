/** One server may fill this part of the budget: `1 / SERVER_SHARE`. A server that does not read must not block the others. */
export const SERVER_SHARE = 2;

/** Bounds the bytes that wait to be written, counted over all servers of a pool (`maxBufferedMB`). */
export class WriteBudget {
  /** Bytes. */
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** False when there is no room; then nothing was taken. An empty budget takes any one message, whatever its size. */
  take(size: number): boolean {
    if (this.#used > 0 && this.#used + size > this.limit) return false;
    this.#used += size;
    return true;
  }

  /** Takes it whether or not there is room. */
  force(size: number): void {
    this.#used += size;
  }

  give(size: number): void {
    this.#used -= size;
  }
}
