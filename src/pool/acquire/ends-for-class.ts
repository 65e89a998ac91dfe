import type { EndReason } from '../../server/end-reason.js';
import { evictableIn, evictionOrder, evictionReason } from '../instances/eviction.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass, OpenEntry } from '../instances/server-entry.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Waiter, WaitingClass } from './waiter.js';

/** An instance that ends for a caller, whatever the budgets of its server and of the pool allow. */
export interface EndForCaller {
  readonly waiter: Waiter;
  readonly decision: { readonly action: 'end'; readonly instance: PooledInstance; readonly reason: EndReason };
}

/** The caller would wait for an instance that is tested, and that only another owner may have. */
export function uselessTest(leaseClass: LeaseClass, queue: AcquireQueue): EndForCaller | undefined {
  const { starts } = leaseClass;
  if (starts.length === 0) return undefined;
  const waiter = queue.classOf(leaseClass)?.first;
  const instance = waiter && starts.find((start) => !start.isFor(waiter));
  return instance && { waiter, decision: { action: 'end', instance, reason: 'unfinished' } };
}

/**
 * Room for the next caller of a tenant that has as many instances as it may: an idle one of another owner, or with other values,
 * ends for it, or a start that nobody needs becomes its own.
 * @returns 'kept' when idle ones are there, but others depend on them
 */
export function roomOfTenant(
  entry: OpenEntry,
  { leaseClass, next }: WaitingClass,
  fleet: Fleet,
): EndForCaller | 'kept' | undefined {
  if (next === undefined) return undefined;
  const ofTenant = [...entry.instances].filter(({ tenant }) => tenant === leaseClass.tenant);
  const homes = [...new Set(ofTenant.flatMap((instance) => fleet.classOf(instance) ?? []))];
  const start = homes
    .flatMap((home) => (home === leaseClass ? [] : home.surplusStarts))
    .find((one) => one.isClean && one.mayServe(leaseClass));
  if (start) {
    fleet.adopt(start, leaseClass, next);
    return undefined;
  }
  // An idle one that a caller of its own class waits for is as good as given to that one.
  const isWanted = (instance: PooledInstance) => (fleet.classOf(instance)?.waiting ?? 0) > 0;
  const evictable = evictableIn(homes).filter((one) => !one.isIdle || !isWanted(one.instance));
  const [instance] = evictionOrder(evictable, entry.definition.priority);
  if (instance) return { waiter: next, decision: { action: 'end', instance, reason: evictionReason(instance) } };
  return homes.some(({ idle, waiting }) => waiting === 0 && idle.length > 0) ? 'kept' : undefined;
}
