import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { burning, burnRate, type Events } from '../../../src/health/service-levels/burn-rate.js';

const MINUTE = 60_000;
/** What may fail with a target of 99.9 %. */
const ALLOWED = 0.001;

type Windows = Readonly<Record<5 | 30 | 60 | 360, Events>>;

const of = (windows: Windows) => (window: number) => windows[(window / MINUTE) as keyof Windows];
/** The same share of failures in all windows, with so many events in the longest. */
const evenly = (valid: number, share: number): Windows => {
  const events = (part: number) => ({ valid: valid * part, bad: valid * part * share });
  return { 5: events(5 / 360), 30: events(30 / 360), 60: events(60 / 360), 360: events(1) };
};
const none = { valid: 0, bad: 0 };

describe('the burn rate', () => {
  it('[SLO-2] is how many times as fast as it may be the budget is used up', () => {
    expect(burnRate({ valid: 1_000, bad: 1 }, ALLOWED)).toBeCloseTo(1);
    expect(burnRate({ valid: 1_000, bad: 20 }, 0.01)).toBeCloseTo(2);
    expect(burnRate(none, ALLOWED)).toBe(0);
  });

  it.each([
    ['14.5 times over an hour and 5 minutes', 0.0145, 14.5],
    ['6.1 times over 6 hours and 30 minutes', 0.0061, 6.1],
    ['5.9 times', 0.0059, undefined],
  ])('[SLO-2] decides: %s', (_what, share, rate) => {
    const found = burning(of(evenly(1_000_000, share)), ALLOWED);
    if (rate === undefined) expect(found).toBeUndefined();
    else expect(found).toBeCloseTo(rate);
  });

  it('[SLO-2] of a burst that is over is no reason: the short window has none of it', () => {
    const burst = { valid: 10_000, bad: 500 };
    const past: Windows = { 5: { valid: 100, bad: 0 }, 30: { valid: 700, bad: 0 }, 60: burst, 360: burst };
    expect(burning(of(past), ALLOWED)).toBeUndefined();
    expect(burning(of({ ...past, 5: { valid: 100, bad: 9 } }), ALLOWED)).toBeCloseTo(50);
  });

  it('[SLO-2] of a peak of five minutes is none either, while the hour is well', () => {
    const hour = { valid: 100_000, bad: 50 };
    const peak: Windows = { 5: { valid: 1_000, bad: 50 }, 30: hour, 60: hour, 360: hour };
    expect(burning(of(peak), ALLOWED)).toBeUndefined();
  });

  it('[SLO-2] of one failure of two requests, or of any nine, burns nothing', () => {
    const events = fc
      .nat(9)
      .chain((bad) => fc.record({ valid: fc.integer({ min: bad, max: 1_000 }), bad: fc.constant(bad) }));
    fc.assert(
      fc.property(events, (few) => {
        expect(burning(() => few, ALLOWED)).toBeUndefined();
      }),
    );
    expect(burning(() => ({ valid: 2, bad: 1 }), ALLOWED)).toBeUndefined();
    expect(burning(() => ({ valid: 10, bad: 10 }), ALLOWED)).toBeCloseTo(1_000);
  });

  it('[SLO-2] is high enough when everything fails, however much may fail', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        fc.integer({ min: 10, max: 1_000 }),
        (allowed, all) => {
          expect(burning(() => ({ valid: all, bad: all }), allowed)).toBeCloseTo(1 / allowed);
        },
      ),
    );
  });
});
