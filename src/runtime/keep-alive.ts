import { timerDelay } from './clock.js';

/**
 * Keeps the host alive while something that somebody waits for is under way, and only then: processes and pipes of the
 * pool are unref'd, so without it a host would end in the middle of a request.
 */
export class KeepAlive {
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #disposed = false;

  take(): void {
    this.#count += 1;
    if (this.#count > 1) return;
    if (this.#timer === undefined) this.#timer = setInterval(() => {}, timerDelay(Infinity));
    else this.#timer.ref();
  }

  drop(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    if (this.#disposed) this.#clear();
    else this.#timer?.unref();
  }

  /** Holds the host until `promise` is settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    this.take();
    try {
      return await promise;
    } finally {
      this.drop();
    }
  }

  /** Gives the timer back as soon as nothing holds it; from now on it is not kept between two holds. */
  dispose(): void {
    this.#disposed = true;
    if (this.#count === 0) this.#clear();
  }

  #clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
