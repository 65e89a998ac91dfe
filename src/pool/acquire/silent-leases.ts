import type { Fleet } from '../instances/fleet.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Matcher } from './matcher.js';

/**
 * The lease that is taken back for callers that a limit keeps waiting; undefined when none is silent for `leaseIdleTimeout`
 * that would help. For callers of its own class one lease frees a seat. For others the whole instance must come free, so all
 * of its leases must be silent.
 */
export function silentLeaseFor(
  queue: AcquireQueue,
  matcher: Matcher,
  leases: LeaseManager,
  fleet: Fleet,
  now: number,
): Lease | undefined {
  for (const instance of leases.withSilentLeases) {
    const leaseClass = fleet.classOf(instance);
    if (leaseClass === undefined) continue;
    const waiting = queue.classOf(leaseClass);
    const needsSeat = waiting?.next !== undefined && matcher.limitOf(waiting.next) !== undefined;
    const needsSlot = matcher.isFull || queue.isBlocked(instance.name);
    if (!needsSeat && !(needsSlot && leases.isAllSilent(instance, now))) continue;
    const lease = leases.firstSilent(instance, now);
    if (lease) return lease;
  }
  return undefined;
}
