import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAtLeast, LEVELS, type Level } from '../../src/monitor/level.js';
import { type LevelChange, type LevelSample, Levels } from '../../src/monitor/levels.js';
import { steadySteps, steps, timed } from '../helpers/samples.js';

const SETTINGS = { warning: 15, critical: 30, nuclear: 50, emergency: 100, cooldown: 30_000 };
const PERCENTS = { warningPercent: 75, criticalPercent: 90 };
const THRESHOLDS = [SETTINGS.warning, SETTINGS.critical, SETTINGS.nuclear, SETTINGS.emergency];
const NUMBERS = [0, 14, 15, 29, 30, 49, 50, 99, 100, 500];

const numbers = fc.oneof(fc.constantFrom(...NUMBERS), fc.nat(150));
const traces = fc.array(fc.record({ step: steps, unexpected: numbers }), { minLength: 1, maxLength: 60 });

const rank = (level: Level) => LEVELS.indexOf(level);
/** The level that a number of processes reaches. */
const rankOf = (unexpected: number) => THRESHOLDS.filter((threshold) => unexpected >= threshold).length;
const newLevels = (settings: Partial<typeof SETTINGS> = {}) => new Levels({ ...SETTINGS, ...settings }, PERCENTS);

/** Levels that are fed a number every 5 s. */
function fed() {
  const levels = newLevels();
  let at = 0;
  const feed = (unexpected: number, step = 5000) => {
    at += step;
    return levels.update({ at, unexpected });
  };
  return { levels, feed };
}

/** Levels at `level`, and the clock time of the last sample. */
function levelsAt(level: Level) {
  const { levels, feed } = fed();
  const unexpected = [0, ...THRESHOLDS][rank(level)] ?? 0;
  feed(unexpected);
  feed(unexpected);
  expect(levels.level).toBe(level);
  return { levels, feed };
}

/** The same rules, by looking back at all samples. */
function modelOf(samples: readonly { readonly at: number; readonly unexpected: number }[]): number[] {
  const times: number[] = [];
  const ranks: number[] = [];
  for (const [index, { at }] of samples.entries()) {
    const before = samples[index - 1];
    times.push(before ? times[index - 1]! + Math.min(Math.max(at - before.at, 0), 10_000) : 0);
    /** For how long the samples up to this one have all been so; undefined when this one is not. */
    const lasts = (isSo: (unexpected: number) => boolean) => {
      const other = samples.slice(0, index + 1).findLastIndex(({ unexpected }) => !isSo(unexpected));
      return other === index ? undefined : times[index]! - times[other + 1]!;
    };
    const isEntered = (level: number) =>
      (lasts((unexpected) => rankOf(unexpected) >= level) ?? -1) >= (level >= 3 ? 0 : 500);
    const isKept = (level: number) =>
      level <= (ranks[index - 1] ?? 0) && (lasts((unexpected) => rankOf(unexpected) < level) ?? 0) < 30_000;
    ranks.push([4, 3, 2, 1].find((level) => isEntered(level) || isKept(level)) ?? 0);
  }
  return ranks;
}

