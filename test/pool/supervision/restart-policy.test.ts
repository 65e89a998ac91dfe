import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterFailure,
  type FailureHistory,
  isForgotten,
  NO_FAILURES,
  type RestartPolicy,
} from '../../../src/pool/supervision/restart-policy.js';

const defaults: RestartPolicy = {
  maxRestarts: 5,
  window: 60_000,
  minDelay: 100,
  maxDelay: 30_000,
  stableAfter: 10_000,
  cooldown: 30_000,
};
const policy = (given: Partial<RestartPolicy>): RestartPolicy => ({ ...defaults, ...given });
/** The longest delay, which real randomness comes close to. */
const longest = () => 1;

interface Failure {
  readonly at: number;
  readonly uptime: number;
}

/** What follows from each of `failures`. */
function verdicts(failures: readonly Failure[], given: RestartPolicy, random = longest) {
  let history = NO_FAILURES;
  return failures.map(({ at, uptime }) => {
    const after = afterFailure(history, given, at, uptime, random);
    history = after.history;
    return after.verdict;
  });
}

/** `count` failures, `apart` ms from each other. */
const failing = (count: number, apart: number, uptime = 0): Failure[] =>
  Array.from({ length: count }, (_, index) => ({ at: 1000 + index * apart, uptime }));

const delays = (failures: readonly Failure[], given: RestartPolicy, random?: () => number) =>
  verdicts(failures, given, random).map((verdict) => (verdict.action === 'restart' ? verdict.delay : verdict.action));

const anyHistory: fc.Arbitrary<FailureHistory> = fc.record({
  failures: fc.array(fc.nat(100_000), { maxLength: 10 }).map((times) => times.sort((a, b) => a - b)),
  streak: fc.oneof(fc.nat(100), fc.nat(Number.MAX_SAFE_INTEGER)),
});
const anySpan = fc.oneof(fc.nat(100_000), fc.constant(Infinity));
const anyPolicy: fc.Arbitrary<RestartPolicy> = fc.record({
  maxRestarts: fc.oneof(fc.nat(8), fc.constant(Infinity)),
  window: anySpan,
  minDelay: fc.nat(1000),
  maxDelay: fc.nat(60_000),
  stableAfter: anySpan,
  cooldown: fc.nat(60_000),
});
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const anyFailures = fc
  .array(fc.record({ apart: fc.nat(30_000), uptime: fc.nat(30_000) }), { minLength: 1, maxLength: 30 })
  .map((steps) => {
    let at = 0;
    return steps.map(({ apart, uptime }): Failure => {
      at += apart;
      return { at, uptime };
    });
  });

