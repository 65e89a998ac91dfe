import type { PoolError } from '../errors.js';
import type { Clock, Timer } from '../runtime/clock.js';
import type { Limit } from './admission.js';
import type { Lease } from './lease.js';

/** What a caller asks for. */
export interface LeaseRequest {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** A call of `getServer()` that has no server yet. */
export interface Waiter extends LeaseRequest {
  /** Of the server. */
  readonly name: string;
  readonly since: number;
  /** Its server and reuse key: waiters of one kind can be served by the same instances. */
  kind: string;
  /** Where the caller stood, when leak detection is on. */
  readonly stack: string | undefined;
  /** The limit that keeps it waiting, as far as the last round looked; undefined while a start or a slot is on its way to it. */
  blockedBy: Limit | undefined;
  /** Whether it was told of already (`queue:waiting`, `limit:reached`). */
  announced: boolean;
  resolve(lease: Lease): void;
  reject(error: PoolError): void;
}

export type GiveUpReason = 'timeout' | { readonly abortedBy: unknown };

/** Called when a waiter has given up, and has left the queue: rejects it with what its error says. */
export type GiveUp = (waiter: Waiter, why: GiveUpReason, reject: (error: PoolError) => void) => void;

/** Callers in order of arrival. Each leaves exactly once: served, rejected, out of time, or aborted. */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #giveUp: GiveUp;
  readonly #waiters = new Set<Waiter>();
  readonly #counts = new Map<string, number>();
  readonly #signals = new Map<AbortSignal, { readonly waiters: Set<() => void>; readonly listener: () => void }>();

  constructor(clock: Clock, giveUp: GiveUp) {
    this.#clock = clock;
    this.#giveUp = giveUp;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** How many of one kind wait. */
  count(kind: string): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** The kinds that wait, with how many of each. */
  kinds(): IterableIterator<[string, number]> {
    return this.#counts.entries();
  }

  /** A definition was changed, and with it perhaps whose instances may serve its waiters. */
  rename(name: string, kindOf: (waiter: Waiter) => string): void {
    for (const waiter of this.#waiters) {
      if (waiter.name !== name) continue;
      this.#tally(waiter.kind, -1);
      waiter.kind = kindOf(waiter);
      this.#tally(waiter.kind, 1);
    }
  }

  /** Oldest first. */
  [Symbol.iterator](): IterableIterator<Waiter> {
    return this.#waiters[Symbol.iterator]();
  }

  has(waiter: Waiter): boolean {
    return this.#waiters.has(waiter);
  }

  /** Adds a caller to the end. */
  add(
    request: LeaseRequest,
    more: Pick<Waiter, 'name' | 'kind' | 'stack'>,
  ): { readonly waiter: Waiter; readonly lease: Promise<Lease> } {
    const { timeout, signal } = request;
    let settle!: { resolve: (lease: Lease) => void; reject: (error: PoolError) => void };
    const lease = new Promise<Lease>((resolve, reject) => {
      settle = { resolve, reject };
    });
    let timer: Timer | undefined;
    const onAbort = () => leave(() => this.#giveUp(waiter, { abortedBy: signal?.reason }, settle.reject));
    const leave = (then: () => void) => {
      if (!this.#waiters.delete(waiter)) return;
      this.#tally(waiter.kind, -1);
      timer?.cancel();
      if (signal) this.#unlisten(signal, onAbort);
      then();
    };
    const waiter: Waiter = {
      ...request,
      ...more,
      since: this.#clock.now(),
      blockedBy: 'maxProcesses',
      announced: false,
      resolve: (served) => leave(() => settle.resolve(served)),
      reject: (error) => leave(() => settle.reject(error)),
    };
    this.#waiters.add(waiter);
    this.#tally(more.kind, 1);
    // A caller that waits holds the host open.
    timer = this.#clock.after(timeout, () => leave(() => this.#giveUp(waiter, 'timeout', settle.reject)), 'holding');
    if (signal) this.#listen(signal, onAbort);
    return { waiter, lease };
  }

  #tally(kind: string, change: 1 | -1): void {
    const count = this.count(kind) + change;
    if (count > 0) this.#counts.set(kind, count);
    else this.#counts.delete(kind);
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
