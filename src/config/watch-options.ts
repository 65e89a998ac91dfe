import { type Given, optional } from './fields.js';
import { deadline, duration, MOST_MEMORY_MB, megabytes, noShorter, percent } from './number-fields.js';
import { reader } from './read-options.js';
import { endFields, patterns } from './stray-options.js';

const watchFields = {
  /**
   * What the command line of a watched process (its arguments joined by blanks, of these the first 4,096 characters) matches:
   * regular expressions, or strings that it contains. One match is enough. Default: as `findStrays()`, most MCP servers.
   */
  patterns,
  /** Memory from which on a process is listed, in MB: its own, without what it shares. Default: none. */
  memoryLimitMB: optional(megabytes(8_192, MOST_MEMORY_MB)),
  /** CPU time from which on a process is listed, in percent of one core, since the look before. Default: none. */
  cpuLimitPercent: optional(percent(80, 1)),
  /** Age from which on a process is listed, in milliseconds. Default: none. */
  maxAge: optional(deadline(86_400_000)),
  /**
   * How long a process is stuck before it is listed, in milliseconds. Stuck is a process that has used more than
   * `cpuLimitPercent` between all looks of this time; or that each look has found stopped (state T) or in an uninterruptible
   * system call (D), without any CPU time in between. One that sleeps (S) waits for something to do, and is not stuck.
   * Default: 300,000.
   */
  stuckAfter: duration(300_000),
  /** Time between two looks, in milliseconds, at least 1,000. Default: 300,000. */
  interval: noShorter(300_000, 1_000),
};

/** Options of `watchProcesses()`. */
export type WatchOptions = Given<typeof watchFields>;
/** Options of `endWatched()`: `termGrace`, as of `endStrays()`. */
export type EndWatchedOptions = Given<typeof endFields>;

export const resolveWatch = reader(watchFields, 'the options of watchProcesses()');
export const resolveEndWatched = reader(endFields, 'the options of endWatched()');
export type ResolvedWatch = ReturnType<typeof resolveWatch>;
