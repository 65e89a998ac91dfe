import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrowthWatch } from '../../src/monitor/growth.js';
import { Levels } from '../../src/monitor/levels.js';
import { LimitWatch } from '../../src/monitor/limits.js';
import { endingSum, type TreeCandidate } from '../../src/monitor/tree-candidate.js';
import { type ChoiceReason, victims } from '../../src/monitor/victims.js';

const STEP = 5_000;
const PERCENTS = { warningPercent: 75, criticalPercent: 90 };
const THRESHOLDS = { warning: 750, critical: 900, exceeded: 1_000 };
const values = fc.array(fc.nat(2_000), { maxLength: 40 });

describe('a value that is at least so high', () => {
  const fed = () => {
    const watch = new LimitWatch({ long: 30_000, short: 10_000 }, PERCENTS);
    let at = 0;
    const next = (value: number, isLeast = false) => {
      at += STEP;
      return watch.update(at, value, 1_000, isLeast);
    };
    return { watch, next };
  };

  it('[UNKNOWN-3] exceeds a limit, and brings each level, as any other', () => {
    for (const [value, level] of [
      [1_050, 'exceeded'],
      [950, 'critical'],
      [800, 'warning'],
    ] as const) {
      const { watch, next } = fed();
      for (let sample = 0; sample < 10; sample += 1) next(value, true);
      expect([watch.level, watch.isKnown]).toEqual([level, true]);
    }
  });

  it('[UNKNOWN-1] recovers no limit, whatever it is', () => {
    fc.assert(
      fc.property(values, (trace) => {
        const { watch, next } = fed();
        for (let sample = 0; sample < 10; sample += 1) next(1_050);
        for (const value of trace) {
          expect(next(value, true).change).toBeUndefined();
          expect(watch.isKnown).toBe(value > 1_000);
        }
        expect(watch.level).toBe('exceeded');
      }),
    );
  });

  it('[UNKNOWN-1] brings no level that it has not reached', () => {
    fc.assert(
      fc.property(values, (trace) => {
        const { watch, next } = fed();
        let highest = 0;
        for (const value of trace) {
          next(value, true);
          highest = Math.max(highest, value);
          if (watch.level !== 'normal') expect(highest).toBeGreaterThanOrEqual(THRESHOLDS[watch.level]);
        }
      }),
    );
  });
});

describe('a level', () => {
  const SETTINGS = { warning: 15, critical: 30, nuclear: 50, emergency: 100, cooldown: 30_000 };
  const fed = () => {
    const levels = new Levels(SETTINGS, PERCENTS);
    let at = 0;
    const next = (unexpected: number, isUnknown = false, memoryMB?: number) => {
      at += STEP;
      const isLeast = { processes: isUnknown, memory: isUnknown };
      levels.update({ at, unexpected, memoryMB, memoryLimitMB: 1_000, isLeast });
      return levels.level;
    };
    return { levels, next };
  };

  it('[UNKNOWN-1] is not entered by a second sample that does not show it', () => {
    const { levels, next } = fed();
    expect([next(40), next(0, true), next(0, true)]).toEqual(['normal', 'normal', 'normal']);
    expect(levels.isUndecided).toBe(false);
    expect([next(40), next(31, true)]).toEqual(['normal', 'critical']);
    expect(levels.cause).toEqual({ measured: 40, threshold: 30, by: 'processes' });
  });

  it('[UNKNOWN-1] does not cool down while it is not known, and then for its whole cooldown', () => {
    for (const memoryMB of [undefined, 950]) {
      const unexpected = memoryMB === undefined ? 40 : 0;
      const { levels, next } = fed();
      next(unexpected, false, memoryMB);
      expect(next(unexpected, false, memoryMB)).toBe('critical');
      for (let sample = 0; sample < 3; sample += 1) next(0);
      for (let sample = 0; sample < 100; sample += 1) expect(next(0, true)).toBe('critical');
      expect(levels.isKnown).toBe(false);
      // It had been lower for 10 s.
      expect([next(0), next(0), next(0), next(0)]).toEqual(['critical', 'critical', 'critical', 'normal']);
      expect(levels.isKnown).toBe(true);
    }
  });

  it('[UNKNOWN-1] what is only the least brings no level that all would not bring', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(150), fc.nat(100), fc.boolean()), { maxLength: 40 }), (trace) => {
        const { next } = fed();
        let highest = 0;
        for (const [unexpected, percent, isUnknown] of trace) {
          highest = Math.max(highest, unexpected);
          const level = next(isUnknown ? (unexpected * percent) / 100 : unexpected, isUnknown);
          if (level !== 'normal') expect(highest).toBeGreaterThanOrEqual(SETTINGS[level]);
        }
      }),
    );
  });
});

