import type { CleanupReport } from '../process/cleanup-queue.js';
import { deferred } from '../runtime/deferred.js';
import type { Operations } from './instance-context.js';

/** A change that fails is made once more: what is left of the first attempt may be a slot that never comes free. Not a third time. */
const MOST_ATTEMPTS = 2;

/** The last change of an instance: its death is proven, or it is quarantined. Mostly made where nothing catches a fault. */
export class Conclusion {
  readonly #operations: Operations;
  readonly #onFault: (fault: unknown) => void;
  readonly #ended = deferred<CleanupReport | undefined>();

  constructor(operations: Operations, onFault: (fault: unknown) => void) {
    this.#operations = operations;
    this.#onFault = onFault;
  }

  /** Resolves with the last change, also after a fault in it. */
  get ended(): Promise<CleanupReport | undefined> {
    return this.#ended.promise;
  }

  /** Makes the change as an operation. Never throws: a fault of this library in it is given to `onFault`. */
  reach(report: CleanupReport | undefined, change: () => void): void {
    try {
      this.#operations.run(() => {
        this.#attempt(change);
        this.#ended.resolve(report);
      });
    } catch (fault) {
      // In what follows from the change.
      this.#onFault(fault);
    }
  }

  #attempt(change: () => void): void {
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      try {
        return change();
      } catch (fault) {
        this.#onFault(fault);
      }
    }
  }
}
