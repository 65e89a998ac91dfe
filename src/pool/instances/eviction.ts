import type { Priority } from '../../config/resource-options.js';
import { type Candidate, victims } from '../../monitor/victims.js';
import type { EndReason } from '../../server/end-reason.js';
import type { PooledInstance } from './pooled-instance.js';
import type { LeaseClass, ServerEntry } from './server-entry.js';

/** An instance that could be ended to make room for a caller: no lease uses it, and no caller waits for it. */
export interface Evictable extends Candidate {
  readonly instance: PooledInstance;
}

/**
 * The order in which trees are ended to make room: expendable ones first; of one priority first the one that was idle
 * longest, starts last. Those of essential servers only for a caller of an essential one. Pure.
 * @param caller priority of the server that needs the room
 */
export function evictionOrder(evictable: readonly Evictable[], caller: Priority = 'normal'): PooledInstance[] {
  return victims(evictable, { reason: 'room', caller }).map(({ instance }) => instance);
}

/** The reason of such an end: an instance that only its last owner may have is of no use to the caller. */
export function evictionReason({ isReserved }: PooledInstance): EndReason {
  return isReserved ? 'unfinished' : 'evicted';
}

/** The instances of these classes that could be ended; of the starts of a class the youngest first. */
export function evictableIn(classes: Iterable<LeaseClass>): Evictable[] {
  const all = [...classes];
  const idle = all.flatMap((one) =>
    one.idle.filter(({ isNeeded }) => !isNeeded).map((instance) => candidate(one.entry, instance, true)),
  );
  const starts = all.flatMap((one) =>
    one.surplusStarts.map((instance) => candidate(one.entry, instance, false)).reverse(),
  );
  return [...idle, ...starts];
}

function candidate({ definition }: ServerEntry, instance: PooledInstance, isIdle: boolean): Evictable {
  const { idleSince, leases } = instance;
  return { instance, priority: definition?.priority ?? 'normal', isIdle, leases, idleSince };
}
