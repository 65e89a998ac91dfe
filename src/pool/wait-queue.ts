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
      signal?.removeEventListener('abort', onAbort);
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
    signal?.addEventListener('abort', onAbort, { once: true });
    return { waiter, lease };
  }
}
