import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MonitorNotice, TreeAction } from '../../src/monitor/finding.js';
import { GrowingPause } from '../../src/monitor/growing-pause.js';
import type { MonitoredTree } from '../../src/monitor/monitored-tree.js';
import { ReplacedServers } from '../../src/monitor/replaced-servers.js';
import { type TotalKind, type Totals, TotalsWatch } from '../../src/monitor/totals-watch.js';
import { candidateOf, type TreeCandidate } from '../../src/monitor/tree-candidate.js';

const SETTINGS = {
  ...{ warningPercent: 75, criticalPercent: 90, hostMemoryPercent: 80 },
  windows: { long: 30_000, short: 10_000 },
  leak: { warmup: 0 },
};

type Use = Partial<MonitoredTree> & Partial<Pick<TreeCandidate, 'memoryMB' | 'cpuPercent' | 'uptime'>>;

const tree = (id: string, { memoryMB = 100, cpuPercent = 0, uptime = 1e9, ...given }: Use = {}): TreeCandidate => {
  const usual = { name: id, priority: 'normal', phase: 'ready', leases: 1, idleSince: 0 } as const;
  const usage = () => Promise.resolve(undefined);
  const more = { limits: {}, expectedProcesses: undefined, replacesLeaks: false, answered: undefined };
  return candidateOf(
    { id, ...usual, ...more, ...given, usage, detailedUsage: usage },
    { memoryMB, cpuPercent, uptime },
  );
};
const idle = (id: string, given: Use = {}) => tree(id, { leases: 0, ...given });

interface Given extends Partial<Omit<Totals, 'at' | 'candidates' | 'limits'>> {
  readonly memoryLimitMB?: number;
  readonly cpuLimitPercent?: number;
  readonly isSet?: boolean;
}

/** A watch that is fed the same again and again; what has followed from it. */
function fed() {
  const replaced = new ReplacedServers(60_000);
  const watch = new TotalsWatch(SETTINGS, replaced);
  const notices: MonitorNotice[] = [];
  const actions: TreeAction[] = [];
  let [at, asked] = [1_000_000, 0];
  const feed = (trees: () => readonly TreeCandidate[], time: number, given: Given = {}) => {
    let shortage: ReturnType<TotalsWatch['take']>;
    for (let left = time; left > 0; left -= 5_000) {
      at += 5_000;
      const all = trees();
      const sum = (figure: 'memoryMB' | 'cpuPercent') => all.reduce((total, one) => total + one[figure], 0);
      const { memoryLimitMB = 1_000, cpuLimitPercent = Infinity, isSet = true, host = { at }, ...figures } = given;
      const limits = { memoryMB: { limit: memoryLimitMB, isSet }, cpuPercent: { limit: cpuLimitPercent, isSet } };
      const candidates = () => {
        asked += 1;
        return all;
      };
      const totals = { memoryMB: sum('memoryMB'), cpuPercent: sum('cpuPercent'), isLeast: false, ...figures };
      const before = actions.length;
      shortage = watch.take({ at, host, limits, candidates, ...totals }, notices, actions);
      for (const action of actions.slice(before)) {
        watch.acted(action.kind as TotalKind);
        if (action.replaced) replaced.note(at, action.replaced);
      }
    }
    return shortage;
  };
  const ends = () => actions.map(({ action, id }) => `${action} ${id}`);
  return { watch, feed, notices, actions, ends, asked: () => asked };
}

