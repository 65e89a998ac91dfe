/**
 * Runs what the multiplexer does outside of the callbacks of a channel: in microtasks, timers, and calls of the pool. An
 * exception there is a fault of this library, and must not be lost.
 */
export class Guard {
  readonly #onFault: (cause: unknown) => void;

  /** @param onFault called with what a task has thrown */
  constructor(onFault: (cause: unknown) => void) {
    this.#onFault = onFault;
  }

  run(task: () => void): void {
    try {
      task();
    } catch (cause) {
      this.#onFault(cause);
    }
  }

  /** Runs `task` in a microtask. */
  soon(task: () => void): void {
    queueMicrotask(() => this.run(task));
  }

  /** Runs `task` as part of an operation of the pool. A fault is reported when that is complete. */
  runWithin(task: () => void): void {
    try {
      task();
    } catch (cause) {
      this.soon(() => {
        throw cause;
      });
    }
  }
}
