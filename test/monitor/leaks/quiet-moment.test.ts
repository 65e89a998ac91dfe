import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QuietMoment } from '../../../src/monitor/leaks/quiet-moment.js';
import { propertyRuns } from '../../helpers/properties.js';

const LONGEST = 1_000;

/** When it is the moment, asked each 10 ms; undefined: not within two times the longest wait. */
function momentOf(leasesAt: (at: number) => number, leftAt: (at: number) => number = () => Infinity) {
  const moment = new QuietMoment(LONGEST);
  const times = Array.from({ length: 200 }, (_, index) => index * 10);
  return times.find((at) => moment.isNow(at, leasesAt(at), leftAt(at)));
}

describe('the moment in which a tree that leaks is replaced', () => {
  it('[LEAK-9] is the first one without a lease', () => {
    expect(momentOf(() => 0)).toBe(0);
    expect(momentOf((at) => (at < 300 ? 2 : 0))).toBe(300);
  });

  it('[LEAK-9] is one with the fewest leases when half of the time is over', () => {
    expect(momentOf((at) => (at < 200 || at >= 700 ? 1 : 3))).toBe(700);
    expect(momentOf(() => 3)).toBe(500);
  });

  it('[LEAK-9] is the end of the time when there are always more', () => {
    expect(momentOf((at) => (at < 10 ? 1 : 3))).toBe(LONGEST);
  });

  it('[LEAK-9] is before the limit is reached', () => {
    expect(
      momentOf(
        (at) => (at < 10 ? 1 : 3),
        (at) => 400 - at,
      ),
    ).toBe(400);
    expect(
      momentOf(
        () => 3,
        () => 0,
      ),
    ).toBe(0);
  });

  it('[LEAK-9] is looked for anew when the leak was none', () => {
    const moment = new QuietMoment(LONGEST);
    expect(moment.isNow(0, 2, Infinity)).toBe(false);
    moment.forget();
    expect(moment.isNow(LONGEST, 2, Infinity)).toBe(false);
    expect(moment.isNow(LONGEST * 2, 2, Infinity)).toBe(true);
  });

  it('[LEAK-9] comes in time, and never with more leases than needed while there is time', () => {
    const { cases } = propertyRuns(1_000);
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 101, maxLength: 101 }), fc.nat(1_500), (leases, left) => {
        const leasesAt = (at: number) => leases[at / 10] ?? 0;
        const found = momentOf(leasesAt, (at) => left - at) ?? Infinity;
        const end = Math.min(LONGEST, left);
        expect(found).toBeLessThan(end + 10);
        if (found >= end) return;
        // At an earlier moment there were not fewer.
        expect(leasesAt(found)).toBeLessThanOrEqual(Math.min(...leases.slice(0, Math.ceil(end / 20))));
      }),
      { numRuns: cases },
    );
  });
});
