import type { Limit } from '../events.js';

/** Slots of one budget as one caller sees them: earlier waiters have taken their part already. */
export interface Room {
  /** Trees that start, run, stop or are quarantined. */
  readonly used: number;
  readonly limit: number;
  /** Trees being ended whose slot no earlier waiter counts on. */
  readonly ending: number;
  /** Whether a tree could be ended to make room: an idle one, or a start that nobody waits for. */
  readonly evictable: boolean;
}

/** Everything that matters for one caller. */
export interface Situation {
  /** An instance that the caller may use: an idle one, or a shared one with room. */
  readonly free: boolean;
  /** Seats on starts that would serve the caller and that no earlier waiter counts on. */
  readonly starting: number;
  /** The budget of the server: `maxInstances`. */
  readonly server: Room;
  /** The budget of the pool: `limits.maxProcesses`. */
  readonly pool: Room;
}

export type Decision =
  | { readonly action: 'reuse' }
  | { readonly action: 'spawn' }
  /** End an idle tree, of this server or of any, and wait for its slot. */
  | { readonly action: 'evict'; readonly from: 'server' | 'pool' }
  /** A start, or a slot that is being freed, will do. */
  | { readonly action: 'wait'; readonly for: 'start' }
  | { readonly action: 'wait'; readonly for: 'ending' }
  /** Nothing will do until somebody releases. */
  | { readonly action: 'wait'; readonly for: 'release'; readonly limit: Limit };

/** What to do wherever an instance is free. */
export const REUSE = { action: 'reuse' } as const satisfies Decision;

/** What to do for a caller. Asked for the oldest first, whenever something has changed. */
export function decide({ free, starting, server, pool }: Situation): Decision {
  if (free) return REUSE;
  if (starting > 0) return { action: 'wait', for: 'start' };
  return makeRoom(server, 'server', 'maxInstances') ?? makeRoom(pool, 'pool', 'maxProcesses') ?? { action: 'spawn' };
}

/** Undefined when there is room. */
function makeRoom(room: Room, from: 'server' | 'pool', limit: Limit): Decision | undefined {
  if (room.used < room.limit) return undefined;
  if (room.ending > 0) return { action: 'wait', for: 'ending' };
  if (room.evictable) return { action: 'evict', from };
  return { action: 'wait', for: 'release', limit };
}
