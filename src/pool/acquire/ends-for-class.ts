import type { EndReason } from '../../server/end-reason.js';
import { evictableIn, evictionOrder, evictionReason } from '../instances/eviction.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass, OpenEntry } from '../instances/server-entry.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Waiter } from './waiter.js';

/** An instance that ends for a caller, whatever the budgets of its server and of the pool allow. */
export interface EndForCaller {
  readonly waiter: Waiter;
  readonly decision: { readonly action: 'end'; readonly instance: PooledInstance; readonly reason: EndReason };
}

/**
 * What the callers of a class wait for in vain: an instance that is tested for another, or one that its tenant has too many.
 * @param keptFrom gets the class when idle instances that are kept for others might make room: that is asked for
 */
export function endForClass(
  entry: OpenEntry,
  leaseClass: LeaseClass,
  queue: AcquireQueue,
  fleet: Fleet,
  keptFrom: Set<LeaseClass>,
): EndForCaller | undefined {
  return uselessTest(leaseClass, queue) ?? roomOfTenant(entry, leaseClass, queue, fleet, keptFrom);
}

/** The caller would wait for an instance that is tested, and that only another owner may have. */
function uselessTest(leaseClass: LeaseClass, queue: AcquireQueue): EndForCaller | undefined {
  const { starts } = leaseClass;
  if (starts.length === 0) return undefined;
  const waiter = queue.classOf(leaseClass)?.first;
  const instance = waiter && starts.find((start) => !start.isFor(waiter));
  return instance && { waiter, decision: { action: 'end', instance, reason: 'unfinished' } };
}

/** Its tenant has as many instances as it may: one of another owner, or with other values, makes room. */
function roomOfTenant(
  entry: OpenEntry,
  leaseClass: LeaseClass,
  queue: AcquireQueue,
  fleet: Fleet,
  keptFrom: Set<LeaseClass>,
): EndForCaller | undefined {
  const waiting = queue.classOf(leaseClass);
  const waiter = waiting?.next;
  if (waiter === undefined || waiting?.ofTenant !== 'full') return undefined;
  const classes = fleet.classesOf(entry.name, leaseClass.tenant);
  const start = classes
    .flatMap((one) => (one === leaseClass ? [] : one.surplusStarts))
    .find((one) => one.isClean && one.mayServe(leaseClass));
  if (start) {
    fleet.adopt(start, leaseClass, waiter);
    return undefined;
  }
  const [instance] = evictionOrder(evictableIn(classes), entry.definition.priority);
  if (instance) return { waiter, decision: { action: 'end', instance, reason: evictionReason(instance) } };
  if (!classes.some(({ idle }) => idle.some(({ isNeeded }) => isNeeded))) return undefined;
  keptFrom.add(leaseClass);
  fleet.gate.dependencies.askRelief('tenant', waiter);
  return undefined;
}
