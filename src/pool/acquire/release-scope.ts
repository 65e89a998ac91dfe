import type { Fleet } from '../instances/fleet.js';
import { SPARE } from '../instances/lease-scope.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { aborted } from '../refusals.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Scheduler } from './scheduler.js';

export interface ReleaseScopeDeps {
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly queue: AcquireQueue;
  readonly scheduler: Scheduler;
}

/** What becomes of the instances of an owner or a tenant, and what its callers get to know. */
const RELEASED = {
  owner: ['owner-released', 'releaseOwner() was called'],
  tenant: ['tenant-released', 'releaseTenant() was called'],
} as const;

/**
 * Rejects the callers of one owner or tenant, releases its leases, and ends the instances that only it may use. Returns the
 * number of leases.
 */
export function releaseScope(by: 'owner' | 'tenant', label: string, deps: ReleaseScopeDeps): number {
  const { fleet, leases, queue, scheduler } = deps;
  const [reason, why] = RELEASED[by];
  const instances = fleet.ofScope(by, label);
  // A clean start has served no lease: it serves the next caller, of whatever scope, and its work is not lost. One without a
  // process ends with the last caller that waits for it.
  const used = instances.filter((one) => one.state !== 'starting' || !one.isClean || !one.mayServe(SPARE));
  for (const instance of used) fleet.retire(instance, reason);
  for (const waiter of queue.of(by, label)) scheduler.reject(waiter, aborted(waiter, queue.waited(waiter), why));
  const released = leases.ofScope(by, label).filter((lease) => lease.end(lease)).length;
  for (const instance of used) void instance.stop(reason);
  return released;
}
