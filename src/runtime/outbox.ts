/**
 * What happened, in the order in which it happened: events, and calls of handlers of clients. While an operation runs they
 * wait, so that no listener sees a half-done transition. They are delivered, in the same tick, when the outermost operation
 * is complete. A listener that calls back starts the next operation; what that one adds is delivered after the rest.
 */
export class Outbox {
  readonly #tasks: (() => void)[] = [];
  #depth = 0;
  #delivering = false;

  /** An operation begins. */
  hold(): void {
    this.#depth += 1;
  }

  /** It is complete. Each `hold()` needs one `release()`, also when the operation throws. */
  release(): void {
    this.#depth -= 1;
    if (this.#depth === 0 && this.#tasks.length > 0) this.#deliver();
  }

  /** Whether an operation is under way. */
  get isHeld(): boolean {
    return this.#depth > 0;
  }

  /** Runs `task` when no operation is under way. It must not throw: emitters and sessions guard what they call. */
  push(task: () => void): void {
    this.#tasks.push(task);
    if (this.#depth === 0) this.#deliver();
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    let next = 0;
    try {
      // The length is read anew each time: a task may add others.
      while (next < this.#tasks.length) this.#tasks[next++]?.();
    } finally {
      this.#delivering = false;
      if (next === this.#tasks.length) this.#tasks.length = 0;
      else {
        // A task has thrown, by a fault of this library: the others are delivered all the same.
        this.#tasks.splice(0, next);
        this.#deliver();
      }
    }
  }
}
