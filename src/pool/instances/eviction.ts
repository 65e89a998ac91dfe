import type { PooledInstance } from './pooled-instance.js';
import type { LeaseClass } from './server-entry.js';

/** What could be ended to make room for a caller. */
export interface Evictable {
  /** Instances that no lease uses. */
  readonly idle: readonly PooledInstance[];
  /** Starts that no caller waits for, the youngest of each class first. */
  readonly surplusStarts: readonly PooledInstance[];
}

/** In which order trees are ended to make room: the one idle longest first, then starts. Pure. */
export function evictionOrder({ idle, surplusStarts }: Evictable): PooledInstance[] {
  return [...[...idle].sort((a, b) => a.idleSince - b.idleSince), ...surplusStarts];
}

/** What could be ended among the instances of these classes. */
export function evictableIn(classes: Iterable<LeaseClass>): Evictable {
  const all = [...classes];
  return {
    idle: all.flatMap(({ idle }) => idle),
    surplusStarts: all.flatMap(({ surplusStarts }) => surplusStarts.reverse()),
  };
}
