import { describe, expect, it } from 'vitest';
import { victims } from '../../src/monitor/victims.js';
import { assessed, NO_LIMITS, type SampledTree } from '../helpers/assessed.js';

const ENFORCED = { levels: { enforce: true } } as const;
const forks: SampledTree = { id: 'f 1', name: 'forks', expectedProcesses: 1 };
const good: SampledTree = { id: 'g 1', name: 'good', expectedProcesses: 1 };

/** Samples of a pool, 5 s apart. */
function sampled(
  options: Parameters<typeof assessed>[0] = ENFORCED,
  ...more: [limits?: typeof NO_LIMITS, isPool?: boolean]
) {
  const { assessment, sample } = assessed(options, ...more);
  let at = 0;
  const next = (trees: readonly SampledTree[], unclaimed = 0) => {
    at += 5_000;
    return sample(at, trees, {}, unclaimed);
  };
  const ends = (trees: readonly SampledTree[], unclaimed = 0) =>
    next(trees, unclaimed).treeActions.map(({ action, id }) => `${action} ${id}`);
  return { assessment, next, ends, now: () => at };
}

describe('Assessment', () => {
  it('[EXPECT-2] six busy servers whose numbers never rest keep no level up', () => {
    const { next, assessment } = sampled({ levels: {} });
    let random = 1;
    const some = (most: number) => {
      random = (random * 48_271) % 2_147_483_647;
      return random % (most + 1);
    };
    const busy = (least: number, most: number) =>
      Array.from({ length: 6 }, (_, index) => ({ id: `b ${index}`, name: 'busy', processes: least + some(most) }));
    for (let sample = 0; sample < 4; sample += 1) next(busy(1, 0));
    for (let sample = 0; sample < 60; sample += 1) next(busy(12, 5));
    const seconds: Record<string, number> = {};
    for (let sample = 0; sample < 720; sample += 1) {
      next(busy(12, 5));
      seconds[assessment.level] = (seconds[assessment.level] ?? 0) + 5;
    }
    expect(seconds).toEqual({ normal: 3_600 });
  });

  it('[ASSESS-1] ends no healthy tree for processes of no tree', () => {
    const { next, ends, assessment } = sampled();
    next([forks, good], 45);
    for (const processes of [1, 2, 3, 4, 3]) {
      expect(ends([forks, { ...good, processes }], 45)).toEqual([]);
      expect(assessment.level).not.toBe('normal');
    }
    for (let sample = 0; sample < 5; sample += 1) expect(ends([forks, { ...good, processes: 4 }], 70)).toEqual([]);
    expect(assessment.level).toBe('nuclear');
  });

  it('[ASSESS-1] ends what grows no less because there are processes of no tree', () => {
    const { next, ends } = sampled();
    for (let sample = 0; sample < 8; sample += 1) next([forks, good]);
    next(
      [
        { ...forks, processes: 41 },
        { ...good, processes: 2 },
      ],
      5,
    );
    expect(
      ends(
        [
          { ...forks, processes: 41 },
          { ...good, processes: 2 },
        ],
        5,
      ),
    ).toEqual(['end-growing f 1']);
  });

  it('[ASSESS-2] ends no neighbour while the one that forks is ending, and nothing while a level cools down', () => {
    const { next, ends, assessment } = sampled();
    for (let sample = 0; sample < 8; sample += 1) next([forks, good]);
    const both = (processes: number, phase: 'ready' | 'ending' = 'ready') => [
      { ...forks, processes, phase },
      { ...good, processes: 3 },
    ];
    next(both(41));
    expect(ends(both(41))).toEqual(['end-growing f 1']);
    for (let sample = 0; sample < 3; sample += 1) expect(ends(both(41, 'ending'))).toEqual([]);
    expect(ends([{ ...good, processes: 5 }])).toEqual([]);
    expect(assessment.level).toBe('critical');
  });

  it('[ASSESS-2] ends only as many of those that grow as bring the level down', () => {
    const { next, ends } = sampled({ levels: { enforce: true, nuclear: 1_000, emergency: 1_000 } });
    const trees = (processes: readonly number[]) => {
      return processes.map((count, index) => ({ ...forks, id: `${index}`, name: `n${index}`, processes: count }));
    };
    for (let sample = 0; sample < 8; sample += 1) next(trees([1, 1, 1]));
    next(trees([26, 24, 31]));
    // 78 more than expected, and 29 are no level: the two that grow fastest.
    expect(ends(trees([26, 24, 31]))).toEqual(['end-growing 2', 'end-growing 0']);
  });

  it.each([
    ['critical', 950],
    ['nuclear', 1_600],
  ])('[ASSESS-2] at %s by memory ends no tree because it has a helper more', (level, memoryMB) => {
    const limits = { ...NO_LIMITS, memoryMB: { limit: 1_000, isSet: false } };
    const { next, ends, assessment } = sampled(ENFORCED, limits);
    for (let sample = 0; sample < 8; sample += 1) next([{ ...forks, memoryMB }, good]);
    expect(assessment.level).toBe(level);
    for (let sample = 0; sample < 20; sample += 1)
      expect(
        ends([
          { ...forks, memoryMB },
          { ...good, processes: 2 + (sample % 3) },
        ]),
      ).toEqual([]);
    // What no lease uses ends, as much as is needed.
    const idle = { ...good, leases: 0, memoryMB: 200 };
    const some = ['x', 'y', 'z', 'w'].map((id) => ({ ...idle, id }));
    expect(ends([{ ...forks, memoryMB: memoryMB - 700 }, ...some]).length).toBeGreaterThan(0);
  });

  it('[ASSESS-3] a tree that is gone has nothing unexpected, and one that cannot be measured keeps its figures', () => {
    const { next } = sampled();
    next([{ ...forks, processes: 41 }, good]);
    expect(next([{ ...forks, state: 'unknown' }, good]).sample.totals).toMatchObject({ unexpected: 40, processes: 42 });
    expect(next([{ ...forks, state: 'vanished' }, good]).sample.totals).toMatchObject({ unexpected: 0, processes: 1 });
    expect(next([good]).sample.totals).toMatchObject({ unexpected: 0, processes: 1, memoryMB: 100 });
  });

  it('[ASSESS-4] what a host has added to the monitor of a pool counts for nothing, whatever its id', () => {
    const limits = { ...NO_LIMITS, memoryMB: { limit: 1_000, isSet: true } };
    const { next, assessment } = sampled(ENFORCED, limits);
    const added: SampledTree = { ...good, phase: 'foreign', processes: 200, memoryMB: 50_000 };
    for (let sample = 0; sample < 20; sample += 1) {
      const { notices, treeActions, poolActions, gate, sample: taken } = next([good, added]);
      expect([notices, treeActions, poolActions]).toEqual([[], [], []]);
      expect({ ...gate, restingSpares: [...gate.restingSpares] }).toEqual({
        shortage: undefined,
        overload: undefined,
        holdsSpares: false,
        restingSpares: [],
      });
      expect(taken.totals).toMatchObject({ processes: 1, unexpected: 0, memoryMB: 100 });
      expect(taken.trees).toHaveLength(2);
    }
    expect(assessment.victimsAt('emergency', 0).map(({ phase }) => phase)).toEqual(['ready']);
    // A monitor that is alone has nothing else.
    const alone = sampled({}, limits, false);
    alone.next([added]);
    expect(alone.assessment.level).toBe('emergency');
  });

  it('[ASSESS-4] the life of an added tree says nothing of the server that has its name, nor the other way round', () => {
    const leak = { window: 120_000, warmup: 0, minSlopeMBPerHour: 5 };
    const found = (first: 'foreign' | 'ready', second: 'foreign' | 'ready') => {
      const { next } = sampled({ leak });
      for (let count = 0; count < 120; count += 1) next([{ id: 'a 1', name: 'a', phase: first, memoryMB: 900 }]);
      next([]);
      const all = Array.from({ length: 120 }, (_, count) =>
        next([{ id: 'a 2', name: 'a', phase: second, memoryMB: 100 + count }]),
      );
      return all.flatMap(({ notices }) => notices.map(([event]) => event));
    };
    expect(found('foreign', 'ready')).toEqual(['leak:suspected', 'leak:confirmed']);
    expect(found('ready', 'foreign')).toEqual(['leak:suspected', 'leak:confirmed']);
    // Lives of one kind do.
    expect(found('ready', 'ready')).toEqual([]);
    expect(found('foreign', 'foreign')).toEqual([]);
  });

  it('[ASSESS-5] what a level ends is what victimsAt() has shown, when it is the level of now', () => {
    const { next, assessment, now } = sampled();
    for (let sample = 0; sample < 8; sample += 1) next([forks, good, { ...good, id: 'i 1', leases: 0 }]);
    const trees = [
      { ...forks, processes: 41 },
      { ...good, processes: 2 },
      { ...good, id: 'i 1', leases: 0 },
    ];
    next(trees);
    const { treeActions } = next(trees);
    expect(assessment.level).toBe('critical');
    expect(assessment.victimsAt('critical', now()).map(({ id }) => id)).toEqual(treeActions.map(({ id }) => id));
    expect(treeActions.map(({ id }) => id)).toEqual(['i 1', 'f 1']);
    // It is over, but for the cooldown.
    next([forks, good]);
    expect(assessment.victimsAt('critical', now())).toEqual([]);
  });

  it('[ASSESS-5] a tree that two actions of a level could end is ended by the first of them alone', () => {
    const { next, assessment, now } = sampled({ levels: { actions: { nuclear: ['end-growing', 'end-unexpected'] } } });
    const stands = { ...good, processes: 61 };
    for (let sample = 0; sample < 8; sample += 1) next([forks, stands]);
    next([{ ...forks, processes: 41 }, stands]);
    expect(assessment.victimsAt('nuclear', now()).map(({ id }) => id)).toEqual(['f 1', 'g 1']);
  });

  it('[LEVEL-5] the host is called when a level rises to one that asks for it, and not when it falls to one', () => {
    const actions = { critical: ['call-host'], nuclear: ['call-host'] } as const;
    const { next, assessment } = sampled({ levels: { actions }, onEmergency: () => {} });
    const calls = (processes: number, times: number) =>
      Array.from({ length: times }, () => next([{ ...forks, processes }]).poolActions.length);
    expect(calls(61, 3)).toEqual([1, 0, 0]);
    expect(calls(41, 10)).toEqual(Array.from({ length: 10 }, () => 0));
    expect(assessment.level).toBe('critical');
    expect(calls(61, 2)).toEqual([1, 0]);
  });

  it('[ENFORCE-9] the sample that ends idle trees for the memory of all holds the start of spare ones, before any level', () => {
    const { next, assessment } = sampled({}, { ...NO_LIMITS, memoryMB: { limit: 1_000, isSet: true } });
    const idle: SampledTree = { id: 'i 1', name: 'idle', leases: 0, memoryMB: 950 };
    const outcomes = Array.from({ length: 12 }, () => ({ ...next([idle]), level: assessment.level }));
    const first = outcomes.find(({ treeActions }) => treeActions.length > 0);
    expect(first).toMatchObject({ level: 'normal', gate: { holdsSpares: true } });
  });

  it('[ASSESS-6] of two reasons for one tree the one that cannot wait counts', () => {
    const { next } = sampled({ levels: { enforce: true, nuclear: 1_000, emergency: 1_000 } });
    const limits = { memoryMB: 100 };
    const both = (processes: number) => [{ ...forks, limits, memoryMB: 105, processes }, good];
    for (let sample = 0; sample < 5; sample += 1) next(both(1));
    next(both(41));
    // The limit is exceeded, and the level is reached, by the same sample.
    const { notices, treeActions } = next(both(41));
    expect(notices.map(([event]) => event)).toEqual(expect.arrayContaining(['limit:exceeded', 'level:changed']));
    expect(treeActions).toEqual([expect.objectContaining({ id: 'f 1', action: 'end-growing', isUrgent: true })]);
  });

  it('[ASSESS-7] with dryRun what was said counts as done, until its reason is gone', () => {
    const { next, assessment } = sampled({ ...ENFORCED, dryRun: true });
    for (let sample = 0; sample < 8; sample += 1) next([forks, good]);
    const trees = [
      { ...forks, processes: 41 },
      { ...good, processes: 2 },
    ];
    next(trees);
    expect(next(trees).treeActions).toHaveLength(1);
    // Nothing was said yet: a monitor that is stopped says nothing.
    const [asked] = next(trees).treeActions;
    expect(asked).toMatchObject({ id: 'f 1', kind: 'level' });
    assessment.done(asked!, 'ending');
    for (let sample = 0; sample < 5; sample += 1) expect(next(trees).treeActions).toEqual([]);
    for (let sample = 0; sample < 30; sample += 1) next([forks, good]);
    expect(assessment.level).toBe('normal');
    next(trees);
    expect(next(trees).treeActions).toHaveLength(1);
  });

  it('[ASSESS-8] reset() tells the end of a level once', () => {
    const { next, assessment } = sampled();
    next([{ ...forks, processes: 61 }]);
    expect(assessment.level).toBe('nuclear');
    const change = { from: 'nuclear', to: 'normal', measured: 60, threshold: 50, by: 'processes', names: [] };
    expect(assessment.reset()).toEqual(['level:changed', change]);
    expect(assessment.level).toBe('normal');
    expect(assessment.reset()).toBeUndefined();
  });
});

