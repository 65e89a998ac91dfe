import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ValueWindow } from '../../src/monitor/value-window.js';

const spans = fc.array(fc.record({ length: fc.integer({ min: 20, max: 400 }), value: fc.nat(10) }), { maxLength: 60 });

describe('ValueWindow', () => {
  it('[LIMIT-1] knows for which share of a window the value was so', () => {
    fc.assert(
      fc.property(spans, fc.integer({ min: 1, max: 1000 }), fc.nat(10), (trace, window, least) => {
        const values = new ValueWindow(1000);
        for (const { length, value } of trace) values.add(length, value);
        // One value for each ms, the newest last.
        const all = trace.flatMap(({ length, value }) => Array<number>(length).fill(value));
        const last = all.slice(-window);
        const isSo = (value: number) => value >= least;
        expect(values.share(window, isSo)).toBeCloseTo(last.filter(isSo).length / window, 9);
        expect(Math.min(values.covered, 1000)).toBe(Math.min(all.length, 1000));
        expect(values.highest(window)).toBe(Math.max(...last));
      }),
    );
  });

  it('[LIMIT-1] joins values that are close together, so that it holds a limited number of them', () => {
    const values = new ValueWindow(1000);
    let seen = 0;
    for (let count = 0; count < 5000; count += 1) values.add(1, count % 2);
    // It is asked about each value that it holds.
    const half = values.share(1000, (value) => {
      seen += 1;
      return value > 0.4;
    });
    expect(half).toBe(1);
    expect(seen).toBeLessThanOrEqual(102);
    expect(values.covered).toBeLessThan(1020);
  });

  it('[LIMIT-1] a first value has no length, and an empty window is so for no time', () => {
    const values = new ValueWindow(1000);
    values.add(0, 7);
    expect([values.covered, values.highest(10), values.share(10, () => true), values.share(0, () => true)]).toEqual([
      0,
      -Infinity,
      0,
      0,
    ]);
  });
});