describe('the memory of all trees', () => {
  it('[TOTAL-1] near the limit ends idle trees, the largest first and only as many as needed', () => {
    const { feed, ends, notices } = fed();
    feed(() => [tree('used', { memoryMB: 500 }), idle('x', { memoryMB: 100 }), idle('y', { memoryMB: 350 })], 60_000);
    // Each again after a pause, as long as they are there.
    expect(new Set(ends())).toEqual(new Set(['end-idle y']));
    expect(notices).toEqual([]);
  });

  it('[TOTAL-1] counts what is ending as free', () => {
    const { feed, ends } = fed();
    const ending = tree('ends', { memoryMB: 200, phase: 'ending' });
    feed(() => [tree('used', { memoryMB: 650 }), ending, idle('x', { memoryMB: 100 })], 300_000);
    expect(ends()).toEqual([]);
  });

  it('[TOTAL-1] ends no tree that has nothing to give back, and none below critical', () => {
    const { feed, ends } = fed();
    feed(() => [tree('used', { memoryMB: 950 }), idle('new', { memoryMB: 0 })], 60_000, { isSet: false });
    feed(() => [tree('used', { memoryMB: 500 }), idle('x', { memoryMB: 390 })], 60_000);
    expect(ends()).toEqual([]);
  });

  it('[TOTAL-1] ends expendable trees first, and no essential one', () => {
    const { feed, actions } = fed();
    const all = [
      idle('vital', { memoryMB: 300, priority: 'essential' }),
      idle('usual', { memoryMB: 300 }),
      idle('extra', { memoryMB: 10, priority: 'expendable' }),
      tree('used', { memoryMB: 450 }),
    ];
    feed(() => all, 35_000);
    expect(actions.map(({ id }) => id)).toEqual(['extra', 'usual']);
  });

  it('[TOTAL-2] at the limit lets starts wait, until it is free again for some time', () => {
    const { feed, notices } = fed();
    expect(feed(() => [tree('used', { memoryMB: 1_050 })], 30_000, { isSet: false })).toBeUndefined();
    expect(feed(() => [tree('used', { memoryMB: 1_050 })], 5_000, { isSet: false })).toEqual({
      memoryMB: 1_050,
      limitMB: 1_000,
    });
    // What cannot be measured is no memory that is free.
    expect(feed(() => [], 60_000, { isSet: false, isLeast: true })).toEqual({ memoryMB: 1_000, limitMB: 1_000 });
    expect(feed(() => [tree('used', { memoryMB: 300 })], 15_000, { isSet: false })).toBeUndefined();
    expect(notices.map(([event]) => event)).toEqual(['limit:exceeded', 'limit:recovered']);
  });

  it('[TOTAL-3] replaces a tree with a lease only for a limit that the host has set, and only the largest', () => {
    const all = [tree('large', { memoryMB: 800 }), tree('small', { memoryMB: 250 })];
    const byDefault = fed();
    byDefault.feed(() => all, 300_000, { isSet: false });
    expect(byDefault.ends()).toEqual([]);
    const set = fed();
    set.feed(() => all, 35_000);
    expect(set.actions).toEqual([expect.objectContaining({ action: 'replace', id: 'large', isUrgent: false })]);
    const far = fed();
    far.feed(() => [...all, tree('other', { memoryMB: 100 })], 35_000);
    expect(far.actions).toEqual([expect.objectContaining({ id: 'large', isUrgent: true, value: 1_150, limit: 1_000 })]);
  });

  it.each<[string, Use]>([
    ['is essential', { priority: 'essential' }],
    ['was added by the host', { phase: 'foreign' }],
    ['waits for the end of its lease', { phase: 'leaving' }],
    ['starts', { phase: 'starting' }],
  ])('[TOTAL-3] replaces no small tree while the largest %s', (_, given) => {
    const { feed, ends } = fed();
    feed(() => [tree('large', { memoryMB: 900, ...given }), tree('small', { memoryMB: 150 })], 600_000);
    expect(ends()).toEqual([]);
  });

  it('[TOTAL-3] an expendable tree ends before a larger one, unless its end would hardly help', () => {
    for (const [memoryMB, replaced] of [
      [400, 'replace extra'],
      [10, 'replace large'],
    ] as const) {
      const { feed, ends } = fed();
      const trees = [tree('extra', { memoryMB, priority: 'expendable' }), tree('large', { memoryMB: 700 })];
      feed(() => trees, 60_000, { memoryLimitMB: 700 });
      expect(new Set(ends())).toEqual(new Set([replaced]));
    }
  });

  it('[TOTAL-3] one that leaves already is ended when that cannot wait', () => {
    const { feed, ends } = fed();
    feed(() => [tree('large', { memoryMB: 1_200, phase: 'leaving' }), tree('small')], 35_000);
    expect(ends()).toEqual(['replace large']);
  });

  it('[TOTAL-3] replaces what has come for another rarely, and an older one of the same server soon', () => {
    const { feed, ends } = fed();
    let [age, lives] = [1e6, 0];
    const all = () => {
      age += 5_000;
      // As long as it is there, it needs as much.
      if (ends().length > lives) [age, lives] = [0, ends().length];
      return [tree('large', { memoryMB: 1_050, uptime: age })];
    };
    feed(all, 3_600_000);
    expect(lives).toBeGreaterThan(2);
    expect(lives).toBeLessThan(9);
    const older = fed();
    older.feed(() => [tree('x', { name: 'large', memoryMB: 1_050 })], 180_000);
    expect(older.ends().length).toBeGreaterThan(3);
  });
});

