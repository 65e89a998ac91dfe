/** Work that several callers wait for. It is given up when none of them waits any more. */
export class Flight<T> {
  /** Resolves when it is over, whatever became of it. */
  readonly over: Promise<void>;
  readonly #result: Promise<T>;
  readonly #abort = new AbortController();
  #waiting = 0;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#result = work(this.#abort.signal);
    this.over = this.#result.then(
      () => {},
      () => {},
    );
  }

  /** Whether it was given up, so that nobody may wait for it any more. */
  get isGivenUp(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Its result; rejects with the reason of the signal when that is aborted first. */
  join(signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason);
    this.#waiting += 1;
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal.removeEventListener('abort', onAbort);
        this.#waiting -= 1;
      };
      const onAbort = () => {
        leave();
        if (this.#waiting === 0) this.giveUp(signal.reason);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#result.finally(leave).then(resolve, reject);
    });
  }

  giveUp(reason: unknown): void {
    this.#abort.abort(reason);
  }
}
