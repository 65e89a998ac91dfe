import { drainFields } from './call-options.js';
import { abortSignal, callback, flag, type Given, oneOf, optional, strings } from './fields.js';
import { deadline } from './number-fields.js';
import { reader } from './read-options.js';

const restartFields = {
  /** As that of `updateServer()`, in milliseconds. Default: `Infinity`. */
  timeout: drainFields.timeout,
  /**
   * Whether what depends on the server is restarted with it: ended before it, and started after it. Leases that cannot move to
   * another process end then (`SERVER_STOPPED`); all has ended within `timeout`, at most 30,000. Default: false.
   */
  cascade: flag(false),
};

/** Options of `restart()`. */
export type RestartOptions = Given<typeof restartFields>;

/** How far a `pool.start()` has come. */
export interface StartProgress {
  /** The server of which something has changed. */
  readonly name: string;
  readonly state: 'starting' | 'ready' | 'failed' | 'skipped';
  /** How many of the servers are ready. */
  readonly ready: number;
  /** How many are to be started. */
  readonly total: number;
}

const startFields = {
  /** Names of the servers to be started; with what they depend on. Default: all, apart from those with `autoStart: false`. */
  only: optional(strings()),
  /** Longest time until all are ready, in milliseconds. Default: 60,000. */
  timeout: deadline(60_000),
  /** Makes the start fail when it is aborted. Default: undefined. */
  signal: abortSignal(),
  /**
   * What becomes of the servers that are ready when the start fails. `rollback`: those that it has started, and that have no
   * leases, are ended, in reverse. `keep`: they stay. Default: `rollback`.
   */
  onFailure: oneOf('rollback', 'rollback', 'keep'),
  /** Called when a server begins to start, is ready, has failed or is skipped. Default: none. */
  onProgress: callback<(progress: StartProgress) => unknown>(),
};

/** Options of `pool.start()`. */
export type StartOptions = Given<typeof startFields>;

export const resolveRestartOptions = reader(restartFields, 'the options of restart()');
export const resolveStartOptions = reader(startFields, 'the options of start()');