describe('the memory of the host', () => {
  const used = (usedPercent: number, totalMB = 32_000) => ({
    host: { at: 0, memory: { totalMB, usedPercent, from: 'machine' as const } },
  });
  const three = () => [idle('x', { memoryMB: 50 }), idle('y', { memoryMB: 50 }), idle('z', { memoryMB: 50 })];

  it('[TOTAL-4] that others have filled is told, and ends no idle tree: it would free nothing that counts', () => {
    const { feed, ends, notices } = fed();
    feed(three, 600_000, used(85));
    expect(ends()).toEqual([]);
    expect(notices).toEqual([['limit:exceeded', { kind: 'host-memory', value: 85, limit: 80 }]]);
  });

  it('[TOTAL-4] of a full machine around a small container: what is too much is that of the machine', () => {
    const { feed, ends } = fed();
    const memory = { totalMB: 512, usedPercent: 85, fullestMB: 32_000, from: 'container' } as const;
    feed(three, 600_000, { host: { at: 0, memory } });
    expect(ends()).toEqual([]);
  });

  it('[TOTAL-4] that idle trees have a notable part of ends as many as needed', () => {
    const { feed, ends } = fed();
    // 1 % of 10,000 MB are 100 MB.
    feed(three, 35_000, used(81, 10_000));
    expect(ends()).toEqual(['end-idle x', 'end-idle y']);
    const leased = fed();
    leased.feed(() => [tree('used', { memoryMB: 900 })], 600_000, { ...used(95, 1_000), memoryLimitMB: Infinity });
    expect(leased.ends()).toEqual([]);
  });
});

describe('the CPU of all trees', () => {
  const limit = { cpuLimitPercent: 100, memoryLimitMB: Infinity };

  it('[TOTAL-5] ends no idle tree: it uses nothing', () => {
    const { feed, ends } = fed();
    feed(() => [tree('busy', { cpuPercent: 95 }), idle('x'), idle('y'), idle('z')], 600_000, limit);
    expect(ends()).toEqual([]);
  });

  it('[TOTAL-5] replaces the one that uses most, however large the others are', () => {
    const { feed, ends } = fed();
    feed(() => [tree('large', { memoryMB: 5_000 }), tree('busy', { cpuPercent: 105 })], 35_000, limit);
    expect(ends()).toEqual(['replace busy']);
  });
});

describe('TotalsWatch', () => {
  it('[TOTAL-6] asks for no tree while nothing is too much', () => {
    const { feed, asked } = fed();
    feed(() => [tree('used', { memoryMB: 700 }), idle('x')], 600_000);
    expect(asked()).toBe(0);
  });

  it('[TOTAL-6] never ends one with a lease for a default, never an essential one, and none twice at once', () => {
    const use = fc.record({
      leases: fc.nat(2),
      memoryMB: fc.nat(900),
      cpuPercent: fc.nat(200),
      uptime: fc.nat(1e6),
      priority: fc.constantFrom('essential' as const, 'normal' as const, 'expendable' as const),
      phase: fc.constantFrom('starting' as const, 'ready' as const, 'leaving' as const, 'ending' as const),
    });
    fc.assert(
      fc.property(fc.array(use, { maxLength: 8 }), fc.boolean(), (uses, isSet) => {
        const all = uses.map((one, index) => tree(`${index}`, one));
        const { feed, actions } = fed();
        for (let sample = 0; sample < 12; sample += 1) {
          const before = actions.length;
          feed(() => all, 5_000, { isSet, cpuLimitPercent: 150 });
          const now = actions.slice(before);
          expect(new Set(now.filter(({ kind }) => kind === 'total-memory').map(({ id }) => id)).size).toBe(
            now.filter(({ kind }) => kind === 'total-memory').length,
          );
          for (const { id, action } of now) {
            const { leases, priority, phase } = all[Number(id)]!;
            expect(priority === 'essential' || phase === 'ending' || phase === 'starting').toBe(false);
            expect(action).toBe(leases > 0 ? 'replace' : 'end-idle');
            if (leases > 0) expect(isSet).toBe(true);
          }
        }
      }),
    );
  });
});

describe('GrowingPause', () => {
  it('[TOTAL-7] doubles with each attempt in a row up to a limit, and begins anew after a long quiet time', () => {
    const pause = new GrowingPause(1_000);
    let at = 0;
    const lengths = Array.from({ length: 8 }, () => {
      pause.begin(at);
      const begin = at;
      while (pause.isOn(at)) at += 500;
      return at - begin;
    });
    expect(lengths).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000, 16_000]);
    pause.begin(at + 64_000);
    expect([pause.isOn(at + 64_999), pause.isOn(at + 65_000)]).toEqual([true, false]);
  });

  it('[TOTAL-7] ends when the clock is set back', () => {
    const pause = new GrowingPause(1_000);
    expect(pause.isOn(0)).toBe(false);
    pause.begin(5_000);
    expect([pause.isOn(5_000), pause.isOn(4_999)]).toEqual([true, false]);
  });
});
