import { ALERT_LEVELS } from '../config/monitoring-options.js';

/** The levels; the lowest stands first. */
export const LEVELS = ['normal', ...ALERT_LEVELS] as const;

/** How far a pool is from what is expected of it: `normal`, `warning`, `critical`, `nuclear`, `emergency`; see `monitoring.levels`. */
export type Level = (typeof LEVELS)[number];

/** Whether `level` is `least` or higher. */
export function isAtLeast(level: Level, least: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}
