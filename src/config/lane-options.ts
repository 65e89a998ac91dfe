import {
  absolutePath,
  callback,
  describeValue,
  type Field,
  flag,
  type Given,
  isPlainObject,
  nested,
  oneOf,
  optionalString,
  type Resolved,
  requiredString,
  strings,
} from './fields.js';
import { count, duration, megabytes, megabytesOrUnlimited, numeric } from './number-fields.js';
import { type Problems, reader, readOptions, refuse } from './read-options.js';
import { onUnmetField, type ResolvedRequirements, readRequirements, requirementFields } from './requirement-options.js';
import { snapshot, typed } from './snapshot.js';

const LONGEST_LANE = 100;

const laneName: Field<string> & { required: true } = {
  default: '',
  required: true,
  check(value) {
    const what = `a name of 1 to ${LONGEST_LANE} letters, digits, '.', '_' and '-', other than '.' and '..'`;
    if (typeof value !== 'string') return `${what}, got ${describeValue(value)}`;
    const isName = /^[A-Za-z0-9._-]+$/.test(value) && value.length <= LONGEST_LANE && !/^\.{1,2}$/.test(value);
    return isName ? undefined : what;
  },
};

const laneFields = {
  /**
   * Name of the lane: of all commands that name the same one, for this user on this machine, one runs at a time. Letters, digits,
   * `.`, `_`, `-`.
   */
  lane: laneName,
  /**
   * Absolute path of a folder that only this user can reach, in which those that run and wait find each other. All of them must
   * name the same one. Default: `/tmp/mcp-server-pool-<uid>`, whatever the environment says; it is made with the rights 0700.
   */
  folder: absolutePath(),
  /**
   * Whether SIGINT, SIGTERM and SIGHUP end the tree of the command first, and then this process, as `handleSignals` of a pool. Without
   * it a signal that ends this process leaves the end of the tree to the guardian. Default: false.
   */
  handleSignals: flag(false),
};

/** Options of `SequentialExecutor`. */
export type LaneOptions = Given<typeof laneFields>;
export type ResolvedLane = Resolved<typeof laneFields>;
export const resolveLane = reader(laneFields, 'the options of SequentialExecutor');

const time = () => numeric(Infinity, 'a number of milliseconds above 0', { exclusiveMinimum: 0 }, (value) => value > 0);

/** Limits of a whole process tree. When it is over one of them, all of it is ended. */
export const runLimitFields = {
  /** Most memory, in MB: what no other process shares. Measured every half second. Default: `Infinity`. */
  memoryMB: megabytesOrUnlimited(Infinity),
  /** Most living processes. Measured every half second. Default: `Infinity`. */
  processes: count(Infinity, 1, 'unlimited'),
  /** Longest time from its start, in milliseconds; the time in which it waited for the lane does not count. Default: `Infinity`. */
  time: time(),
  /** Most CPU time of all its processes together, in milliseconds. Measured every half second. Default: `Infinity`. */
  cpuTime: time(),
};

/** Limits of one `run()`. */
export type RunLimits = Given<typeof runLimitFields>;
export type ResolvedRunLimits = Resolved<typeof runLimitFields>;

/** Variables of a command. The names may be anything that a system allows; the values are secret. */
const environment: Field<Readonly<Record<string, string | undefined>>> = {
  default: {},
  check(value) {
    if (!isPlainObject(value)) return `an object of strings ({ NAME: 'value' }), got ${describeValue(value)}`;
    for (const [key, item] of Object.entries(value)) {
      if (key === '' || /[=\0]/.test(key)) {
        return `an object of strings; the name '${key.replace(/=.*/s, '=…')}' is empty, or contains '=' or NUL`;
      }
      if (item !== undefined && (typeof item !== 'string' || item.includes('\0'))) {
        return `an object of strings; the entry '${key}' is neither undefined nor a string without NUL characters`;
      }
    }
    return undefined;
  },
};

