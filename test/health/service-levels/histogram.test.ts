import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../../src/health/service-levels/histogram.js';
import { percentileOf } from '../../helpers/traffic.js';

const times = fc.array(fc.double({ min: 0, max: 86_400_000, noNaN: true }), { minLength: 1, maxLength: 300 });

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

describe('Histogram', () => {
  it('[SLO-1] has each percentile within 1 %, or a hundredth of a millisecond', () => {
    fc.assert(
      fc.property(times, fc.constantFrom(1, 50, 95, 99, 100), (values, percent) => {
        const exact = percentileOf(values, percent) as number;
        const read = histogramOf(values).percentile(percent) as number;
        expect(Math.abs(read - exact)).toBeLessThanOrEqual(0.01 * exact + 0.01);
      }),
    );
  });

  it('[SLO-1] of several, added, is that of all their times', () => {
    fc.assert(
      fc.property(times, times, (some, others) => {
        const sum = histogramOf(some);
        sum.add(histogramOf(others));
        const all = histogramOf([...some, ...others]);
        const read = (histogram: Histogram) => [50, 95, 99].map((percent) => histogram.percentile(percent));
        expect([sum.count, ...read(sum)]).toEqual([all.count, ...read(all)]);
      }),
    );
  });

  it('[SLO-1] counts a time as often as it is told', () => {
    const histogram = new Histogram();
    histogram.record(10, 98);
    histogram.record(1_000, 2);
    expect(histogram.count).toBe(100);
    expect(histogram.percentile(98)).toBeCloseTo(10, 0);
    expect(histogram.percentile(99)).toBeGreaterThan(990);
  });

  it('[SLO-1] has no percentile without a time, and takes nothing that is none', () => {
    const histogram = histogramOf([Number.NaN, -1]);
    expect([histogram.count, histogram.percentile(50)]).toEqual([0, undefined]);
  });

  it('[SLO-4] counts what is longer than a day as a day', () => {
    const histogram = histogramOf([Infinity, 1e300]);
    expect(histogram.count).toBe(2);
    expect(histogram.percentile(100)).toBeLessThan(1.02 * 86_400_000);
  });
});
