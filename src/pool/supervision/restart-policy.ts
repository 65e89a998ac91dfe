/**
 * How often and how fast servers are started again. Durations in ms. `Infinity` is allowed for `maxRestarts`, `window`
 * and `stableAfter`.
 */
export interface RestartPolicy {
  /** Failures that are allowed within `window`; one more opens the breaker. 0: the first failure does. Default: 5. */
  readonly maxRestarts: number;
  /** How long a failure counts, in ms; the window slides. Default: 60,000. */
  readonly window: number;
  /** The base of the backoff, in ms: the longest delay after the second failure in a row. Default: 100. */
  readonly minDelay: number;
  /** The longest delay, in ms. Default: 30,000. */
  readonly maxDelay: number;
  /** Uptime after which the backoff starts again from 0, in ms; `Infinity`: never. Default: 10,000. */
  readonly stableAfter: number;
  /** How long an open breaker refuses starts, in ms. Default: 30,000. */
  readonly cooldown: number;
}

/** The failures of one server and tenant that still matter. */
export interface FailureHistory {
  /** Clock times in ms, oldest first: only those within the window, and at most `maxRestarts + 1`. */
  readonly failures: readonly number[];
  /** Number of failures in a row, without a stable uptime between them. */
  readonly streak: number;
}

/** What to do about a failure: restart after `delay` ms, or open the breaker. */
export type Verdict = { readonly action: 'restart'; readonly delay: number } | { readonly action: 'open' };

/** The history of a server that has never failed. */
export const NO_FAILURES: FailureHistory = { failures: [], streak: 0 };

/** Limits the exponent: 64 doublings exceed every `maxDelay`, and without a limit `0 * Infinity` would be NaN. */
const MAX_DOUBLINGS = 64;

/**
 * Counts one failure, and returns what follows from it. Pure.
 *
 * @param now Clock time in ms.
 * @param uptime For how many ms the failed instance had been usable; 0 if it never was.
 * @param random 0 ≤ n < 1, as `Math.random`.
 */
export function afterFailure(
  history: FailureHistory,
  policy: RestartPolicy,
  now: number,
  uptime: number,
  random: () => number,
): { history: FailureHistory; verdict: Verdict } {
  const streak = uptime >= policy.stableAfter ? 1 : history.streak + 1;
  const failures = [...history.failures.filter((at) => now - at <= policy.window), now].slice(-kept(policy));
  return {
    history: { failures, streak },
    verdict:
      failures.length > policy.maxRestarts
        ? { action: 'open' }
        : { action: 'restart', delay: backoff(streak, policy, random) },
  };
}

/** Whether no failure matters any more. */
export function isForgotten(history: FailureHistory, policy: RestartPolicy, now: number): boolean {
  return now > forgottenAt(history, policy);
}

/**
 * Clock time after which no failure matters any more: none is within the window, and a restart after the longest delay would
 * have been stable by then.
 */
export function forgottenAt({ failures }: FailureHistory, { window, maxDelay, stableAfter }: RestartPolicy): number {
  const last = failures.at(-1);
  return last === undefined ? -Infinity : last + Math.max(window, maxDelay + stableAfter);
}

/** Number of failures that must be kept. Without a limit only the last one matters, for `isForgotten`. */
function kept({ maxRestarts }: RestartPolicy): number {
  return maxRestarts === Infinity ? 1 : maxRestarts + 1;
}

/** Full jitter: servers that were ended by one common cause must not all start at the same time, even at `maxDelay`. */
function backoff(streak: number, { minDelay, maxDelay }: RestartPolicy, random: () => number): number {
  // A healthy server that was killed is started again at once.
  if (streak === 1) return 0;
  return random() * Math.min(maxDelay, minDelay * 2 ** Math.min(streak - 2, MAX_DOUBLINGS));
}
