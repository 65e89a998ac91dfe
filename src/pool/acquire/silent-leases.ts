import type { Fleet } from '../instances/fleet.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Matcher } from './matcher.js';

/**
 * The leases that are taken back for callers that a limit keeps waiting; none when none is silent for `leaseIdleTimeout`
 * that would help. For a caller of its own class one lease frees a seat. For others the whole instance must come free, so
 * all of its leases must be silent, and all are taken back.
 */
export function silentLeasesFor(
  queue: AcquireQueue,
  matcher: Matcher,
  leases: LeaseManager,
  fleet: Fleet,
  now: number,
): Lease[] {
  for (const instance of leases.withSilentLeases) {
    const leaseClass = fleet.classOf(instance);
    if (leaseClass === undefined) continue;
    const next = queue.classOf(leaseClass)?.next;
    if (next !== undefined && matcher.limitOf(next) !== undefined) {
      const lease = leases.firstSilent(instance, now);
      if (lease) return [lease];
    } else if ((matcher.isFull || queue.isBlocked(instance.name)) && leases.isAllSilent(instance, now)) {
      return leases.of(instance);
    }
  }
  return [];
}

/** Why such a lease was taken back, as a part of a sentence. */
export function whySilent(lease: Lease, now: number): string {
  return `silent for ${Math.round(lease.silence(now))} ms (leaseIdleTimeout) while a caller waited`;
}
