import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEVELS, type Level } from '../../src/monitor/level.js';
import { sampleInterval } from '../../src/monitor/sample-interval.js';

const intervals = fc.integer({ min: 1, max: 600_000 });

describe('sampleInterval', () => {
  it.each<[Level, number, boolean, number]>([
    ['normal', 3, false, 5000],
    ['normal', 0, false, 15_000],
    ['warning', 3, false, 2500],
    ['warning', 0, false, 2500],
    ['critical', 3, false, 1000],
    ['emergency', 3, false, 1000],
    ['normal', 3, true, 1000],
    ['normal', 0, true, 1000],
  ])('[LEVEL-6] at %s with %i trees, undecided: %s, is %i ms', (level, trees, isUndecided, expected) => {
    expect(sampleInterval(5000, { level, trees, isUndecided })).toBe(expected);
  });

  it('[LEVEL-6] is shorter at each higher level, and stays within bounds', () => {
    fc.assert(
      fc.property(intervals, fc.nat(3), fc.boolean(), (interval, trees, isUndecided) => {
        const all = LEVELS.map((level) => sampleInterval(interval, { level, trees, isUndecided }));
        expect(all).toEqual(all.toSorted((a, b) => b - a));
        expect(Math.min(...all)).toBeGreaterThanOrEqual(Math.min(interval, 1000));
        expect(Math.max(...all)).toBeLessThanOrEqual(trees > 0 ? interval : Math.max(interval, 15_000));
      }),
    );
  });
});
