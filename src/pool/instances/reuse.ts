import type { EndReason } from '../../server/end-reason.js';
import { SPARE_KEY } from './lease-scope.js';
import type { PooledInstance } from './pooled-instance.js';
import type { LeaseClass, ServerEntry } from './server-entry.js';

/** Why an instance may not be used again after its lease, or undefined when it may. */
export function whyNotAgain(
  {
    definition,
    retired,
    uses,
    expiresAt,
    sharing,
  }: Pick<PooledInstance, 'definition' | 'retired' | 'uses' | 'expiresAt' | 'sharing'>,
  now: number,
): EndReason | undefined {
  if (retired !== undefined) return retired;
  if (sharing === 'dedicated' || definition.reuse === 'never') return 'released';
  if (uses >= definition.maxUses) return 'max-uses';
  if (expiresAt <= now) return 'max-lifetime';
  return undefined;
}

/** Whether an idle instance stays. */
export interface IdleVerdict {
  readonly instance: PooledInstance;
  /** Why it ends, or undefined when it stays. */
  readonly reason: EndReason | undefined;
}

/** The idle instances of a server, and for each whether it stays. */
export function idleVerdicts(entry: ServerEntry, now: number): IdleVerdict[] {
  return [...entry.classes.values()].flatMap((leaseClass) =>
    leaseClass.idle.map((instance) => ({ instance, reason: whyIdleEnds(leaseClass, instance, now) })),
  );
}

/** Why an idle instance ends; undefined when it stays. */
export function whyIdleEnds(leaseClass: LeaseClass, instance: PooledInstance, now: number): EndReason | undefined {
  if (instance.expiresAt <= now) return 'max-lifetime';
  return isKept(leaseClass, instance) || idleUntil(instance) > now ? undefined : 'idle';
}

/** Clock time at which an idle instance ends, unless it is kept. */
export function idleUntil({ idleSince, definition }: PooledInstance): number {
  return idleSince + definition.idleTimeout;
}

/**
 * Whether an idle instance is kept, since another depends on it, or for `minIdle`: those that have served none, or, where `countsUsed`, those of calls without
 * tenant, the ones that were used last; one with leases and room for another counts as one that is kept.
 */
export function isKept({ entry, key, idle }: LeaseClass, instance: PooledInstance): boolean {
  if (instance.isNeeded) return true;
  const { clean, definition, spareCount } = entry;
  if (!definition || definition.minIdle === 0 || key !== SPARE_KEY) return false;
  const index = (entry.countsUsed ? idle : clean).indexOf(instance);
  return index !== -1 && index >= spareCount - definition.minIdle;
}
