export const LEVELS = ['normal', 'warning', 'critical', 'nuclear', 'emergency'] as const;
/** How far a pool is from what is expected of it; see `monitoring.levels`. */
export type Level = (typeof LEVELS)[number];
