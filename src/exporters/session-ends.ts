import type { PoolEvents } from '../index.js';

type Reason = PoolEvents['server:stopping']['reason'];

/** The ends of a server that are no wish of the host: the sessions on it end with an error. */
const FAILURES: ReadonlySet<Reason> = new Set<Reason>([
  ...(['crashed', 'broken', 'stuck', 'unhealthy', 'start-failed', 'overload'] as const),
  ...(['memory-limit', 'cpu-limit', 'process-limit'] as const),
]);

/**
 * Knows with which failure a lease ends. The events of its server say it, before the lease ends or moves to another process: so
 * what is kept here is bounded by the leases that are held.
 */
export class SessionEnds {
  readonly #failures = new Map<string, string>();

  stopping({ reason, leases }: PoolEvents['server:stopping']): void {
    if (!FAILURES.has(reason)) return;
    for (const { leaseId } of leases) this.#failures.set(leaseId, reason);
  }

  reclaimed({ leaseId }: PoolEvents['lease:reclaimed']): void {
    this.#failures.set(leaseId, 'reclaimed');
  }

  /** It goes on with another process. */
  moved({ leaseId }: PoolEvents['lease:moved']): void {
    this.#failures.delete(leaseId);
  }

  /** @returns the failure with which a lease has ended; undefined without one */
  take({ leaseId }: PoolEvents['lease:released']): string | undefined {
    const failure = this.#failures.get(leaseId);
    this.#failures.delete(leaseId);
    return failure;
  }
}
