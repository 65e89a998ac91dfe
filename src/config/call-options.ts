import { PoolError } from '../errors.js';
import {
  abortSignal,
  about,
  type Field,
  flag,
  type Given,
  oneOf,
  optional,
  optionalString,
  type Resolved,
  requiredString,
  scopeLabel,
} from './fields.js';
import { ALERT_LEVELS } from './monitoring-options.js';
import { count, deadline, duration } from './number-fields.js';
import { type Problems, reader, readOptions, refuse } from './read-options.js';
import { typed } from './snapshot.js';
import { variantFields } from './variant-options.js';

const acquireFields = {
  /**
   * An isolation boundary, named by the host: no instance is ever used by two tenants. Default: none; all calls without a
   * tenant share their instances. `tenant: undefined` is `INVALID_OPTIONS`: a value that was lost must not give a caller the
   * processes of others.
   */
  tenant: scopeLabel('a tenant'),
  /**
   * A label of the lease, by which `releaseOwner()` finds it. Default: none; all calls without an owner share their instances.
   * `owner: undefined` is `INVALID_OPTIONS`, for the same reason as with `tenant`.
   */
  owner: scopeLabel('an owner'),
  /**
   * Deadline for waiting, spawn and handshake together, in milliseconds; then `ACQUIRE_TIMEOUT`. Default: `acquireTimeout`
   * of the pool.
   */
  timeout: optional(deadline(1)),
  /**
   * Whether the lease that the same owner holds on this server for the same tenant is reused, or the one that an earlier call
   * with `reuseLease` waits for: for hosts that ask several things of one client session at once. A call without
   * `reuseLease` that waits gets a lease of its own. Each call returns a holder of its own, with the same id
   * and transport; the lease ends when each holder has released it, or for all at once by `releaseServer(id)`,
   * `transport.close()` or `releaseOwner()`. Needs an `owner`. Default: false.
   */
  reuseLease: flag(false),
  /** Cancels the call with `ACQUIRE_ABORTED`; the `cause` of the error is the signal's reason. Default: undefined. */
  signal: abortSignal(),
  ...variantFields,
};

/** The options of `getServer()` with their defaults. */
const readAcquireOptions = reader(acquireFields, 'the options of getServer()');

