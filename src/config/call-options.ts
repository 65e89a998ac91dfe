import {
  count,
  deadline,
  duration,
  type Field,
  type Given,
  oneOf,
  optionalText,
  type Problems,
  type Resolved,
  readOptions,
  refuse,
} from './option-table.js';

/** What `getServer()` takes beside the name. */
const acquireFields = {
  /** An isolation boundary: no instance is ever used by two tenants. Default: one that all calls without it share. */
  tenant: optionalText(),
  /** A label by which `releaseOwner()` finds the lease. */
  owner: optionalText(),
  /** Deadline over waiting, spawn and handshake, ms. Default: `acquireTimeout` of the pool. */
  timeout: { ...deadline(1), default: undefined } as Field<number | undefined>,
  /** Gives the call up; the error's `cause` is the signal's reason. */
  signal: {
    default: undefined,
    check: (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal'),
  } as Field<AbortSignal | undefined>,
};

/** Options of `getServer()`. */
export type AcquireOptions = Given<typeof acquireFields>;

const shutdownFields = {
  /** `graceful` (default) lets requests in flight finish and climbs the ladder; `emergency` kills at once. */
  mode: oneOf('graceful', 'graceful', 'emergency'),
  /** After this time a graceful shutdown becomes an emergency one, ms. Default 30,000. */
  timeout: deadline(30_000),
  /** How long requests in flight may take to finish before their servers are ended, ms. Default 5,000. */
  drainTimeout: duration(5_000),
};

/** Options of `shutdown()`. */
export type ShutdownOptions = Given<typeof shutdownFields>;

const planFields = {
  /** What is to be foreseen. */
  mode: { ...oneOf('shutdown', 'shutdown', 'reclaim', 'emergency'), required: true as const },
};

/** What `plan()` foresees: a graceful shutdown, the room that could be made for callers, an emergency shutdown. */
export type PlanMode = Given<typeof planFields>['mode'];

const drainFields = {
  /**
   * After this time leases on the old process are taken back (`LEASE_RECLAIMED`), ms. Default `Infinity`: never. Leases of
   * shared servers go over to the new process; the old one has so long to finish their requests, at most 30,000.
   */
  timeout: duration(Infinity),
};

/** Options of `updateServer()`, `removeServer()` and `restart()`. */
export type DrainOptions = Given<typeof drainFields>;

const warmFields = {
  /** How many instances shall be ready; never more than `maxInstances`. Default 1. */
  count: count(1, 1),
  /** For which tenant. */
  tenant: optionalText(),
  /** For which owner, where the server is reused by owner. */
  owner: optionalText(),
};

/** Options of `warm()`. */
export type WarmOptions = Given<typeof warmFields>;

export const cleanupFields = {
  /** Most process trees that are ended at once. Default 5. */
  concurrency: count(5, 1),
  /** Deadline of one attempt, ms; never shorter than the graces of the server need. Default 10,000. */
  timeout: deadline(10_000),
  /** Attempts after the first, with exponential backoff, before the slot is quarantined. Default 3. */
  retries: count(3, 0),
};

/** Options of `CleanupQueue`, and `cleanup` of a pool. */
export type CleanupOptions = Given<typeof cleanupFields>;

/** A function that checks what is given by a table, and fills in the defaults. */
export function reader<F extends Readonly<Record<string, Field<unknown>>>>(fields: F, what: string) {
  return (given: Given<F>): Resolved<F> => {
    const problems: Problems = { wrong: [], unsupported: [] };
    const options = readOptions(fields, given, '', problems);
    refuse(problems, what);
    return options;
  };
}

export const resolveAcquireOptions = reader(acquireFields, 'the options of getServer()');
export const resolveShutdownOptions = reader(shutdownFields, 'the options of shutdown()');
export const resolvePlanOptions = reader(planFields, 'the argument of plan()');
export const resolveDrainOptions = reader(drainFields, 'the drain options');
export const resolveWarmOptions = reader(warmFields, 'the options of warm()');
export const resolveCleanupOptions = reader(cleanupFields, 'the options of CleanupQueue');
