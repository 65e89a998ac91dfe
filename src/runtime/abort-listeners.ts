/** Adds one listener for all callers with the same signal: Node warns of a leak when a signal has more than ten listeners. */
export class AbortListeners<T> {
  readonly #signals = new Map<AbortSignal, Listened<T>>();

  add(signal: AbortSignal, caller: T, onAbort: (reason: unknown) => void): void {
    const known = this.#signals.get(signal);
    if (known) {
      known.callbacks.set(caller, onAbort);
      return;
    }
    const callbacks = new Map([[caller, onAbort]]);
    const listener = () => {
      for (const callback of [...callbacks.values()]) callback(signal.reason);
    };
    this.#signals.set(signal, { callbacks, listener });
    signal.addEventListener('abort', listener);
  }

  delete(signal: AbortSignal, caller: T): void {
    const known = this.#signals.get(signal);
    known?.callbacks.delete(caller);
    if (known === undefined || known.callbacks.size > 0) return;
    this.#signals.delete(signal);
    signal.removeEventListener('abort', known.listener);
  }
}

interface Listened<T> {
  readonly callbacks: Map<T, (reason: unknown) => void>;
  readonly listener: () => void;
}
