import type { ServiceLevelTargets } from '../../config/service-level-options.js';
import type { Events } from './burn-rate.js';
import type { LevelCounts } from './level-counts.js';
import type { BurningLevel } from './service-level.js';
import { MONTH, WEEK } from './service-series.js';

/** A level of which a share may fail. */
interface BurningRule {
  /** The time that it is of, ms. */
  readonly window: number;
  /** What counts for it. */
  eventsOf(counts: LevelCounts): Events;
  /** The share that may fail. */
  allowed(targets: ServiceLevelTargets): number;
}

/** The levels with a budget that can be used up too fast. The only place that says what counts for them. */
export const BURNING_LEVELS: Readonly<Record<BurningLevel, BurningRule>> = {
  availabilityPercent: {
    window: MONTH,
    eventsOf: ({ calls, requests, refused, lost }) => ({ valid: calls + requests, bad: refused + lost }),
    allowed: ({ availabilityPercent }) => 1 - availabilityPercent / 100,
  },
  failurePercent: {
    window: WEEK,
    eventsOf: ({ requests, lost, failed }) => ({ valid: requests, bad: lost + failed }),
    allowed: ({ failurePercent }) => failurePercent / 100,
  },
  acquireTime: {
    window: WEEK,
    eventsOf: ({ calls, refused, slow }) => ({ valid: calls - refused, bad: slow }),
    // The target is of 95 % of the calls.
    allowed: () => 0.05,
  },
};
