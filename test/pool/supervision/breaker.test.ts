import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Breaker, type BreakerState } from '../../../src/pool/supervision/breaker.js';
import type { RestartPolicy } from '../../../src/pool/supervision/restart-policy.js';
import { ManualClock } from '../../helpers/clock.js';

const policy: RestartPolicy = {
  maxRestarts: 2,
  window: 60_000,
  minDelay: 100,
  maxDelay: 30_000,
  stableAfter: 10_000,
  cooldown: 30_000,
};
const OPENED = { action: 'open', opened: true };
const STILL_OPEN = { action: 'open', opened: false };

/** A breaker that failures have brought into `state`, and its clock. */
function breakerIn(state: BreakerState, given: RestartPolicy = policy) {
  const clock = new ManualClock();
  const breaker = new Breaker(given, () => 0.5);
  if (state === 'closed') return { breaker, clock };
  for (let failures = 0; failures <= given.maxRestarts; failures++) breaker.failed(clock.now(), 0);
  if (state === 'half-open') {
    clock.advance(given.cooldown);
    breaker.admit(clock.now());
  }
  expect(breaker.state).toBe(state);
  return { breaker, clock };
}

describe('Breaker', () => {
  it('[BREAKER-1] restarts as the policy says, and opens when the failures are too many', () => {
    const { breaker, clock } = breakerIn('closed');
    expect(breaker.failed(clock.now(), 0)).toEqual({ action: 'restart', delay: 0 });
    expect(breaker.failed(clock.now(), 0)).toEqual({ action: 'restart', delay: 50 });
    expect(breaker.admit(clock.now())).toBe('yes');
    expect(breaker.failed(clock.now(), 0)).toEqual(OPENED);
    expect(breaker.state).toBe('open');
    expect(breaker.retryAt).toBe(clock.now() + policy.cooldown);
  });

  it('[BREAKER-1] refuses until the cooldown is over, then lets one probe through', () => {
    const { breaker, clock } = breakerIn('open');
    expect(breaker.admit(clock.now())).toBe('no');
    clock.advance(policy.cooldown - 1);
    expect(breaker.admit(clock.now())).toBe('no');
    clock.advance(1);
    expect(breaker.admit(clock.now())).toBe('probe');
    expect(breaker.state).toBe('half-open');
    clock.advance(10 * policy.cooldown);
    expect(breaker.admit(clock.now())).toBe('no');
  });

  it.each<[BreakerState, Record<'ready' | 'failed' | 'abandoned' | 'admitted', BreakerState>]>([
    ['closed', { ready: 'closed', failed: 'closed', abandoned: 'closed', admitted: 'closed' }],
    ['open', { ready: 'open', failed: 'open', abandoned: 'open', admitted: 'half-open' }],
    ['half-open', { ready: 'closed', failed: 'open', abandoned: 'open', admitted: 'half-open' }],
  ])('[BREAKER-1] changes from %s exactly so', (state, expected) => {
    const stateAfter = (act: (breaker: Breaker, now: number) => unknown) => {
      const { breaker, clock } = breakerIn(state);
      clock.advance(policy.cooldown);
      act(breaker, clock.now());
      return breaker.state;
    };
    expect({
      ready: stateAfter((breaker) => breaker.ready()),
      failed: stateAfter((breaker, now) => breaker.failed(now, 0)),
      abandoned: stateAfter((breaker, now) => breaker.probeAbandoned(now)),
      admitted: stateAfter((breaker, now) => breaker.admit(now)),
    }).toEqual(expected);
  });

  it('[BREAKER-1] opens for another cooldown when the probe fails, also when nothing else is within the window', () => {
    const { breaker, clock } = breakerIn('half-open', { ...policy, window: 1000 });
    clock.advance(5000);
    expect(breaker.failed(clock.now(), 0)).toEqual(OPENED);
    expect(breaker.retryAt).toBe(clock.now() + policy.cooldown);
    expect(breaker.admit(clock.now())).toBe('no');
    clock.advance(policy.cooldown);
    expect(breaker.admit(clock.now())).toBe('probe');
  });

  it('[BREAKER-1] is closed by its probe, but opens at the next failure soon after', () => {
    const { breaker, clock } = breakerIn('half-open');
    expect(breaker.ready()).toBe(true);
    expect(breaker.ready()).toBe(false);
    expect(breaker.admit(clock.now())).toBe('yes');
    clock.advance(policy.stableAfter);
    expect(breaker.failed(clock.now(), policy.stableAfter)).toEqual(OPENED);
  });

  it('[BREAKER-1] tolerates failures again when the window has passed since', () => {
    const { breaker, clock } = breakerIn('half-open');
    breaker.ready();
    clock.advance(policy.window);
    expect(breaker.failed(clock.now(), policy.window)).toEqual({ action: 'restart', delay: 0 });
    expect(breaker.failed(clock.now(), 0)).toEqual({ action: 'restart', delay: 50 });
  });

  it('[BREAKER-1] does not listen, while it is open, to instances from before', () => {
    const { breaker, clock } = breakerIn('open');
    const { retryAt } = breaker;
    clock.advance(policy.cooldown / 2);
    expect(breaker.failed(clock.now(), 0)).toEqual(STILL_OPEN);
    expect(breaker.ready()).toBe(false);
    breaker.probeAbandoned(clock.now());
    expect(breaker.state).toBe('open');
    expect(breaker.retryAt).toBe(retryAt);
    expect(breaker.admit(clock.now())).toBe('no');
  });

  it('[BREAKER-1] makes the next start the probe when this one was abandoned', () => {
    const { breaker, clock } = breakerIn('half-open');
    breaker.policy = { ...policy, cooldown: 10 * policy.cooldown };
    clock.advance(1000);
    breaker.probeAbandoned(clock.now());
    expect(breaker.state).toBe('open');
    expect(breaker.retryAt).toBe(clock.now());
    expect(breaker.admit(clock.now())).toBe('probe');
    expect(breaker.admit(clock.now())).toBe('no');
  });

  it('[BREAKER-1] follows a changed policy, but does not change a cooldown that has begun', () => {
    const { breaker, clock } = breakerIn('closed');
    breaker.policy = { ...policy, maxRestarts: 0 };
    expect(breaker.failed(clock.now(), 0)).toEqual(OPENED);
    breaker.policy = { ...policy, cooldown: 1 };
    expect(breaker.retryAt).toBe(clock.now() + policy.cooldown);
  });

  it('[BREAKER-1] can be forgotten when it is closed and no failure counts any more', () => {
    const { breaker, clock } = breakerIn('closed');
    expect(breaker.isPristine(clock.now())).toBe(true);
    breaker.failed(clock.now(), 0);
    clock.advance(policy.window);
    expect(breaker.isPristine(clock.now())).toBe(false);
    clock.advance(1);
    expect(breaker.isPristine(clock.now())).toBe(true);
    for (const state of ['open', 'half-open'] as const)
      expect(breakerIn(state).breaker.isPristine(Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  const anyStep = fc.record({
    wait: fc.oneof(fc.constant(0), fc.nat(500), fc.nat(50_000)),
    call: fc.oneof(
      { arbitrary: fc.constant('admit'), weight: 3 },
      { arbitrary: fc.constantFrom('ready', 'failed', 'abandoned'), weight: 2 },
    ),
    uptime: fc.nat(20_000),
  });
  const anyPolicy = fc.record({
    maxRestarts: fc.oneof(fc.nat(3), fc.constant(Infinity)),
    window: fc.oneof(fc.nat(100_000), fc.constant(Infinity)),
    minDelay: fc.nat(1000),
    maxDelay: fc.nat(60_000),
    stableAfter: fc.oneof(fc.nat(20_000), fc.constant(Infinity)),
    cooldown: fc.nat(60_000),
  });

  it('[BREAKER-1] keeps its promises under any interleaving', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(anyPolicy, fc.array(anyStep, { maxLength: 60, size: 'max' }), (given, steps) => {
        const clock = new ManualClock();
        const breaker = new Breaker(given, () => 0.5);
        let probes = 0;
        let openedAt = 0;
        for (const { wait, call, uptime } of steps) {
          clock.advance(wait);
          const now = clock.now();
          const { state, retryAt } = breaker;
          seen.add(`${state} ${call}`);
          if (call === 'admit') {
            const admitted = breaker.admit(now);
            if (admitted === 'probe') probes++;
            // Refused while it is open or half-open, but for one probe after the cooldown.
            const cooled = state === 'open' && now >= retryAt;
            expect(admitted).toBe(state === 'closed' ? 'yes' : cooled ? 'probe' : 'no');
          } else {
            if (call === 'ready') expect(breaker.ready()).toBe(state === 'half-open');
            if (call === 'abandoned') breaker.probeAbandoned(now);
            if (call === 'failed') {
              const verdict = breaker.failed(now, uptime);
              const opened = verdict.action === 'open' && verdict.opened;
              expect(opened).toBe(state !== 'open' && breaker.state === 'open');
              expect(verdict.action === 'restart').toBe(breaker.state === 'closed');
              if (opened) openedAt = now;
            }
            if (state === 'half-open') probes--;
            // No news of an instance from before changes an open breaker.
            if (state === 'open') expect([breaker.state, breaker.retryAt]).toEqual([state, retryAt]);
          }
          expect(probes).toBe(breaker.state === 'half-open' ? 1 : 0);
          if (breaker.state === 'open')
            expect(breaker.retryAt).toBeLessThanOrEqual(Math.max(openedAt + given.cooldown, now));
        }
        // However it came here, it never refuses for ever.
        breaker.probeAbandoned(clock.now());
        clock.advance(given.cooldown);
        expect(breaker.admit(clock.now())).not.toBe('no');
      }),
    );
    // The property is worth nothing where it never went.
    expect(seen.size).toBe(3 * 4);
  });
});
