import type { Fleet } from './fleet.js';
import type { ServerEntry } from './server-entry.js';

/** Whether a tenant may have one more instance of a server: now, when one that is being ended is dead, or not before another goes. */
export type TenantRoom = 'free' | 'ending' | 'full';

type Slots = Pick<Fleet, 'slots'>;

/** By `maxInstancesPerTenant`. Calls without a tenant are no tenant: that limit is not for them. */
export function tenantRoom({ slots }: Slots, entry: ServerEntry, tenant: string | undefined): TenantRoom {
  const most = mostOf(entry, tenant);
  if (most === Infinity) return 'free';
  const { used, ending } = usedBy(slots, entry, tenant);
  if (used < most) return 'free';
  return used - ending < most ? 'ending' : 'full';
}

/** Whether a tenant has more instances than it may: the definition was changed. */
export function isOverTenantLimit({ slots }: Slots, entry: ServerEntry, tenant: string | undefined): boolean {
  const most = mostOf(entry, tenant);
  if (most === Infinity) return false;
  const { used, ending } = usedBy(slots, entry, tenant);
  return used - ending > most;
}

function mostOf({ definition }: ServerEntry, tenant: string | undefined): number {
  return tenant === undefined || definition === undefined ? Infinity : definition.maxInstancesPerTenant;
}

/**
 * Slots that a tenant has, and how many of them come free. A successor has that of its predecessor. Walks through the instances of the
 * server: a tenant may have many more classes, most of them with callers alone.
 */
function usedBy(slots: Fleet['slots'], entry: ServerEntry, tenant: string | undefined) {
  let used = 0;
  let ending = 0;
  for (const instance of entry.instances) {
    if (instance.tenant !== tenant || slots.predecessorOf(instance) !== undefined) continue;
    used += 1;
    if (entry.ending.has(instance)) ending += 1;
  }
  return { used, ending };
}
