import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SliceRing } from '../../../src/health/service-levels/slice-ring.js';

const steps = fc.array(fc.nat(400), { minLength: 1, maxLength: 60 });

describe('SliceRing', () => {
  it('[SLO-1] has what came in a window, from the begin of its first slice on', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 1_000 }), (trace, window) => {
        const ring = new SliceRing(100, 1_000, (): number[] => []);
        let now = 0;
        const all: number[] = [];
        for (const step of trace) {
          now += step;
          all.push(now);
          ring.at(now).push(now);
        }
        const begin = 100 * Math.floor((now - window) / 100);
        const found = ring.last(now, window).flat();
        expect(found.toSorted((a, b) => a - b)).toEqual(all.filter((at) => at >= begin));
      }),
    );
  });

  it('[SLO-4] forgets what is older than its window', () => {
    const ring = new SliceRing(100, 200, () => ({ count: 0 }));
    for (const at of [0, 100, 200, 300]) ring.at(at).count += 1;
    expect(ring.last(300, 200)).toHaveLength(3);
    expect(ring.last(300, 10_000)).toHaveLength(3);
    expect(ring.last(100_000, 200)).toEqual([]);
  });

  it('[SLO-1] loses nothing to what is told late', () => {
    const ring = new SliceRing(100, 200, () => ({ count: 0 }));
    ring.at(450).count += 1;
    ring.at(370).count += 1;
    // Its own slice is gone: it counts for the one that has taken the place.
    ring.at(150).count += 1;
    const counted = ring.last(450, 200).reduce((sum, { count }) => sum + count, 0);
    expect(counted).toBe(3);
  });
});