it('[ASSESS-1] trees are compared with what belongs to none of them', () => {
  const tree = { priority: 'normal', isIdle: false, leases: 1, idleSince: 0, unexpected: 4, growth: 4 } as const;
  for (const reason of ['growth', 'unexpected'] as const) {
    expect(victims([tree], { reason })).toEqual([tree]);
    expect(victims([tree], { reason, unclaimed: 45 })).toEqual([]);
    expect(victims([{ ...tree, unexpected: 40, growth: 40 }], { reason, unclaimed: 45 })).toHaveLength(1);
  }
});

it('[LOOP-8] goes on where the memory of the host is too full, since others use it', () => {
  const { assessment, sample } = assessed({ hostMemoryPercent: 80 });
  const memoryOf = (usedPercent: number) => ({
    memory: { totalMB: 1_000, availableMB: 1_000 - 10 * usedPercent, usedPercent, from: 'machine' as const },
  });
  let at = 0;
  const told = (usedPercent: number) => {
    const until = at + 100_000;
    const notices = [];
    for (; at < until; at += 5_000) notices.push(...sample(at, [], memoryOf(usedPercent)).notices);
    return notices;
  };
  expect(assessment.isQuiet).toBe(true);
  expect(told(90)).toMatchObject([['limit:exceeded', { kind: 'host-memory', value: 90 }]]);
  expect(assessment.isQuiet).toBe(false);
  expect(told(50)).toMatchObject([['limit:recovered', { kind: 'host-memory', value: 50 }]]);
  expect(assessment.isQuiet).toBe(true);
  // What is not measured any more is not known to be exceeded.
  expect(told(90)).toMatchObject([['limit:exceeded', { kind: 'host-memory' }]]);
  expect(assessment.rest()).toMatchObject([['limit:recovered', { kind: 'host-memory', limit: 80 }]]);
  expect([assessment.isQuiet, assessment.rest()]).toEqual([true, []]);
});
