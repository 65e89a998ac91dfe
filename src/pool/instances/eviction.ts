import type { EndReason } from '../../server/end-reason.js';
import type { PooledInstance } from './pooled-instance.js';
import type { LeaseClass } from './server-entry.js';

/** The instances that could be ended to make room for a caller. */
export interface Evictable {
  /** Instances that no lease uses. */
  readonly idle: readonly PooledInstance[];
  /** Starts that no caller waits for, the youngest of each class first. */
  readonly surplusStarts: readonly PooledInstance[];
}

/** The order in which trees are ended to make room: first the one that was idle longest, starts last. Pure. */
export function evictionOrder({ idle, surplusStarts }: Evictable): PooledInstance[] {
  return [...[...idle].sort((a, b) => a.idleSince - b.idleSince), ...surplusStarts];
}

/** The reason of such an end: an instance that only its last owner may have is of no use to the caller. */
export function evictionReason({ isReserved }: PooledInstance): EndReason {
  return isReserved ? 'unfinished' : 'evicted';
}

/** The instances of these classes that could be ended. */
export function evictableIn(classes: Iterable<LeaseClass>): Evictable {
  const all = [...classes];
  return {
    idle: all.flatMap(({ idle }) => idle),
    surplusStarts: all.flatMap(({ surplusStarts }) => surplusStarts.reverse()),
  };
}
