import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObservedTime } from '../../src/monitor/observed-time.js';
import { steps, timed } from '../helpers/samples.js';

describe('ObservedTime', () => {
  it('[LIMIT-4] never runs backwards, nor faster than the clock, nor further in one step than the longest', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ step: steps })), (trace) => {
        const time = new ObservedTime(10_000);
        for (const [index, { at, step }] of timed(trace).entries()) {
          const before = time.now;
          const counted = time.advance(at);
          expect(counted).toBe(index === 0 ? 0 : Math.min(Math.max(step, 0), 10_000));
          expect(time.now).toBe(before + counted);
        }
      }),
    );
  });

  it('[LIMIT-4] a time that is none counts for nothing', () => {
    const time = new ObservedTime(10_000);
    time.advance(0);
    expect([time.advance(Number.NaN), time.advance(Infinity), time.advance(-Infinity), time.advance(5000)]).toEqual([
      0, 0, 0, 5000,
    ]);
  });
});