/** @throws PoolError `INVALID_OPTIONS` */
export function resolveAcquireOptions(given: AcquireOptions): Resolved<typeof acquireFields> {
  const options = readAcquireOptions(given);
  if (!options.reuseLease || options.owner !== undefined) return options;
  const problem = 'reuseLease needs an owner: the lease that is reused is the one that this owner holds';
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** Options of `getServer()`. */
export type AcquireOptions = Given<typeof acquireFields>;

const shutdownFields = {
  /**
   * `graceful` (default): requests in flight may finish, then each tree is ended by end of file, SIGTERM, SIGKILL.
   * `emergency`: each tree is killed at once.
   */
  mode: oneOf('graceful', 'graceful', 'emergency'),
  /** Time after which a graceful shutdown becomes an emergency, in milliseconds. Default: `shutdownTimeout` of the pool. */
  timeout: optional(deadline(1)),
  /** Longest time that requests in flight get to finish, in milliseconds. Default: 5,000. */
  drainTimeout: duration(5_000),
};

/** Options of `shutdown()` and `endAll()`. */
export type ShutdownOptions = Given<typeof shutdownFields>;

const modeFields = {
  mode: { ...oneOf('shutdown', 'shutdown', 'reclaim', 'emergency', 'level', 'restart'), required: true as const },
};

const planFields = {
  /** For the mode `level` alone: which. Default: `critical`. */
  level: oneOf('critical', ...ALERT_LEVELS),
};

/** Options of `plan()`. */
export type PlanOptions = Given<typeof planFields>;

/**
 * The action that `plan()` describes. `shutdown`: a graceful shutdown. `emergency`: one that kills at once. `reclaim`: all
 * slots that could be made free for callers. `level`: what a level would end now (`monitoring.levels`). `restart`: what
 * `restartAll()` would replace or end.
 */
export type PlanMode = 'shutdown' | 'reclaim' | 'emergency' | 'restart' | 'level';

/** @throws PoolError `INVALID_OPTIONS` that lists every problem */
export function resolvePlanOptions(
  mode: PlanMode,
  given: PlanOptions,
): Resolved<typeof modeFields> & Resolved<typeof planFields> {
  const what = 'the arguments of plan()';
  const problems: Problems = { wrong: [], unsupported: [] };
  const options = typed(() => {
    const { level } = readOptions(planFields, given, '', problems);
    if (mode !== 'level' && problems.wrong.length === 0 && given.level !== undefined)
      problems.wrong.push("level must not be set for another mode than 'level', where it has no effect");
    return { ...readOptions(modeFields, { mode }, '', problems), level };
  }, what);
  refuse(problems, what);
  return options;
}

export const drainFields = {
  /**
   * Time after which leases on the old process are taken back (`LEASE_RECLAIMED`), in milliseconds. Default: `Infinity`,
   * never. Leases of shared servers are not taken back, they move to the new process; then it is the time that the old
   * process gets to finish their requests, at most 30,000.
   */
  timeout: duration(Infinity),
};

/** Options of `updateServer()`, `removeServer()` and `restart()`. */
export type DrainOptions = Given<typeof drainFields>;

const restartAllFields = {
  /** As that of `restart()`, for each server. Default: `Infinity`. */
  timeout: drainFields.timeout,
  /** Most servers that are restarted at the same time. One that only waits for leases does not count. Default: 1. */
  concurrency: count(1, 1),
};

/** Options of `restartAll()`. */
export type RestartAllOptions = Given<typeof restartAllFields>;

const resetBreakerFields = {
  /**
   * The breaker of this tenant. Default: undefined, that of calls without a tenant; events and `status()` name it by
   * `tenant: undefined`, so here that is no mistake.
   */
  tenant: optionalString(),
  /** Those of all tenants, and that of calls without one. Not beside `tenant`. Default: false. */
  allTenants: flag(false),
};

/** Options of `resetBreaker()`. */
export type ResetBreakerOptions = Given<typeof resetBreakerFields>;
const readResetBreakerOptions = reader(resetBreakerFields, 'the options of resetBreaker()');

/** @throws PoolError `INVALID_OPTIONS` */
export function resolveResetBreakerOptions(given: ResetBreakerOptions): Resolved<typeof resetBreakerFields> {
  const options = readResetBreakerOptions(given);
  if (!options.allTenants || options.tenant === undefined) return options;
  const problem = 'tenant must not be set beside allTenants: true';
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

const waitFields = {
  /** Which payloads count. Default: all. */
  filter: {
    default: undefined,
    check: (value) => (typeof value === 'function' ? undefined : 'a function'),
  } as Field<((payload: never) => boolean) | undefined>,
  /** Longest time, in milliseconds; then `WAIT_TIMEOUT`. Default: `Infinity`. */
  timeout: duration(Infinity),
  /** Cancels the call with `WAIT_ABORTED`; the `cause` of the error is the signal's reason. Default: undefined. */
  signal: acquireFields.signal,
};

/** Options of `waitFor()`. */
export type WaitOptions<P> = Omit<Given<typeof waitFields>, 'filter'> & {
  /** Which payloads count. Default: all. */
  readonly filter?: ((payload: P) => boolean) | undefined;
};
const readWaitOptions = reader(waitFields, 'the options of waitFor()');

export function resolveWaitOptions<P>(given: WaitOptions<P>): Omit<Resolved<typeof waitFields>, 'filter'> & {
  readonly filter: ((payload: P) => boolean) | undefined;
} {
  return readWaitOptions(given as never) as never;
}

const warmFields = {
  /** Number of instances to have ready; not more than `maxInstances` are started. Default: 1. */
  count: count(1, 1),
  /**
   * The tenant that they are started for; any caller may get them, since they have served none, unless `env`, `args` or `cwd` is
   * given. Default: none. `undefined` is refused, as by `getServer()`.
   */
  tenant: acquireFields.tenant,
  /** The owner that they are started for. Default: none. `undefined` is refused, as by `getServer()`. */
  owner: acquireFields.owner,
  ...variantFields,
};

/** Options of `warm()`. */
export type WarmOptions = Given<typeof warmFields>;

const drillFields = {
  /** Name of the server. */
  server: requiredString(),
  /**
   * `kill`: the process that was spawned gets SIGKILL. `exit`: it gets SIGTERM. `hang`: all its processes get SIGSTOP, so that
   * they stand still.
   */
  fault: { ...oneOf('kill', 'kill', 'exit', 'hang'), required: true as const },
  /** Says what would be done, and does nothing. Default: false. */
  dryRun: flag(false),
  /** Id of the instance to break, which may have leases. Default: of those without a lease the one that is idle longest. */
  instance: optionalString(),
  /**
   * Longest time from the fault until a new instance answers, in milliseconds. Then the drill has failed, and repairs what it
   * has broken. Default: 300,000.
   */
  timeout: deadline(300_000),
  /** Ends the drill: it repairs what it has broken, and reports what it has seen. Default: undefined. */
  signal: acquireFields.signal,
};

/** Options of `runRecoveryDrill()`. */
export type DrillOptions = Given<typeof drillFields>;

/** How a drill breaks a server. */
export type DrillFault = DrillOptions['fault'];

/**
 * What came of a drill. `passed`: the fault was found and the server has recovered within the targets, and the pool is as it
 * was. `failed`: not that. `aborted`: by `signal`. `planned`: it was a dry run.
 */
export type DrillVerdict = 'passed' | 'failed' | 'aborted' | 'planned';

const statusFormatFields = {
  /** Whether the text has escape codes that color it. Default: false. */
  color: flag(false),
  /** Columns of the terminal: no line is wider. Below 80 some columns of the table are left out. Default: 80. */
  width: count(80, 1),
};

/** Options of `formatStatus()`. */
export type StatusFormat = Given<typeof statusFormatFields>;

export const cleanupFields = {
  /** Most process trees that are ended at the same time. Default: 5. */
  concurrency: about('most process trees that are ended at the same time', count(5, 1)),
  /** Deadline of one attempt, in milliseconds; extended where `eofGrace` and `termGrace` of the server need more. Default: 10,000. */
  timeout: about('deadline of one attempt to end a tree; never shorter than the graces need', deadline(10_000)),
  /** Attempts after the first, with exponential backoff; then the tree is quarantined and keeps its slot. Default: 3. */
  retries: about('attempts after the first, before a tree is quarantined', count(3, 0)),
};

/** Options of `CleanupQueue`, and `cleanup` of a pool. */
export type CleanupOptions = Given<typeof cleanupFields>;

export const resolveShutdownOptions = reader(shutdownFields, 'the options of shutdown()');
export const resolveEndAllOptions = reader(shutdownFields, 'the options of endAll()');
export const resolveDrainOptions = reader(drainFields, 'the drain options');
export const resolveDrillOptions = reader(drillFields, 'the options of runRecoveryDrill()');
export const resolveRestartAllOptions = reader(restartAllFields, 'the options of restartAll()');
export const resolveStatusFormat = reader(statusFormatFields, 'the options of formatStatus()');
export const resolveWarmOptions = reader(warmFields, 'the options of warm()');
export const resolveCleanupOptions = reader(cleanupFields, 'the options of CleanupQueue');
