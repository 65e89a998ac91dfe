import { isAtLeast, type Level } from './level.js';

/** What decides when the next sample is taken. */
export interface Busyness {
  /** As the last samples show it. */
  readonly level: Level;
  /** Trees that are watched. */
  readonly trees: number;
  /** Whether the next sample decides on a level or on a growth. */
  readonly isUndecided: boolean;
}

/** Never more often than this, ms, unless the host has set a shorter interval: a sample reads all of `/proc`. */
const SHORTEST = 1000;
/** Not less often than this because nothing runs, ms: a first burst must be seen within one window of the growth. */
const LONGEST_IDLE = 15_000;

/**
 * Time until the next sample, in ms: half of the interval at `warning`, a fifth from `critical` on and where the next
 * sample decides, three times as much while nothing runs.
 *
 * @param interval of the host, ms. Default of the pool: 5,000
 */
export function sampleInterval(interval: number, { level, trees, isUndecided }: Busyness): number {
  const least = Math.min(interval, SHORTEST);
  if (isUndecided || isAtLeast(level, 'critical')) return Math.max(interval / 5, least);
  if (isAtLeast(level, 'warning')) return Math.max(interval / 2, least);
  return trees > 0 ? interval : Math.max(interval, Math.min(interval * 3, LONGEST_IDLE));
}
