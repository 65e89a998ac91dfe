import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Growth, GrowthWatch, type TreeCount } from '../../src/monitor/growth.js';
import { memoryOf } from '../helpers/heap.js';
import { steadySteps, steps, timed } from '../helpers/samples.js';

const SETTINGS = { processes: 30, within: 30_000 };
const newWatch = () => new GrowthWatch(SETTINGS);

/** One tree for each server, with so many processes. */
const counts = (processes: Readonly<Record<string, number>>): TreeCount[] =>
  Object.entries(processes).map(([name, number]) => ({ id: `${name} 1`, name, processes: number }));

/** A watch that is fed the processes of each server, every 5 s. */
function fed(begin: Readonly<Record<string, number>> = {}) {
  const watch = newWatch();
  let at = 0;
  const feed = (processes: Readonly<Record<string, number>>, step = 5000) => {
    at += step;
    return watch.sample(at, counts(processes));
  };
  for (let count = 0; count < 20; count += 1) expect(feed(begin)).toBeUndefined();
  return { watch, feed, now: () => at };
}
const told = (growths: readonly (Growth | undefined)[]) => growths.filter((growth) => growth !== undefined);

describe('GrowthWatch', () => {
  it('[GROWTH-1] tells 30 more processes within 30 s, and names the servers that grow, the fastest first', () => {
    const { watch, feed } = fed({ quiet: 3, shrinks: 6, slow: 3, fast: 1 });
    const grown = { quiet: 3, shrinks: 2, slow: 9, fast: 29 };
    expect(feed(grown)).toBeUndefined();
    expect(watch.isUndecided).toBe(true);
    expect(feed(grown, 1000)).toEqual({ processes: 30, within: 30_000, names: ['fast', 'slow'] });
    expect(watch.isUndecided).toBe(false);
    expect(['quiet 1', 'shrinks 1', 'slow 1', 'fast 1', 'unknown'].map((id) => watch.growthOf(id))).toEqual([
      0, 0, 6, 28, 0,
    ]);
  });

  it('[GROWTH-1] counts new servers, and names of several instances together', () => {
    const { watch, now } = fed({ a: 3 });
    const many = [...counts({ a: 3, c: 14 }), ...['x', 'y'].map((id) => ({ id, name: 'b', processes: 8 }))];
    watch.sample(now() + 5000, many);
    expect(watch.sample(now() + 6000, many)).toMatchObject({ processes: 30, names: ['b', 'c'] });
    expect([watch.growthOf('x'), watch.growthOf('c 1')]).toEqual([8, 14]);
  });

  it('[GROWTH-1] finds a growth that is spread over the window, also when it is sampled less often than that', () => {
    const steady = (step: number, each: number) => {
      const { feed } = fed({ a: 1 });
      return told(Array.from({ length: 20 }, (_, index) => feed({ a: 1 + each * (index + 1) }, step)));
    };
    // 5 and 6 more every 5 s: 30 and 36 within 30 s.
    expect(steady(5000, 5)[0]).toMatchObject({ processes: 35, within: 30_000, names: ['a'] });
    expect(steady(5000, 4)).toEqual([]);
    // 66 more within 66 s were 30 within 30 s; 60 were less.
    expect(steady(60_000, 60)[0]).toMatchObject({ names: ['a'], within: 60_000 });
    expect(steady(60_000, 59)).toEqual([]);
    expect(steady(600_000, 600)[0]).toMatchObject({ within: 600_000 });
    expect(steady(600_000, 599)).toEqual([]);
  });

  it('[GROWTH-1] below the rate there is none, at any rhythm of samples, after pauses, and when the clock is set once', () => {
    const jumps = fc.constantFrom(0, 3_600_000, -4000, -3_600_000);
    fc.assert(
      fc.property(fc.array(fc.oneof(steps, steadySteps)), fc.nat(60), jumps, (trace, jumpAt, jump) => {
        const watch = newWatch();
        let [real, at] = [0, 0];
        for (const [index, step] of trace.entries()) {
          const passed = index === jumpAt ? 5000 : Math.abs(step);
          real += passed;
          at += passed + (index === jumpAt ? jump : 0);
          // 20 more in 30 s.
          expect(watch.sample(at, counts({ a: Math.floor(real / 1500) }))).toBeUndefined();
        }
      }),
      { numRuns: 500 },
    );
  });

  it('[GROWTH-2] what comes back within two windows, as after a restart or a failed reading, is no growth', () => {
    const low = fc.array(fc.nat(200), { maxLength: 11 });
    const high = fc.array(fc.integer({ min: 170, max: 199 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(fc.tuple(low, high)), (trace) => {
        const { feed } = fed({ a: 200 });
        expect(told(trace.flat(2).map((processes) => feed({ a: processes })))).toEqual([]);
        expect(told([feed({}), feed({}), feed({ b: 200 }), feed({ b: 200 })])).toEqual([]);
      }),
    );
  });

  it('[GROWTH-2] a spike that the next sample does not show is none, also when that moment is sampled twice', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: 500, max: 60_000 }))), (trace) => {
        const { feed } = fed({ a: 5 });
        for (const [high, step] of trace) {
          expect(told([feed({ a: high }), feed({ a: high }, 1), feed({ a: high }, 100), feed({ a: 5 }, step)])).toEqual(
            [],
          );
        }
      }),
    );
  });

  it('[GROWTH-3] a burst is told once, and again when it goes on for another window', () => {
    /** When it is told, in s, of 10 more processes every 5 s for so many s. */
    const tellings = (seconds: number) => {
      const { feed } = fed({ a: 1 });
      const all = Array.from({ length: 40 }, (_, index) => feed({ a: 41 + 10 * Math.min(index, seconds / 5) }));
      return all.map((growth, index) => (growth ? index * 5 : -1)).filter((second) => second >= 0);
    };
    expect(tellings(0)).toEqual([5]);
    expect(tellings(15)).toEqual([5]);
    expect(tellings(40)).toEqual([5, 40]);
    expect(tellings(60)).toEqual([5, 40, 75]);
    expect(tellings(600)).toEqual([5, 40, 75, 110, 145, 180]);
  });

  it('[GROWTH-3] at least a window is between two tellings, by samples and by spawns together', () => {
    const samples = fc.array(fc.record({ step: fc.nat(5000), more: fc.nat(30), spawns: fc.nat(12) }), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(samples, (trace) => {
        const watch = newWatch();
        const tellings: number[] = [];
        let processes = 0;
        for (const { at, more, spawns } of timed(trace)) {
          processes += more;
          const growths = Array.from({ length: spawns }, () => watch.spawned(at, 'a'));
          tellings.push(...told([...growths, watch.sample(at, counts({ a: processes }))]).map(() => at));
        }
        for (const [index, at] of tellings.entries())
          expect(at - (tellings[index - 1] ?? -Infinity)).toBeGreaterThanOrEqual(SETTINGS.within);
      }),
    );
  });

  it('[GROWTH-4] 30 spawns within 30 s are told at the thirtieth, though no sample has seen them', () => {
    const watch = newWatch();
    const spawn = (number: number) => watch.spawned(number * 1000, number % 3 === 0 ? 'often' : `once ${number % 7}`);
    const growths = Array.from({ length: 30 }, (_, number) => spawn(number));
    expect(told(growths.slice(0, -1))).toEqual([]);
    expect(growths.at(-1)).toMatchObject({ processes: 30, within: 30_000 });
    expect(growths.at(-1)?.names[0]).toBe('often');
    expect(growths.at(-1)?.names).toHaveLength(8);
  });

  it('[GROWTH-4] spawns are told when there are 30 within 30 s, and only then', () => {
    const gaps = fc.array(fc.nat(1500), { minLength: 60, maxLength: 100 });
    fc.assert(
      fc.property(gaps, (trace) => {
        const watch = newWatch();
        const times = timed(trace.map((step) => ({ step }))).map(({ at }) => at);
        const first = times.findIndex((at) => watch.spawned(at, 'a'));
        expect(first).toBe(times.findIndex((at, index) => at - (times[index - 29] ?? -Infinity) <= 30_000));
      }),
    );
  });

  it('[GROWTH-4] 30 spawns in exactly the window are a burst; one more at its end is not another one', () => {
    const spawns = (last: number) => {
      const watch = newWatch();
      for (let number = 0; number < 29; number += 1) watch.spawned(0, 'a');
      return { first: watch.spawned(last, 'a'), second: watch.spawned(last + 30_000, 'a') };
    };
    expect(spawns(30_000).first).toBeDefined();
    expect(spawns(30_001).first).toBeUndefined();
    expect(spawns(0)).toMatchObject({ first: { processes: 30 }, second: undefined });
  });

  it('[GROWTH-4] a clock that is set back hides no burst after that', () => {
    const { watch, feed, now } = fed({ a: 1 });
    expect(told([feed({ a: 61 }), feed({ a: 61 })])).toHaveLength(1);
    expect(told([feed({ a: 61 }, -3_600_000), feed({ a: 61 }), feed({ a: 121 }), feed({ a: 121 })])).toHaveLength(1);
    feed({ a: 121 }, 30_000);
    feed({ a: 190 });
    expect(watch.isUndecided).toBe(true);
    feed({ a: 190 }, -3_600_000);
    expect(watch.isUndecided).toBe(false);
    expect(told(Array.from({ length: 30 }, () => watch.spawned(now() - 7_200_000, 'b')))).toHaveLength(1);
  });

  it('[GROWTH-1] keeps a limited number of samples, and of each only what is compared', () => {
    const fed = (samples: number) =>
      memoryOf(() => {
        const watch = newWatch();
        for (let number = 0; number < samples; number += 1) {
          const trees = Array.from({ length: 20 }, (_, tree) => {
            const processes = 1 + ((number + tree) % 7);
            return { id: `${tree}`, name: 'a', processes, more: new Array<number>(1000).fill(number) };
          });
          watch.sample(number * 50, trees);
        }
        return watch;
      });
    fed(100);
    // As many as there are: 64 MB, with what else a sample has 3,200.
    expect(fed(20_000)).toBeLessThan(4_000_000);
  });

  it('[GROWTH-4] a clock that is set back makes no burst of spawns', () => {
    const watch = newWatch();
    for (let number = 0; number < 200; number += 1) {
      // One every 2 s, and every 20 s the clock is set back by 19 s.
      const at = number * 2000 - Math.floor(number / 10) * 19_000;
      expect(watch.spawned(at, 'a')).toBeUndefined();
    }
  });

  it('[GROWTH-3] the first burst of the incident is named: 30 more servers, of one process each', () => {
    const { watch, now } = fed({ a: 3 });
    const growths = Array.from({ length: 30 }, () => watch.spawned(now() + 1000, 'b'));
    expect(told(growths)).toEqual([{ processes: 30, within: 30_000, names: ['b'] }]);
    // The samples that see the same burst do not tell it again.
    const seen = [2000, 3000, 8000, 13_000, 60_000].map((step) => watch.sample(now() + step, counts({ a: 3, b: 30 })));
    expect(told(seen)).toEqual([]);
  });
});
