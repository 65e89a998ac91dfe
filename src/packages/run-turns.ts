/** Lets a few do something at a time; the others wait, first come, first served. */
export class RunTurns {
  readonly #most: number;
  readonly #line = new Set<() => void>();
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves, when it is its turn, with the function that ends it. @throws the reason of the signal */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken >= this.#most) await this.#wait(signal);
    else this.#taken += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#next();
    };
  }

  /** The turn of the one before is handed on, so that nobody can come between. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onTurn = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#line.delete(onTurn);
        reject(signal.reason);
      };
      this.#line.add(onTurn);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #next(): void {
    const [first] = this.#line;
    if (first === undefined) {
      this.#taken -= 1;
      return;
    }
    this.#line.delete(first);
    first();
  }
}
