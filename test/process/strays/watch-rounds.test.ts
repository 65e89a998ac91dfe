import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SeenNow, WatchRounds } from '../../../src/process/strays/watch-rounds.js';

const LIMITS = { memoryLimitMB: 100, cpuLimitPercent: 80, maxAge: 3_600_000, stuckAfter: 300_000 };
const QUIET = {
  pid: 10,
  startTime: 1,
  scope: 'this boot',
  command: 'node',
  pattern: 'x',
  memoryMB: 1,
  age: 0,
  state: 'S',
  below: 0,
  cpu: 0,
  checked: true,
};

/** Looks at one process at the given times, and returns the reasons of the last look. */
function reasons(looks: readonly (Partial<SeenNow> & { at: number })[], limits = LIMITS) {
  const rounds = new WatchRounds({ ...limits });
  const found = looks.map(({ at, ...seen }) => rounds.look(at, [{ ...QUIET, ...seen }]));
  return found.at(-1)?.[0]?.reasons ?? [];
}

describe('a look', () => {
  it('[WATCH-1] lists what is over a limit, with the reasons; at the limit it is not', () => {
    expect(reasons([{ at: 0, memoryMB: 100, age: 3_600_000 }])).toEqual([]);
    expect(reasons([{ at: 0, memoryMB: 100.1 }])).toEqual(['memory']);
    expect(reasons([{ at: 0, age: 3_600_001 }])).toEqual(['age']);
    expect(reasons([{ at: 0, memoryMB: 200, age: 4_000_000 }])).toEqual(['memory', 'age']);
  });

  it('[WATCH-1] knows CPU percent from the second look on: what was used in between', () => {
    const rounds = new WatchRounds({ ...LIMITS });
    const look = (at: number, cpu: number) => rounds.look(at, [{ ...QUIET, cpu, memoryMB: 500 }])[0];
    expect(look(0, 1_000_000)?.cpuPercent).toBeUndefined();
    expect(look(10_000, 1_012_345)).toMatchObject({ cpuPercent: 123.5, reasons: ['memory', 'cpu'] });
    expect(look(20_000, 1_020_345)).toMatchObject({ cpuPercent: 80, reasons: ['memory'] });
  });

  it('[WATCH-1] without a limit lists nothing for it', () => {
    const none = { ...LIMITS, memoryLimitMB: undefined, cpuLimitPercent: undefined, maxAge: undefined } as never;
    const huge = { memoryMB: 1e9, age: 1e12 };
    expect(
      reasons(
        [
          { at: 0, ...huge },
          { at: 1_000_000, cpu: 4_000_000, ...huge },
        ],
        none,
      ),
    ).toEqual([]);
  });

  it('[WATCH-1] soon after another one says nothing new of CPU time', () => {
    expect(reasons([{ at: 0 }, { at: 999, cpu: 999 }])).toEqual([]);
    expect(reasons([{ at: 0 }, { at: 999, cpu: 999 }, { at: 1_998, cpu: 1_998 }])).toEqual(['cpu']);
  });

  it('[WATCH-1] takes no process for another one with its pid', () => {
    expect(reasons([{ at: 0 }, { at: 10_000, cpu: 10_000, startTime: 2 }])).toEqual([]);
  });
});

describe('stuck', () => {
  const minutes = (count: number) => count * 60_000;

  it('[WATCH-2] is what has used too much CPU between all looks of that time', () => {
    const burn = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, index) => ({ at: minutes(from + index), cpu: minutes(from + index) }));
    expect(reasons(burn(0, 4))).toEqual(['cpu']);
    expect(reasons(burn(0, 5))).toEqual(['cpu', 'stuck']);
    // A minute of rest.
    const rested = burn(4, 8).map(({ at, cpu }) => ({ at, cpu: cpu - minutes(1) }));
    expect(reasons([...burn(0, 3), ...rested])).toEqual(['cpu']);
  });

  it.each(['D', 'T', 't'])(
    '[WATCH-2] is what is in state %s at all looks of that time, without any CPU time',
    (state) => {
      const looks = [0, 1, 2, 3, 4, 5].map((minute) => ({ at: minutes(minute), state, cpu: 70 }));
      expect(reasons(looks.slice(0, 5))).toEqual([]);
      expect(reasons(looks)).toEqual(['stuck']);
      expect(reasons(looks.map((look, index) => (index === 3 ? { ...look, state: 'S' } : look)))).toEqual([]);
      expect(reasons(looks.map((look, index) => (index >= 3 ? { ...look, cpu: 80 } : look)))).toEqual([]);
      // A look in between that has seen it move.
      expect(reasons([...looks.slice(0, 4), { at: minutes(3) + 500, state: 'R', cpu: 70 }, ...looks.slice(4)])).toEqual(
        [],
      );
    },
  );

  it('[HANG-1] is all that is listed of what was never checked, since it may belong to a pool', () => {
    const looks = [0, 1, 2, 3, 4, 5].map((minute) => ({
      at: minutes(minute),
      state: 'D',
      memoryMB: 500,
      checked: false,
    }));
    expect(reasons(looks.slice(0, 5))).toEqual([]);
    expect(reasons(looks)).toEqual(['stuck']);
  });

  it('[WATCH-2] is nothing that sleeps, however long: it waits for something to do', () => {
    expect(reasons(Array.from({ length: 50 }, (_, index) => ({ at: minutes(index * 10), cpu: 5 })))).toEqual([]);
  });

  it('[WATCH-2] needs two looks, also with stuckAfter: 0', () => {
    const limits = { ...LIMITS, stuckAfter: 0 };
    expect(reasons([{ at: 0, state: 'T' }], limits)).toEqual([]);
    expect(
      reasons(
        [
          { at: 0, state: 'T' },
          { at: 1_000, state: 'T' },
        ],
        limits,
      ),
    ).toEqual(['stuck']);
  });

  it('[WATCH-2] [WATCH-1] is nothing that uses little, whatever the times of the looks, clocks that stand still included', () => {
    const look = fc.record({
      pause: fc.integer({ min: -5_000, max: 600_000 }),
      share: fc.double({ min: 0, max: 0.7, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(look, { minLength: 1, maxLength: 30 }), (looks) => {
        let [at, cpu] = [0, 0];
        const seen = looks.map(({ pause, share }) => {
          at += pause;
          cpu += Math.max(0, pause) * share;
          return { at, cpu, state: 'R' };
        });
        expect(reasons(seen)).toEqual([]);
      }),
    );
  });
});
