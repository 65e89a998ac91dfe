import { type EndStraysOptions, resolveEndStrays } from '../../config/stray-options.js';
import { type EndRule, endListed, type ProcessEnd } from './ending.js';
import { localSystem, type Stray } from './find-strays.js';
import type { StraySystem } from './stray-scan.js';

/** What became of one stray. */
export type StrayEnd = ProcessEnd;

const CALLS = { end: 'endStrays()', list: 'findStrays()', name: 'strays' };

/** Strays, and what is below them because it would be the next strays. */
const RULE: EndRule = {
  mayEnd(row, scan, { isSignalled, hasParent }) {
    // It was a stray before the first signal. That signal may have ended its parent, and with it the reason why it was
    // a stray. Then its parent is another entry, or a process that has adopted it.
    const wasOne = isSignalled && scan.rows.has(row.parent) && (hasParent || scan.adoption(row) !== undefined);
    return wasOne ? scan.isCandidate(row) : scan.isStray(row);
  },
  below: (row, scan) => scan.below(row),
};

/**
 * Ends strays that `findStrays()` has listed: SIGTERM, `termGrace`, SIGKILL, proof. Right before each signal it checks
 * that the process is the same (pid and start time, and before the first one the name of its program), belongs to the
 * same user, and is still a stray; if not, it is left alone (`changed`). That it is still a stray cannot be checked while
 * it is in an uninterruptible system call (state D). Signals go to single processes, never to groups. No audit trail has
 * what is ended here.
 *
 * Processes below a listed stray are ended with it, also those that it forks meanwhile, because they would be the next
 * strays. (A process that is forked and loses its parent between two scans is missed; the next `findStrays()` shows
 * it.)
 *
 * Resolves after `termGrace` and some seconds at the latest, and keeps the host alive until then.
 *
 * @param strays entries of `findStrays()`, all or some; they may have been stored as JSON. Those of another boot of the
 * machine, or of another container, are left alone (`changed`).
 * @returns one report for each entry, then one for each process below that was added
 * @throws PoolError `INVALID_OPTIONS`, `NOT_SUPPORTED`; and the error when the process table cannot be read (EMFILE)
 */
export async function endStrays(strays: readonly Stray[], options: EndStraysOptions = {}): Promise<StrayEnd[]> {
  return endStraysOf(await localSystem('endStrays()'), strays, options);
}

/** The same on any system, for tests. */
export async function endStraysOf(
  system: StraySystem,
  strays: readonly Stray[],
  options: EndStraysOptions = {},
): Promise<StrayEnd[]> {
  return endListed(strays, CALLS, RULE, resolveEndStrays(options).termGrace, system);
}
