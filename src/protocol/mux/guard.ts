/** Runs what the multiplexer does outside of the callbacks of a channel, so that a fault there is not lost either. */
export class Guard {
  readonly #onFault: (cause: unknown) => void;

  /** @param onFault called with what a task threw: a fault of this library */
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

  /** The same inside of an operation of the pool, which must be completed first. */
  runWithin(task: () => void): void {
    try {
      task();
    } catch (cause) {
      this.soon(() => {
        throw cause;
      });
    }
  }

  /** The same, in a microtask. */
  soon(task: () => void): void {
    queueMicrotask(() => this.run(task));
  }
}
