import { describe, expect, it } from 'vitest';
import { FLOORS_PER_WINDOW, FloorSeries } from '../../../src/monitor/leaks/floors.js';
import { randomOf } from './simulate.js';

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** The floors of samples each `every` ms, for so many hours. */
function floorsOf(memoryAt: (at: number) => number, hours: number, every: number, requestsAt?: (at: number) => number) {
  const series = new FloorSeries(HOUR);
  for (let at = 0; at <= hours * HOUR; at += every) series.add(at, memoryAt(at), requestsAt?.(at));
  return series.floors;
}

describe('floors', () => {
  it('[LEAK-3] are at most 72, whatever comes', () => {
    expect(floorsOf(() => 1, 100, MINUTE)).toHaveLength(6 * FLOORS_PER_WINDOW);
    expect(floorsOf(() => 1, 7, 1_000)).toHaveLength(6 * FLOORS_PER_WINDOW);
  });

  it('[LEAK-3] do not fall because samples come more often', () => {
    const meanOf = (every: number) => {
      const random = randomOf(4);
      const floors = floorsOf(() => 200 + 20 * random(), 6, every);
      return floors.reduce((sum, { memoryMB }) => sum + memoryMB, 0) / floors.length;
    };
    // The least of 300 such samples is 200; the least of five means of 60 is above 207.
    expect(meanOf(1_000)).toBeGreaterThan(207);
    expect(meanOf(5_000)).toBeGreaterThan(206);
  });

  it('[LEAK-3] are the least of five minutes, and none where there was no sample', () => {
    const series = new FloorSeries(HOUR);
    const complete = [0, 1, 2, 3, 4, 14, 15].map((minute) => series.add(minute * MINUTE, 100 - minute, undefined));
    expect(series.floors.map(({ index, memoryMB }) => [index, memoryMB])).toEqual([
      [0, 96],
      [2, 86],
    ]);
    expect(complete).toEqual([false, false, false, false, false, false, true]);
  });

  it('[LEAK-7] have the requests of their time; a counter that begins again loses none', () => {
    const total = (at: number) => (at < 7 * MINUTE ? 2 * (at / MINUTE) : 2 * (at / MINUTE - 7) + 1);
    const floors = floorsOf(() => 1, 0.25, MINUTE, total);
    expect(floors.map(({ requests }) => requests)).toEqual([8, 9, 10]);
    expect(floorsOf(() => 1, 0.25, MINUTE).map(({ requests }) => requests)).toEqual([undefined, undefined, undefined]);
  });
});
