import type { Clock, Timer } from '../config/clock.js';
import type { PoolError } from '../errors.js';
import type { Limit } from './admission.js';
import type { Lease } from './lease.js';

/** What a caller asks for. */
export interface LeaseRequest {
  readonly name: string;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Where the caller stood, when leak detection is on. */
  readonly stack: string | undefined;
}

/** A call of `getServer()` that has no server yet. */
export interface Waiter extends LeaseRequest {
  readonly since: number;
  /** The limit that keeps it waiting, as far as the last round looked; undefined while a start or a slot is on its way to it. */
  blockedBy: Limit | undefined;
  /** Whether it was told of already (`queue:waiting`, `limit:reached`). */
  announced: boolean;
  resolve(lease: Lease): void;
  reject(error: PoolError): void;
}

export type GiveUpReason = 'timeout' | { readonly abortedBy: unknown };

/** Told when a waiter has given up; returns what its error says. */
export type GiveUp = (waiter: Waiter, why: GiveUpReason) => PoolError;

/** Callers in order of arrival. Each leaves exactly once: served, rejected, out of time, or aborted. */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #giveUp: GiveUp;
  readonly #waiters = new Set<Waiter>();
  readonly #signals = new Map<AbortSignal, { readonly waiters: Set<() => void>; readonly listener: () => void }>();

  constructor(clock: Clock, giveUp: GiveUp) {
    this.#clock = clock;
    this.#giveUp = giveUp;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Oldest first. */
  [Symbol.iterator](): IterableIterator<Waiter> {
    return this.#waiters[Symbol.iterator]();
  }

  has(waiter: Waiter): boolean {
    return this.#waiters.has(waiter);
  }

  /** Adds a caller to the end. */
  add(request: LeaseRequest): { readonly waiter: Waiter; readonly lease: Promise<Lease> } {
    const { timeout, signal } = request;
    let settle!: { resolve: (lease: Lease) => void; reject: (error: PoolError) => void };
    const lease = new Promise<Lease>((resolve, reject) => {
      settle = { resolve, reject };
    });
    let timer: Timer | undefined;
    const onAbort = () => leave(() => settle.reject(this.#giveUp(waiter, { abortedBy: signal?.reason })));
    const leave = (then: () => void) => {
      if (!this.#waiters.delete(waiter)) return;
      timer?.cancel();
      if (signal) this.#unlisten(signal, onAbort);
      then();
    };
    const waiter: Waiter = {
      ...request,
      since: this.#clock.now(),
      blockedBy: 'maxProcesses',
      announced: false,
      resolve: (served) => leave(() => settle.resolve(served)),
      reject: (error) => leave(() => settle.reject(error)),
    };
    this.#waiters.add(waiter);
    // A caller that waits holds the host open.
    timer = this.#clock.after(timeout, () => leave(() => settle.reject(this.#giveUp(waiter, 'timeout'))), 'holding');
    if (signal) this.#listen(signal, onAbort);
    return { waiter, lease };
  }

  /** One listener for all waiters of a signal: Node warns of a leak when one signal has more than ten. */
  #listen(signal: AbortSignal, onAbort: () => void): void {
    const known = this.#signals.get(signal);
    if (known) {
      known.waiters.add(onAbort);
      return;
    }
    const waiters = new Set([onAbort]);
    const listener = () => {
      for (const abort of [...waiters]) abort();
    };
    this.#signals.set(signal, { waiters, listener });
    signal.addEventListener('abort', listener);
  }

  #unlisten(signal: AbortSignal, onAbort: () => void): void {
    const known = this.#signals.get(signal);
    known?.waiters.delete(onAbort);
    if (known === undefined || known.waiters.size > 0) return;
    this.#signals.delete(signal);
    signal.removeEventListener('abort', known.listener);
  }
}
