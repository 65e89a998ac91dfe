import { timerDelay } from './clock.js';

/**
 * Keeps the host process alive while a caller waits for an operation, and only then. All processes and pipes of the pool
 * are unref'd, so without this the host could exit in the middle of a request.
 */
export class KeepAlive {
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #disposed = false;

  /** One more operation needs the host. */
  take(): void {
    this.#count += 1;
    if (this.#count > 1) return;
    if (this.#timer === undefined) this.#timer = setInterval(() => {}, timerDelay(Infinity));
    else this.#timer.ref();
  }

  /** To be called once for each `take()`. */
  drop(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    if (this.#disposed) this.#clear();
    else this.#timer?.unref();
  }

  /** Keeps the host alive until `promise` is settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    this.take();
    try {
      return await promise;
    } finally {
      this.drop();
    }
  }

  /** Clears the timer as soon as no operation needs it. Before, `drop()` only unrefs it, since it is soon used again. */
  dispose(): void {
    this.#disposed = true;
    if (this.#count === 0) this.#clear();
  }

  #clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
