import type { Limit } from '../events.js';
import type { HostState } from '../instances/start-preflight.js';

/** The slots of one budget that are left to one caller: what earlier callers will get is subtracted. */
export interface Room {
  /** Trees that start, run, stop or are quarantined. */
  readonly used: number;
  readonly limit: number;
  /** Trees being ended with slots that no earlier caller will get. */
  readonly ending: number;
  /** Whether a tree could be ended to make room: an idle one, or a start that no caller waits for. */
  readonly evictable: boolean;
}

/** All facts that the decision depends on, for a caller without a free instance and without a seat on a start of its class. */
export interface Situation {
  /** Whether a start of another class, which no caller of that class needs, would serve the caller as well. */
  readonly adoptable: boolean;
  /** Whether the servers use as much memory as they may, so that nothing new is started. */
  readonly isMemoryShort: boolean;
  /** Whether the host has what `limits.requires` asks for. */
  readonly host: HostState;
  /** The budget of the server: `maxInstances`. */
  readonly server: Room;
  /** The budget of the pool: `limits.maxProcesses`. */
  readonly pool: Room;
}

export type Decision =
  | { readonly action: 'spawn' }
  /** Take a start of another class that no caller of that class needs. */
  | { readonly action: 'adopt' }
  /** End an idle tree, of this server or of any, and wait for its slot. */
  | { readonly action: 'evict'; readonly from: 'server' | 'pool' }
  /** A slot that comes free is on the way. */
  | { readonly action: 'wait'; readonly for: 'ending' }
  /** The host is looked at first: a start would be made. */
  | { readonly action: 'wait'; readonly for: 'look' }
  /** Nothing can be done before a lease is released, or the machine has what is needed. */
  | { readonly action: 'wait'; readonly for: 'release'; readonly limit: Limit };

/** Made once, and for each budget that may be full: a decision is taken for each release. */
const SPAWN: Decision = { action: 'spawn' };
const ADOPT: Decision = { action: 'adopt' };
const AWAIT_ENDING: Decision = { action: 'wait', for: 'ending' };
const AWAIT_LOOK: Decision = { action: 'wait', for: 'look' };
const AWAIT_HOST: Decision = { action: 'wait', for: 'release', limit: 'requires' };
const AWAIT_MEMORY: Decision = { action: 'wait', for: 'release', limit: 'memory' };
const SERVER_FULL = {
  evict: { action: 'evict', from: 'server' },
  wait: { action: 'wait', for: 'release', limit: 'maxInstances' },
} as const satisfies Record<string, Decision>;
const POOL_FULL = {
  evict: { action: 'evict', from: 'pool' },
  wait: { action: 'wait', for: 'release', limit: 'maxProcesses' },
} as const satisfies Record<string, Decision>;

/** What to do for one caller. Pure. To be asked for the oldest caller first, since what it gets is not left to later ones. */
export function decide({ adoptable, isMemoryShort, host, server, pool }: Situation): Decision {
  if (adoptable) return ADOPT;
  // A tree that ends to make room would not help: no other may be started in its place.
  if (isMemoryShort) return AWAIT_MEMORY;
  const decision = makeRoom(server, SERVER_FULL) ?? makeRoom(pool, POOL_FULL) ?? SPAWN;
  if (host === 'met' || decision.action === 'wait') return decision;
  return host === 'unmet' ? AWAIT_HOST : AWAIT_LOOK;
}

/** The decision when a budget is full; undefined when it has room. */
function makeRoom(room: Room, whenFull: typeof SERVER_FULL | typeof POOL_FULL): Decision | undefined {
  if (room.used < room.limit) return undefined;
  if (room.ending > 0) return AWAIT_ENDING;
  return room.evictable ? whenFull.evict : whenFull.wait;
}
