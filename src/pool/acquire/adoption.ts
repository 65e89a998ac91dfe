import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass, ServerEntry } from '../instances/server-entry.js';
import { tenantRoom } from '../instances/tenant-limit.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Waiter } from './waiter.js';

// Which callers may have an instance that was started for others, or for nobody.

/** Gives an idle instance that has served nobody to the caller that has waited longest, if its class has none. */
export function giveClean(entry: ServerEntry, queue: AcquireQueue, fleet: Fleet, now: number): void {
  const { name, clean, definition } = entry;
  const give = (oldest: Waiter | undefined, instance: PooledInstance) => {
    const leaseClass = oldest?.queuedIn?.leaseClass;
    if (oldest === undefined || leaseClass === undefined) return;
    if (leaseClass.nextIdle(oldest) !== undefined || leaseClass.leastLoaded(now) !== undefined) return;
    fleet.adopt(instance, leaseClass, oldest);
  };
  const bound = clean.filter(({ isBound }) => isBound);
  for (const instance of bound) give(queue.oldestOfTenant(name, instance.tenant, isPlain), instance);
  const free = bound.length === 0 ? clean.at(-1) : clean.findLast(({ isBound }) => !isBound);
  if (free === undefined) return;
  const isLimited = (definition?.maxInstancesPerTenant ?? Infinity) < Infinity;
  give(isLimited ? oldestWithRoom(entry, queue, fleet) : queue.oldestOf(name), free);
}

/** The caller that has waited longest, of those whose tenant may have one more. */
function oldestWithRoom(entry: ServerEntry, queue: AcquireQueue, fleet: Fleet): Waiter | undefined {
  for (let waiter = queue.oldestOf(entry.name); waiter !== undefined; waiter = waiter.after)
    if (!waiter.queuedIn?.isHeld && tenantRoom(fleet, entry, waiter.tenant) === 'free') return waiter;
  return undefined;
}

/** Whether its callers change nothing of the definition: others need an instance with their values. */
function isPlain({ variant }: LeaseClass): boolean {
  return variant === undefined;
}

/** A start that a caller of this class may have, since no caller of its own class needs it. */
export function adoptableStart({ surplus }: ServerEntry, callers: LeaseClass): PooledInstance | undefined {
  for (const leaseClass of surplus) {
    // The result of a probe is for the breaker of its tenant.
    const start = leaseClass.surplusStarts.find(
      (one) => one.isClean && one.mayServe(callers) && (!one.isProbe || one.tenant === callers.tenant),
    );
    if (start) return start;
  }
  return undefined;
}