describe('Levels', () => {
  it('[LEVEL-1] [LEVEL-2] are what the rules say, at each sample of any trace', () => {
    fc.assert(
      fc.property(traces, (trace) => {
        const levels = newLevels();
        const samples = timed(trace);
        const seen = samples.map((sample) => {
          levels.update(sample);
          return rank(levels.level);
        });
        expect(seen).toEqual(modelOf(samples));
      }),
      { numRuns: 1000 },
    );
  });

  it('[LEVEL-1] never fall while the number rises, and name each change once', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(steadySteps, fc.nat(20))), (trace) => {
        const levels = newLevels();
        let unexpected = 0;
        let at = 0;
        let level: Level = 'normal';
        for (const [step, more] of trace) {
          unexpected += more;
          at += step;
          const change = levels.update({ at, unexpected });
          expect(rank(levels.level)).toBeGreaterThanOrEqual(rank(level));
          expect(change?.from ?? level).toBe(level);
          expect(change?.to ?? level).toBe(levels.level);
          expect(change !== undefined).toBe(levels.level !== level);
          level = levels.level;
        }
      }),
    );
  });

  it.each<[number, Level, Level]>([
    [14, 'normal', 'normal'],
    [15, 'normal', 'warning'],
    [30, 'normal', 'critical'],
    [49, 'normal', 'critical'],
    [50, 'nuclear', 'nuclear'],
    [100, 'emergency', 'emergency'],
    [5000, 'emergency', 'emergency'],
  ])(
    '[LEVEL-1] %i processes after a quiet time: the first sample says %s, the second %s',
    (unexpected, first, second) => {
      const { levels, feed } = fed();
      feed(0);
      feed(unexpected);
      expect(levels.level).toBe(first);
      expect(levels.isUndecided).toBe(first !== second);
      feed(unexpected, 1000);
      expect(levels.level).toBe(second);
      expect(levels.isUndecided).toBe(false);
    },
  );

  it('[LEVEL-1] nuclear and emergency are entered by the first sample, whatever was before', () => {
    fc.assert(
      fc.property(traces, fc.integer({ min: 50, max: 1000 }), steps, (trace, unexpected, step) => {
        const levels = newLevels();
        const samples = timed([...trace, { step, unexpected }]);
        for (const sample of samples) levels.update(sample);
        expect(isAtLeast(levels.level, unexpected >= 100 ? 'emergency' : 'nuclear')).toBe(true);
      }),
    );
  });

  it('[LEVEL-4] one moment below nuclear is no alarm, also when it is sampled twice', () => {
    const spike = fc.tuple(fc.integer({ min: 0, max: 49 }), fc.integer({ min: 1, max: 5 }));
    fc.assert(
      fc.property(fc.array(fc.tuple(spike, fc.integer({ min: 0, max: 14 }), steps)), (trace) => {
        const levels = newLevels();
        let at = 0;
        for (const [[high, times], low, step] of trace) {
          for (let count = 0; count < times; count += 1)
            expect(levels.update({ at, unexpected: high })).toBeUndefined();
          at += Math.max(step, 1);
          expect(levels.update({ at, unexpected: low })).toBeUndefined();
          at += Math.max(step, 1);
        }
      }),
    );
  });

  it('[LEVEL-2] a level is left after it was lower for the cooldown, to the highest of that time', () => {
    const { levels, feed } = levelsAt('emergency');
    expect([feed(0), feed(60), feed(0), feed(35), feed(16), feed(0)]).toEqual(Array(6).fill(undefined));
    // 30 s after the first lower sample.
    expect(feed(0)).toEqual({ from: 'emergency', to: 'nuclear', measured: 0, threshold: 100, by: 'processes' });
    // Each level is left 30 s after its own last sample: 60 was the second, 35 the fourth, 16 the fifth one.
    expect([feed(0), feed(0), feed(0), feed(0)].map((change) => change?.to)).toEqual([
      undefined,
      'critical',
      undefined,
      'warning',
    ]);
    expect(feed(0)?.to).toBe('normal');
    expect(levels.level).toBe('normal');
  });

  it('[LEVEL-2] a level that is reached again within the cooldown stays, and the cooldown begins again', () => {
    const { levels, feed } = levelsAt('critical');
    for (const unexpected of [0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0]) expect(feed(unexpected)).toBeUndefined();
    expect(levels.level).toBe('critical');
    expect(feed(0)).toMatchObject({ from: 'critical', to: 'normal' });
  });

  it('[LEVEL-2] without a cooldown a level is left at once', () => {
    const levels = newLevels({ cooldown: 0 });
    levels.update({ at: 0, unexpected: 20 });
    expect(levels.update({ at: 1000, unexpected: 20 })?.to).toBe('warning');
    expect(levels.update({ at: 2000, unexpected: 14 })?.to).toBe('normal');
  });

  it('[LEVEL-4] a suspended machine, or a clock that is set, ends no cooldown', () => {
    for (const jump of [3_600_000, 24 * 3_600_000, -3_600_000]) {
      const { levels, feed } = levelsAt('critical');
      feed(0);
      expect(feed(0, jump)).toBeUndefined();
      expect(levels.level).toBe('critical');
      feed(0, 10_000);
      feed(0, 10_000);
      feed(0, 10_000);
      expect(levels.level).toBe('normal');
    }
  });

  it('[LEVEL-4] what cannot be measured changes nothing at once', () => {
    const { levels } = levelsAt('critical');
    expect(levels.update({ at: 15_000, unexpected: Number.NaN })).toBeUndefined();
    expect(levels.level).toBe('critical');
    expect(
      newLevels().update({ at: 0, unexpected: Number.NaN, memoryMB: Number.NaN, memoryLimitMB: 10 }),
    ).toBeUndefined();
  });

  it.each<[Partial<LevelSample>, Partial<LevelChange> | undefined]>([
    [{ memoryMB: 749 }, undefined],
    [{ memoryMB: 750 }, { to: 'warning', measured: 750, threshold: 750, by: 'memory' }],
    [{ memoryMB: 1499 }, { to: 'critical', measured: 1499, threshold: 900, by: 'memory' }],
    [{ memoryMB: 1500 }, { to: 'nuclear', measured: 1500, threshold: 1500, by: 'memory' }],
    [{ memoryMB: 2000 }, { to: 'emergency', measured: 2000, threshold: 2000, by: 'memory' }],
    [
      { memoryMB: 800, unexpected: 31 },
      { to: 'critical', measured: 31, threshold: 30, by: 'processes' },
    ],
    [
      { memoryMB: 950, unexpected: 15 },
      { to: 'critical', measured: 950, threshold: 900, by: 'memory' },
    ],
    [
      { memoryMB: 950, unexpected: 30 },
      { to: 'critical', measured: 30, threshold: 30, by: 'processes' },
    ],
    [{ memoryMB: 1e9, memoryLimitMB: Infinity }, undefined],
    [{ memoryMB: 1e9, memoryLimitMB: undefined }, undefined],
    [{ unexpected: 20 }, { to: 'warning', measured: 20, threshold: 15, by: 'processes' }],
  ])('[LEVEL-3] %o of 1,000 MB: %o', (sample, change) => {
    const levels = newLevels();
    const given = { unexpected: 0, memoryLimitMB: 1000, ...sample };
    const changes = [0, 1000].map((at) => levels.update({ ...given, at })).filter((one) => one !== undefined);
    expect(changes).toEqual(change ? [{ from: 'normal', ...change }] : []);
  });

  it('[LEVEL-3] what is measured for the current level is known at any time, also after it has fallen', () => {
    const { levels, feed } = levelsAt('emergency');
    expect(levels.cause).toEqual({ measured: 100, threshold: 100, by: 'processes' });
    for (let count = 0; count < 7; count += 1) feed(35);
    expect(levels.level).toBe('critical');
    expect(levels.cause).toEqual({ measured: 35, threshold: 30, by: 'processes' });
    feed(2);
    expect(levels.cause).toEqual({ measured: 2, threshold: 30, by: 'processes' });
    expect(newLevels().cause).toBeUndefined();
  });

  it('[LEVEL-2] how much of the cooldown is left is known while a level lasts by it alone', () => {
    const { levels, feed } = levelsAt('critical');
    const left = (unexpected: number) => {
      feed(unexpected);
      return levels.cooldownLeft;
    };
    expect(levels.cooldownLeft).toBeUndefined();
    expect([left(29), left(29), left(30), left(0), left(0)]).toEqual([30_000, 25_000, undefined, 30_000, 25_000]);
    for (let at = 25_000; at > 0; at -= 5_000) feed(0);
    expect([levels.level, levels.cooldownLeft]).toEqual(['normal', undefined]);
  });

  it('[LEVEL-3] a spike of memory reaches no level, and what is told of one that is left is measured', () => {
    const levels = newLevels();
    const take = (at: number, memoryMB: number, isMemorySpike: boolean) =>
      levels.update({ at, unexpected: 0, memoryMB, isMemorySpike, memoryLimitMB: 1_000 });
    take(0, 950, true);
    expect(take(5_000, 950, true)).toBeUndefined();
    take(10_000, 950, false);
    expect(take(15_000, 950, false)).toMatchObject({ to: 'critical', measured: 950, threshold: 900 });
    for (let at = 20_000; at < 50_000; at += 5_000) expect(take(at, 640, true)).toBeUndefined();
    expect(take(50_000, 640, true)).toEqual({
      ...{ from: 'critical', to: 'normal', measured: 640, threshold: 900, by: 'memory' },
    });
  });

  it('[LEVEL-3] memory that is free again is told as such, though processes had reached a lower level', () => {
    const levels = newLevels();
    levels.update({ at: 0, unexpected: 16, memoryMB: 2100, memoryLimitMB: 1000 });
    const after = [1, 2, 3, 4].map((count) =>
      levels.update({ at: count * 10_000, unexpected: 16, memoryMB: 100, memoryLimitMB: 1000 }),
    );
    expect(after).toEqual([
      undefined,
      undefined,
      undefined,
      { from: 'emergency', to: 'warning', measured: 100, threshold: 2000, by: 'memory' },
    ]);
  });
});
