/**
 * How often and how fast servers are started again. Durations in ms. `Infinity` is allowed for `maxRestarts`, `window`
 * and `stableAfter`.
 */
export interface RestartPolicy {
  /** Failures tolerated within `window`; one more opens the breaker. 0: the first one does. Default 5. */
  readonly maxRestarts: number;
  /** How long a failure counts, in ms; the window slides. Default 60,000. */
  readonly window: number;
  /** The base of the backoff, in ms: the most that the second failure of a streak waits. Default 100. */
  readonly minDelay: number;
  /** No delay is longer, in ms. Default 30,000. */
  readonly maxDelay: number;
  /** Uptime in ms after which the backoff begins anew. `Infinity`: it never does. Default 10,000. */
  readonly stableAfter: number;
  /** How long an open breaker refuses, in ms. Default 30,000. */
  readonly cooldown: number;
}

/** What is remembered of the failures of one definition (and tenant). */
export interface FailureHistory {
  /** Clock times in ms, oldest first, as far as they matter: within the window, at most `maxRestarts + 1` of them. */
  readonly failures: readonly number[];
  /** How many in a row, without a stable uptime between them. */
  readonly streak: number;
}

/** What to do about a failure: start again, `delay` ms from now, or open the breaker. */
export type Verdict = { readonly action: 'restart'; readonly delay: number } | { readonly action: 'open' };

/** The history of what never failed. */
export const NO_FAILURES: FailureHistory = { failures: [], streak: 0 };

/** More of them exceed every cap, and `0 * 2 ** streak` would in the end be `0 * Infinity`, which is no number. */
const MAX_DOUBLINGS = 64;

/**
 * Counts one failure, and says what follows from it.
 *
 * @param now Clock time in ms.
 * @param uptime For how many ms the failed instance had been usable; 0 if it never was.
 * @param random From 0 up to, and without, 1, as `Math.random`.
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

/**
 * Whether the past has no say any more: no failure is within the window, and the last one is so long ago that a restart
 * after the longest delay would have been stable by now.
 */
export function isForgotten({ failures }: FailureHistory, policy: RestartPolicy, now: number): boolean {
  const last = failures.at(-1);
  return last === undefined || now - last > Math.max(policy.window, policy.maxDelay + policy.stableAfter);
}

/** How many failures have to be kept to tell whether they are too many; without a limit only the last one matters. */
function kept({ maxRestarts }: RestartPolicy): number {
  return maxRestarts === Infinity ? 1 : maxRestarts + 1;
}

/** Full jitter: servers that a common cause ended together shall not come back together, also not at the cap. */
function backoff(streak: number, { minDelay, maxDelay }: RestartPolicy, random: () => number): number {
  // A healthy server that was killed is to be back at once.
  if (streak === 1) return 0;
  return random() * Math.min(maxDelay, minDelay * 2 ** Math.min(streak - 2, MAX_DOUBLINGS));
}
