import { withFrames } from '../errors.js';
import type { PoolParts } from './assemble.js';
import type { LeaseScope } from './instances/lease-scope.js';
import { isOpen, type OpenEntry } from './instances/server-entry.js';
import { isShownTo } from './instances/start-failure.js';
import { tenantRoom } from './instances/tenant-limit.js';

type Parts = Pick<PoolParts, 'fleet' | 'keepAlive' | 'order' | 'scheduler'>;

/**
 * Starts instances until `count` that a caller of this scope could get are idle, or a limit is reached.
 * @returns how many are
 * @throws PoolError of the starts, when there is none
 */
export async function warmScope(
  entry: OpenEntry,
  scope: LeaseScope,
  count: number,
  { fleet, keepAlive, order, scheduler }: Parts,
): Promise<number> {
  const idle = () => (isOpen(entry) ? entry.readyFor(scope) : 0);
  const isEnough = () => idle() + entry.startsFor(scope).length >= count;
  if (!isEnough() && !fleet.gate.dependencies.allows(entry, scope.tenant)) await order.warm(entry, scope);
  if (!scheduler.looks.isMet && !isEnough()) await keepAlive.during(scheduler.looks.lookFor(entry));
  const starts = entry.startsFor(scope);
  for (let missing = count - idle() - starts.length; missing > 0; missing--) {
    if (!isOpen(entry) || !fleet.isOpen || !fleet.hasRoom(entry) || !scheduler.looks.isMet) break;
    if (!fleet.gate.dependencies.allows(entry, scope.tenant) || tenantRoom(fleet, entry, scope.tenant) !== 'free')
      break;
    const instance = scheduler.startSpare(entry, scope);
    if (instance) starts.push(instance);
  }
  await keepAlive.during(Promise.all(starts.map(({ started }) => started)));
  const failure = entry.lastFailure;
  if (idle() === 0 && isOpen(entry) && failure && isShownTo(failure, scope)) throw withFrames(failure.error);
  return idle();
}
