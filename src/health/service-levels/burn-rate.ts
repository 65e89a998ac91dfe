/** What counts for a level, and what of that has failed. */
export interface Events {
  readonly valid: number;
  readonly bad: number;
}

/**
 * The budget burns when it is used up so many times as fast as it may be, over a long window and over a short one, so that what
 * is over is no reason. By the first rule 2 % of the budget of 30 days are gone within the hour, by the second 5 % within 6 hours.
 * @see https://sre.google/workbook/alerting-on-slos/
 */
const RULES = [
  { factor: 14.4, long: 3_600_000, short: 300_000 },
  { factor: 6, long: 21_600_000, short: 1_800_000 },
] as const;

/** The longest window, ms: what failed before it burns nothing. */
export const LONGEST_WINDOW = 21_600_000;

/**
 * With fewer failures in the long window nothing burns: of two requests in a night one that fails is half of them, and no reason
 * to wake a person.
 */
const LEAST_BAD = 10;

/** How many times as fast as it may be the budget is used up. @param allowed the share that may fail, above 0 */
export function burnRate({ valid, bad }: Events, allowed: number): number {
  return valid === 0 ? 0 : bad / valid / allowed;
}

/**
 * The burn rate of the long window of the first rule that is met; undefined when none is.
 * @param eventsOf what came in the last `window` ms
 * @param allowed the share that may fail, above 0
 */
export function burning(eventsOf: (window: number) => Events, allowed: number): number | undefined {
  for (const { factor, long, short } of RULES) {
    // No rate is higher than that at which everything fails: where much may fail, that must be enough.
    const least = Math.min(factor, burnRate({ valid: 1, bad: 1 }, allowed));
    const events = eventsOf(long);
    const rate = burnRate(events, allowed);
    if (events.bad >= LEAST_BAD && rate >= least && burnRate(eventsOf(short), allowed) >= least) return rate;
  }
  return undefined;
}