describe('growth', () => {
  const fed = () => {
    const watch = new GrowthWatch({ processes: 30, within: 30_000 });
    let at = 0;
    /** A tree for each name; undefined: it could not be measured. */
    const next = (trees: Readonly<Record<string, number | undefined>>) => {
      at += STEP;
      const known = Object.entries(trees).flatMap(([name, processes]) =>
        processes === undefined ? [] : [{ id: `${name} 1`, name, processes }],
      );
      const unknown = Object.entries(trees).filter(([, processes]) => processes === undefined);
      return watch.sample(
        at,
        known,
        unknown.map(([name]) => `${name} 1`),
      );
    };
    return { watch, next };
  };
  const names = ['a', 'b', 'c'] as const;

  it('[UNKNOWN-1] is none of what can be measured again, or for the first time', () => {
    const readings = fc.array(fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }), { maxLength: 40 });
    fc.assert(
      fc.property(readings, (trace) => {
        const { watch, next } = fed();
        for (const known of trace) {
          const trees = names.map((name, index) => [name, known[index] ? 20 * (index + 1) : undefined]);
          expect(next(Object.fromEntries(trees))).toBeUndefined();
          expect(names.map((name) => watch.growthOf(`${name} 1`))).toEqual([0, 0, 0]);
        }
      }),
    );
  });

  it('[UNKNOWN-3] of the others is told, with their names', () => {
    for (const before of [undefined, 20]) {
      const { watch, next } = fed();
      for (let sample = 0; sample < 20; sample += 1) next({ a: before, b: 1, c: 3 });
      next({ a: undefined, b: 33, c: 3 });
      expect(next({ a: undefined, b: 33, c: 4 })).toEqual({ processes: 33, within: 30_000, names: ['b', 'c'] });
      expect(['a 1', 'b 1'].map((id) => watch.growthOf(id))).toEqual([0, 32]);
    }
  });

  it('[UNKNOWN-1] is confirmed by no sample that does not show it', () => {
    const { next } = fed();
    for (let sample = 0; sample < 20; sample += 1) next({ a: 1, b: 1 });
    expect([next({ a: 41, b: 1 }), next({ a: undefined, b: 1 }), next({ a: 1, b: 1 })]).toEqual(
      Array(3).fill(undefined),
    );
  });
});

describe('a tree whose figures are of an earlier sample', () => {
  const stale: TreeCandidate = {
    ...{ id: 'a 1', name: 'a', priority: 'normal', phase: 'ready', isIdle: true, leases: 0, idleSince: 0 },
    ...{ memoryMB: 500, cpuPercent: 80, unexpected: 40, growth: 40, uptime: 1_000, isStale: true },
  };

  it('[UNKNOWN-1] is not chosen for what it had, and the others are compared with it', () => {
    const reasons: ChoiceReason[] = ['memory', 'largest', 'busiest', 'growth', 'unexpected', 'room', 'all'];
    const chosen = reasons.filter((reason) => {
      return victims([stale, { ...stale, isIdle: false, leases: 1 }], { reason }).length > 0;
    });
    expect(chosen).toEqual(['room', 'all']);
    const neighbour = { ...stale, unexpected: 3, growth: 3, isStale: false };
    for (const reason of ['growth', 'unexpected'] as const) expect(victims([stale, neighbour], { reason })).toEqual([]);
  });

  it('[UNKNOWN-1] is nothing that comes free by itself, where the sums do not have it either', () => {
    const ending = { ...stale, phase: 'ending' } as const;
    expect(endingSum([ending, { ...ending, isStale: false }], 'memoryMB')).toBe(500);
  });
});