const runFields = {
  /** Working directory. Default: that of this process. */
  cwd: optionalString(),
  /**
   * Variables in addition to those of this process, which the command inherits as from a shell; `undefined` removes one.
   * Default: `{}`.
   */
  env: environment,
  /**
   * Where its standard streams go. `capture` (default): stdin is empty, and the result has `stdout` and `stderr`. `inherit`: they are
   * those of this process. `pipe`: `onStart` gets them as streams, and must read them.
   */
  stdio: oneOf('capture', 'capture', 'inherit', 'pipe'),
  /** Most that `capture` keeps of each stream, in MB; of a longer one the end is kept. Default: 16. */
  captureMB: megabytes(16, 256),
  /**
   * Gives up: while it waits, `run()` rejects with `LANE_ABORTED`; when it runs, its tree is ended, and the result says `abort`.
   * Default: none, so that it waits as long as it takes.
   */
  signal: {
    default: undefined,
    check: (value) =>
      value instanceof AbortSignal && typeof value.aborted === 'boolean' ? undefined : 'an AbortSignal',
  } as Field<AbortSignal | undefined>,
  /** When the whole tree is ended. Default: no limits. */
  limits: nested(runLimitFields),
  /** What this host must have before the command is started. Looked at when it is its turn. Default: nothing. */
  requires: nested(requirementFields),
  /**
   * What is done when the host does not have it. `wait` (default): it keeps its turn, and looks again after pauses that grow to
   * 5 s; `onWaiting` tells what is missing. `fail`: `run()` rejects with `REQUIREMENTS_UNMET`, and the next one has its turn.
   */
  onUnmet: onUnmetField,
  /**
   * Time after which a command is stalled when it has neither written anything nor used CPU time (1 % of one core and more), in
   * milliseconds. `lane:stalled` tells it. Default: `Infinity`.
   */
  stalledAfter: time(),
  /** What is done about a command that is stalled: it is only told (default), or its tree is ended. */
  whenStalled: oneOf('tell', 'tell', 'end'),
  /** How long the tree may take to end after SIGTERM, in milliseconds; then SIGKILL. Default: 5,000. */
  termGrace: duration(5_000),
  /** Called when it has to wait, each time its place in the queue or the holder changes, and while `requires` is not met. */
  onWaiting: callback<(place: never) => void>(),
  /** Called when the command has been started. */
  onStart: callback<(running: never) => void>(),
};

export type RunFields = typeof runFields;
export type ResolvedRun = Omit<Resolved<RunFields>, 'limits' | 'requires'> & {
  readonly command: string;
  readonly args: readonly string[];
  readonly limits: ResolvedRunLimits;
  readonly requires: ResolvedRequirements;
};

const argumentFields = { command: requiredString(), args: strings() };

/** @throws PoolError `INVALID_OPTIONS` that lists every problem */
export function resolveRun(command: unknown, args: unknown, given: unknown): ResolvedRun {
  const what = 'the arguments of run()';
  const problems: Problems = { wrong: [], unsupported: [] };
  const resolved = typed(() => {
    const options = snapshot(given, what);
    const read = readOptions(runFields, options, '', problems);
    const limits = readOptions(runLimitFields, read.limits, 'limits', problems);
    const requires = readRequirements(read.requires, 'requires', problems);
    return { ...readOptions(argumentFields, { command, args }, '', problems), ...read, limits, requires };
  }, what);
  refuse(problems, what);
  return resolved;
}

const watchFields = {
  /** Ends the watch. Default: none; `break` ends it, too. */
  signal: runFields.signal,
  /** Time between two looks, in milliseconds, at least 10. Default: 250. */
  interval: numeric(
    250,
    'a finite number of milliseconds, 10 or more',
    { minimum: 10 },
    (value) => value >= 10 && Number.isFinite(value),
  ),
};

/** Options of `watch()` of a lane. */
export type LaneWatchOptions = Given<typeof watchFields>;
export const resolveLaneWatch = reader(watchFields, 'the options of watch()');
