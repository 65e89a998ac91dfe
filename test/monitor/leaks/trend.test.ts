import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mannKendallZ } from '../../../src/monitor/leaks/mann-kendall.js';
import { theilSenSlope } from '../../../src/monitor/leaks/theil-sen.js';
import { randomOf } from './simulate.js';

const anyValue = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ min: -1e6, max: 1e6, noNaN: true }));
const anyValues = fc.array(anyValue, { maxLength: 40 });
const places = (values: readonly number[]) => values.map((_, index) => index);

/** As the books define it. */
function medianOfSlopes(xs: readonly number[], ys: readonly number[]): number {
  const slopes = xs.flatMap((x, later) =>
    xs.slice(0, later).map((before, earlier) => ((ys[later] ?? 0) - (ys[earlier] ?? 0)) / (x - before)),
  );
  slopes.sort((a, b) => a - b);
  const middle = slopes.slice(Math.ceil(slopes.length / 2) - 1, Math.floor(slopes.length / 2) + 1);
  return middle.reduce((sum, slope) => sum + slope, 0) / (middle.length || 1);
}

describe('the slope', () => {
  it('[LEAK-8] is the median of the slopes between all pairs', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), anyValue), { maxLength: 40 }), (points) => {
        let x = 0;
        const xs = points.map(([apart]) => {
          x += apart;
          return x;
        });
        const ys = points.map(([, y]) => y);
        expect(theilSenSlope(xs, ys)).toBeCloseTo(medianOfSlopes(xs, ys), 6);
      }),
    );
  });

  it('[LEAK-8] is that of the line when a quarter of the points is wild', () => {
    const ys = Array.from({ length: 36 }, (_, index) => (index % 4 === 1 ? 1e6 * Math.sin(index) : 3 * index + 7));
    expect(theilSenSlope(places(ys), ys)).toBeCloseTo(3, 6);
  });

  it('[LEAK-8] leaves out pairs that do not count', () => {
    expect(theilSenSlope([0, 1, 2], [0, 10, 1], (earlier, later) => later - earlier === 2)).toBe(0.5);
    expect(theilSenSlope([0, 1, 2], [0, 10, 1], () => false)).toBe(0);
  });
});

describe('the trend', () => {
  it('[LEAK-8] is that of a published example', () => {
    // Ten rising values: S = 45, variance = 10 · 9 · 25 / 18 = 125, z = 44 / √125.
    expect(mannKendallZ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toBeCloseTo(3.9355, 4);
    // With ties: S = 8, variance = (5 · 4 · 15 − 2 · 1 · 9 − 2 · 1 · 9) / 18.
    expect(mannKendallZ([1, 1, 2, 2, 3])).toBeCloseTo(7 / Math.sqrt(264 / 18), 6);
    expect(mannKendallZ([4, 4, 4])).toBe(0);
  });

  it('[LEAK-8] has the opposite sign in the opposite order, and depends on the order of size alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 40 }), (values) => {
        const z = mannKendallZ(values);
        expect(mannKendallZ(values.toReversed())).toBeCloseTo(-z, 9);
        expect(mannKendallZ(values.map((value) => value ** 3))).toBeCloseTo(z, 9);
      }),
    );
  });

  it('[LEAK-8] is by chance above 2.33 in about 1 % of all cases', () => {
    const random = randomOf(1);
    const chance = Array.from({ length: 4_000 }, () => mannKendallZ(Array.from({ length: 36 }, random)));
    const share = chance.filter((z) => z > 2.326).length / chance.length;
    expect(share).toBeGreaterThan(0.005);
    expect(share).toBeLessThan(0.016);
  });

  it('[LEAK-8] is 0 for what has none', () => {
    fc.assert(fc.property(anyValues, (values) => Number.isFinite(mannKendallZ(values))));
    expect(mannKendallZ([])).toBe(0);
    expect(mannKendallZ([1])).toBe(0);
  });
});
