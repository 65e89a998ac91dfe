import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass, ServerEntry } from '../instances/server-entry.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Waiter } from './waiter.js';

// Which callers may have an instance that was started for others, or for nobody.

/** Gives an idle instance that has served nobody to the caller that has waited longest, if its class has none. */
export function giveClean({ name, clean }: ServerEntry, queue: AcquireQueue, fleet: Fleet, now: number): void {
  const give = (oldest: Waiter | undefined, instance: PooledInstance) => {
    const leaseClass = oldest?.queuedIn?.leaseClass;
    if (oldest === undefined || leaseClass === undefined) return;
    if (leaseClass.nextIdle(oldest) !== undefined || leaseClass.leastLoaded(now) !== undefined) return;
    fleet.adopt(instance, leaseClass, oldest);
  };
  const bound = clean.filter(({ isBound }) => isBound);
  for (const instance of bound) give(queue.oldestOfTenant(name, instance.tenant), instance);
  const free = bound.length === 0 ? clean.at(-1) : clean.findLast(({ isBound }) => !isBound);
  if (free) give(queue.oldestOf(name), free);
}

/** A start that a caller of this class may have, since no caller of its own class needs it. */
export function adoptableStart({ surplus }: ServerEntry, { tenant }: LeaseClass): PooledInstance | undefined {
  for (const leaseClass of surplus) {
    // The result of a probe is for the breaker of its tenant.
    const start = leaseClass.surplusStarts.find(
      (one) => one.isClean && one.mayServe(tenant) && (!one.isProbe || one.tenant === tenant),
    );
    if (start) return start;
  }
  return undefined;
}