describe('afterFailure', () => {
  it('[RESTART-1] heals the first failure at once', () => {
    expect(verdicts([{ at: 0, uptime: 0 }], defaults)).toEqual([{ action: 'restart', delay: 0 }]);
    expect(verdicts([{ at: 0, uptime: 86_400_000 }], defaults)).toEqual([{ action: 'restart', delay: 0 }]);
  });

  it('[RESTART-1] doubles the delay with each further failure of a streak, up to the cap', () => {
    expect(delays(failing(12, 1), policy({ maxRestarts: Infinity }))).toEqual([
      0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
    ]);
  });

  it('[RESTART-1] spreads delays that have reached the cap, too', () => {
    const long: FailureHistory = { failures: [], streak: 1000 };
    for (const share of [0, 0.25, 0.5])
      expect(afterFailure(long, defaults, 0, 0, () => share).verdict).toEqual({
        action: 'restart',
        delay: share * defaults.maxDelay,
      });
  });

  it('[RESTART-1] has a delay for a streak of any length', () => {
    const endless: FailureHistory = { failures: [], streak: Number.MAX_SAFE_INTEGER - 1 };
    const delay = (minDelay: number) => afterFailure(endless, policy({ minDelay }), 0, 0, longest).verdict;
    expect(delay(1)).toEqual({ action: 'restart', delay: defaults.maxDelay });
    expect(delay(0)).toEqual({ action: 'restart', delay: 0 });
  });

  it('[RESTART-1] begins anew after a stable uptime, and only then', () => {
    const given = policy({ maxRestarts: Infinity });
    const unstable = failing(3, 1, given.stableAfter - 1);
    expect(delays([...unstable, { at: 2000, uptime: given.stableAfter }], given)).toEqual([0, 100, 200, 0]);
    expect(delays([...unstable, { at: 2000, uptime: given.stableAfter - 1 }], given)).toEqual([0, 100, 200, 400]);
    const never = policy({ maxRestarts: Infinity, stableAfter: Infinity });
    expect(delays(failing(4, 86_400_000, 86_400_000), never)).toEqual([0, 100, 200, 400]);
  });

  it('[RESTART-1] opens at the failure after maxRestarts of them', () => {
    expect(delays(failing(7, 1), defaults)).toEqual([0, 100, 200, 400, 800, 'open', 'open']);
    expect(delays(failing(2, 86_400_000), policy({ maxRestarts: 0 }))).toEqual(['open', 'open']);
    expect(new Set(delays(failing(1000, 0), policy({ maxRestarts: Infinity })))).not.toContain('open');
  });

  it('[RESTART-1] counts failures also when the uptime between them was stable', () => {
    expect(delays(failing(6, defaults.stableAfter, defaults.stableAfter), defaults)).toEqual([0, 0, 0, 0, 0, 'open']);
  });

  it('[RESTART-1] forgets a failure that is older than the window', () => {
    const given = policy({ maxRestarts: 1 });
    expect(delays(failing(2, given.window), given)[1]).toBe('open');
    expect(delays(failing(2, given.window + 1), given)[1]).not.toBe('open');
    expect(delays(failing(2, Number.MAX_SAFE_INTEGER / 2), policy({ maxRestarts: 1, window: Infinity }))[1]).toBe(
      'open',
    );
  });

  it('[RESTART-1] opens exactly when more than maxRestarts of all failures are within the window', () => {
    fc.assert(
      fc.property(anyFailures, anyPolicy, anyRandom, (failures, given, share) => {
        const actions = verdicts(failures, given, () => share).map(({ action }) => action);
        const expected = failures.map(({ at }, index) => {
          const within = failures.slice(0, index + 1).filter((failure) => at - failure.at <= given.window);
          return within.length > given.maxRestarts ? 'open' : 'restart';
        });
        expect(actions).toEqual(expected);
      }),
    );
  });

  it('[RESTART-1] delays by no less than 0 and no more than the doubled base or the cap', () => {
    fc.assert(
      fc.property(anyHistory, anyPolicy, fc.nat(60_000), anyRandom, (history, given, uptime, share) => {
        const { history: after, verdict } = afterFailure(history, given, 100_000, uptime, () => share);
        const stable = uptime >= given.stableAfter;
        expect(after.streak).toBe(stable ? 1 : history.streak + 1);
        if (verdict.action === 'open') return;
        expect(verdict.delay).toBeGreaterThanOrEqual(0);
        expect(verdict.delay).toBeLessThanOrEqual(given.maxDelay);
        if (after.streak === 1) expect(verdict.delay).toBe(0);
        else if (after.streak < 50) expect(verdict.delay).toBeLessThanOrEqual(given.minDelay * 2 ** (after.streak - 2));
      }),
    );
  });

  it('[RESTART-1] remembers a bounded number of failures, all within the window, oldest first', () => {
    fc.assert(
      fc.property(anyFailures, anyPolicy, (failures, given) => {
        let history = NO_FAILURES;
        for (const { at, uptime } of failures) {
          const before = structuredClone(history);
          const after = afterFailure(history, given, at, uptime, longest).history;
          expect(history).toEqual(before);
          history = after;
          const times = history.failures;
          expect(times.at(-1)).toBe(at);
          expect(times.length).toBeLessThanOrEqual(Math.min(given.maxRestarts + 1, failures.length));
          expect(times.every((time) => at - time <= given.window)).toBe(true);
          expect(times).toEqual([...times].sort((a, b) => a - b));
        }
      }),
    );
    const unlimited = policy({ maxRestarts: Infinity, window: Infinity });
    let history = NO_FAILURES;
    for (const { at } of failing(1000, 1)) history = afterFailure(history, unlimited, at, 0, longest).history;
    expect(history).toEqual({ failures: [1999], streak: 1000 });
  });
});

describe('isForgotten', () => {
  const once = afterFailure(NO_FAILURES, defaults, 1000, 0, longest).history;

  it('[RESTART-1] is true of what never failed, whatever the policy', () => {
    fc.assert(fc.property(anyPolicy, fc.nat(), (given, now) => isForgotten(NO_FAILURES, given, now)));
  });

  it('[RESTART-1] waits for the window to pass', () => {
    expect(isForgotten(once, defaults, 1000 + defaults.window)).toBe(false);
    expect(isForgotten(once, defaults, 1001 + defaults.window)).toBe(true);
    expect(isForgotten(once, policy({ window: Infinity }), Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  it('[RESTART-1] does not lose a backoff because the window is short', () => {
    const short = policy({ window: 1000 });
    const quiet = short.maxDelay + short.stableAfter;
    expect(isForgotten(once, short, 1000 + quiet)).toBe(false);
    expect(isForgotten(once, short, 1001 + quiet)).toBe(true);
  });
});
