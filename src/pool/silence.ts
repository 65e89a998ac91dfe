import type { ServerInstance } from '../server/server-instance.js';
import type { Lease } from './lease.js';

/** For how long a lease has been silent, ms. A client that waits for an answer is not silent, its server is busy. */
export function silenceOf({ openRequests, lastActivity }: Lease, now: number): number {
  return openRequests > 0 ? 0 : now - lastActivity;
}

/** For how long all leases of an instance have been silent, for each that has leases. */
export function silences(leases: Iterable<Lease>, now: number): Map<ServerInstance, number> {
  const silent = new Map<ServerInstance, number>();
  for (const lease of leases) {
    const { instance } = lease;
    silent.set(instance, Math.min(silent.get(instance) ?? Infinity, silenceOf(lease, now)));
  }
  return silent;
}
