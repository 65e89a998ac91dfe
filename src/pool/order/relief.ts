import { reachable } from '../../runtime/graph.js';
import type { AcquireQueue } from '../acquire/acquire-queue.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { PoolStep } from './pool-step.js';
import type { TenantSequence } from './tenant-sequence.js';

// Which idle instances that are kept for others may go all the same, so that tenants that wait do not keep one another waiting.

/** Whether it is kept for callers alone, all of which have come later than this one, or can do without it. */
export function yields(
  instance: PooledInstance,
  caller: number,
  { steps, tenant }: TenantSequence,
  queue: AcquireQueue,
): boolean {
  const step = steps.get(instance.name);
  if (step?.followed !== instance) return false;
  const dependents = [...reachable([step], (one) => steps.dependentsOf(one.name))].filter((one) => one !== step);
  if (dependents.some(({ instances }) => instances.some(({ state }) => state !== 'stopping'))) return false;
  const first = ({ name }: PoolStep) => queue.oldestOfTenant(name, tenant)?.number ?? Infinity;
  return dependents.every((one) => first(one) > caller || !steps.neededBy(one.name).includes(instance.name));
}

/** The instances for which it is kept, where all of them are idle; else none. */
export function idleDependents({ name }: PooledInstance, { steps }: TenantSequence): PooledInstance[] {
  const step = steps.get(name);
  if (step === undefined) return [];
  const dependents = [...reachable([step], (one) => steps.dependentsOf(one.name))].filter((one) => one !== step);
  const living = dependents.flatMap(({ instances }) =>
    instances.filter(({ state }) => state === 'starting' || state === 'ready'),
  );
  // Those that nothing depends on go first; then nothing keeps the others.
  const isIdle = ({ state, leases }: PooledInstance) => state === 'ready' && leases === 0;
  return living.every(isIdle) ? living.filter(({ isNeeded }) => !isNeeded) : [];
}
