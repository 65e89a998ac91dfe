import { type EndWatchedOptions, resolveEndWatched } from '../../config/watch-options.js';
import { type EndRule, endListed, type ProcessEnd } from './ending.js';
import { localSystem } from './find-strays.js';
import type { StraySystem } from './stray-scan.js';
import type { WatchedProcess } from './watch-rounds.js';

const CALLS = { end: 'endWatched()', list: 'watchProcesses()', name: 'list' };

const RULE: EndRule = {
  mayEnd: (row, scan) => scan.isCandidate(row) && !scan.isPooled(row),
  below: (row, scan) => scan.below(row, (child) => scan.isPooled(child)),
};

/**
 * Ends processes that `watchProcesses()` has listed: SIGTERM, `termGrace`, SIGKILL, proof. Right before each signal it checks
 * that the process is the same (pid and start time, and before the first one the name of its program) and belongs to the same user;
 * if not, it is left alone (`changed`). This process, its ancestors, guardians, and what belongs to a living pool of this host or of
 * another one get no signal. Whether a process is still over its limit is not checked again.
 *
 * **Not recognized**, and so ended, is a server of another host that has no mark (`containment: 'group'`, or both `markers` off).
 * What is in an uninterruptible system call (state D), and was `checked` by no look, gets no signal until it can be. No audit trail has
 * what is ended here.
 *
 * Processes below a listed one are ended with it, also those that it forks meanwhile: nothing would look after them any more.
 * `below` of an entry is their number. Signals go to single processes, never to groups.
 *
 * Resolves after `termGrace` and some seconds at the latest, and keeps the host alive until then. Linux only.
 *
 * @param list entries of `watchProcesses()`, all or some; they may have been stored as JSON. Those of another boot of the machine, or
 * of another container, are left alone (`changed`).
 * @param options `termGrace` in ms (default 5,000)
 * @returns one report for each entry, then one for each process below that was added
 * @throws PoolError `INVALID_OPTIONS`, `NOT_SUPPORTED`; and the error when the process table cannot be read (EMFILE)
 */
export async function endWatched(
  list: readonly WatchedProcess[],
  options: EndWatchedOptions = {},
): Promise<ProcessEnd[]> {
  return endWatchedOf(await localSystem('endWatched()'), list, options);
}

/** The same on any system, for tests. */
export async function endWatchedOf(
  system: StraySystem,
  list: readonly WatchedProcess[],
  options: EndWatchedOptions = {},
): Promise<ProcessEnd[]> {
  return endListed(list, CALLS, RULE, resolveEndWatched(options).termGrace, system);
}
