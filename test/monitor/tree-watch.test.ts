import { describe, expect, it } from 'vitest';
import type { MonitorNotice, TreeAction } from '../../src/monitor/finding.js';
import { LeakDetector } from '../../src/monitor/leaks/leak-detector.js';
import type { MonitoredTree } from '../../src/monitor/monitored-tree.js';
import { ReplacedServers } from '../../src/monitor/replaced-servers.js';
import { TreeWatch } from '../../src/monitor/tree-watch.js';
import type { TreeUsage } from '../../src/process/usage/tree-usage.js';
import { randomOf } from './leaks/simulate.js';

const LEAK = { window: 120_000, warmup: 10_000, minSlopeMBPerHour: 5 };
const SETTINGS = {
  ...{ warningPercent: 75, criticalPercent: 90, leak: LEAK },
  windows: { long: 30_000, short: 10_000 },
};
const TREE: MonitoredTree = {
  ...{ id: 'a 1', name: 'a', priority: 'normal', phase: 'ready', leases: 1, idleSince: 0 },
  ...{ limits: {}, expectedProcesses: undefined, replacesLeaks: false, answered: undefined },
  usage: () => Promise.resolve(undefined),
  detailedUsage: () => Promise.resolve(undefined),
};

/** A watch over one tree that is sampled every 5 s. */
function watched(begin: Partial<MonitoredTree> = {}, leaks = new LeakDetector(LEAK)) {
  const servers = new ReplacedServers(60_000);
  const watch = new TreeWatch({ ...TREE, ...begin }, SETTINGS, leaks, servers);
  const notices: MonitorNotice[] = [];
  const actions: TreeAction[] = [];
  let [at, cpuTime] = [0, 0];
  const feed = (
    time: number,
    use: Partial<TreeUsage> & { readonly cpu?: number } = {},
    given: Partial<MonitoredTree> = {},
  ) => {
    for (let left = time; left > 0; left -= 5_000) {
      at += 5_000;
      cpuTime += 50 * (use.cpu ?? 0);
      const usual = { at, memoryMB: 80, residentMB: 160, cpuTime, processes: 1, zombies: 0, threads: 1, uptime: at };
      const tree = { ...TREE, ...begin, ...given };
      const before = actions.length;
      watch.take({ at, tree, usage: { ...usual, ...use }, cores: 4 }, notices, actions);
      for (const { isUrgent, replaced } of actions.slice(before)) {
        watch.replaced(at, isUrgent);
        if (replaced) servers.note(at, replaced);
      }
    }
  };
  const events = () => notices.map(([event, payload]) => [event, (payload as { limit?: number }).limit]);
  return { watch, feed, notices, actions, events, now: () => at };
}

describe('TreeWatch', () => {
  const limits = { memoryMB: 100 };

  it('[OWN-1] asks for no second replacement of one that leaves, until that cannot wait', () => {
    const { feed, actions } = watched({ limits });
    feed(60_000, { memoryMB: 105 });
    expect(actions).toHaveLength(1);
    feed(600_000, { memoryMB: 105 }, { phase: 'leaving' });
    expect(actions).toHaveLength(1);
    feed(30_000, { memoryMB: 150 }, { phase: 'leaving' });
    expect(actions.map(({ isUrgent }) => isUrgent)).toEqual([false, true]);
  });

  it.each(['starting', 'ending', 'foreign'] as const)('[OWN-1] asks for none of one that is %s', (phase) => {
    const { feed, actions, notices } = watched({ limits, phase });
    feed(600_000, { memoryMB: 500 });
    expect(actions).toEqual([]);
    // What a start needs is a start.
    expect(notices.length).toBe(phase === 'starting' ? 0 : 1);
  });

  it('[OWN-1] asks again after growing pauses, and at once when it has become urgent', () => {
    const { feed, actions, now } = watched({ limits });
    const times: number[] = [];
    for (let sample = 0; sample < 240; sample += 1) {
      const before = actions.length;
      feed(5_000, { memoryMB: 105 });
      if (actions.length > before) times.push(now());
    }
    const pauses = times.slice(1).map((time, index) => time - times[index]!);
    expect(pauses).toEqual([30_000, 60_000, 120_000, 240_000, 480_000]);
    const before = actions.length;
    feed(20_000, { memoryMB: 150 });
    expect(actions.slice(before).map(({ isUrgent }) => isUrgent)).toEqual([true]);
  });

  it('[OWN-2] a limit that is lifted has recovered, and is forgotten; one that is set begins anew', () => {
    const { watch, feed, events } = watched({ limits });
    feed(60_000, { memoryMB: 105 });
    feed(5_000, { memoryMB: 105 }, { limits: {} });
    expect(events()).toEqual([
      ['limit:exceeded', 100],
      ['limit:recovered', 100],
    ]);
    feed(60_000, { memoryMB: 105 }, { limits: { memoryMB: Infinity } });
    feed(25_000, { memoryMB: 105 }, { limits: { memoryMB: 90 } });
    expect(events()).toHaveLength(2);
    feed(10_000, { memoryMB: 105 }, { limits: { memoryMB: 90 } });
    expect(events()[2]).toEqual(['limit:exceeded', 90]);
    const notices: MonitorNotice[] = [];
    watch.end(notices);
    watch.end(notices);
    expect(notices).toEqual([
      ['limit:recovered', { kind: 'memory', name: 'a', instanceId: 'a 1', value: 0, limit: 90 }],
    ]);
  });

  it('[OWN-2] a limit that is raised has recovered', () => {
    const { feed, events } = watched({ limits });
    feed(60_000, { memoryMB: 105 });
    feed(30_000, { memoryMB: 105 }, { limits: { memoryMB: 200 } });
    expect(events().map(([event]) => event)).toEqual(['limit:exceeded', 'limit:recovered']);
  });

  it('[OWN-2] another cpuWindow begins anew', () => {
    const cpu = { limits: { cpuPercent: 50, cpuWindow: 60_000 } };
    const { feed, actions } = watched(cpu);
    feed(50_000, { cpu: 80 });
    feed(15_000, { cpu: 80 }, { limits: { cpuPercent: 50, cpuWindow: 20_000 } });
    expect(actions).toEqual([]);
    feed(15_000, { cpu: 80 }, { limits: { cpuPercent: 50, cpuWindow: 20_000 } });
    expect(actions).toHaveLength(1);
  });

  it('[OWN-2] another number of expected processes counts at once; without one it is what the tree has then', () => {
    const { watch, feed } = watched({ expectedProcesses: 1 });
    feed(5_000, { processes: 12 });
    expect(watch.unexpected).toBe(11);
    feed(5_000, { processes: 12 }, { expectedProcesses: 10 });
    expect(watch.unexpected).toBe(2);
    feed(5_000, { processes: 12 }, { expectedProcesses: undefined });
    expect(watch.unexpected).toBe(0);
    feed(5_000, { processes: 15 }, { expectedProcesses: undefined });
    expect(watch.unexpected).toBe(3);
  });

  it('[OWN-3] one of which nothing lives has no sample, and nothing unexpected, until it lives again', () => {
    const { watch, feed } = watched({ expectedProcesses: 1 });
    feed(5_000, { processes: 40 });
    expect([watch.unexpected, watch.sample?.processes]).toEqual([39, 40]);
    watch.vanish();
    expect([watch.unexpected, watch.sample]).toEqual([0, undefined]);
    feed(5_000, { processes: 40 });
    expect(watch.unexpected).toBe(39);
  });

  it('[OWN-3] windows are of the clock of the monitor, and CPU of that of the usage', () => {
    const { feed, actions } = watched({ limits: { memoryMB: 100, cpuPercent: 50, cpuWindow: 20_000 } });
    // A launcher of the host may have a clock that stands still.
    feed(60_000, { memoryMB: 105, at: 7, cpu: 80 });
    expect(actions.map(({ kind }) => kind)).toEqual(['memory']);
  });

  it('[OWN-4] the life of a tree is known to the next ones, unless its definition has changed meanwhile', () => {
    for (const isOutlived of [false, true]) {
      const leaks = new LeakDetector(LEAK);
      const first = watched({}, leaks);
      // It settles at 500 MB: so do the next ones.
      first.feed(1_200_000, { memoryMB: 500 });
      if (isOutlived) first.watch.outlive();
      first.watch.end([]);
      const second = watched({}, leaks);
      for (let sample = 0; sample < 120; sample += 1) second.feed(5_000, { memoryMB: 100 + sample });
      expect(second.notices.some(([event]) => event === 'leak:suspected')).toBe(isOutlived);
    }
  });

  it('[LEAK-4] tells a leak as suspected before it tells it as confirmed, also where noise hides it until it is clear', () => {
    let confirmedAtOnce = 0;
    for (let life = 0; life < 40; life += 1) {
      const leaks = new LeakDetector(LEAK);
      const alone = leaks.watch('alone');
      const random = randomOf(life);
      const { feed, notices } = watched({}, leaks);
      const verdicts: unknown[] = [];
      for (let sample = 1; sample <= 200; sample += 1) {
        const memoryMB = 100 + sample * 0.5 + random() * 20 + 6 * Math.sin(sample / 7 + life);
        feed(5_000, { memoryMB });
        verdicts.push(...[alone.add({ at: sample * 5_000, memoryMB })?.verdict ?? []].flat());
      }
      if (verdicts[0] === 'confirmed') confirmedAtOnce += 1;
      const told = notices.map(([event]) => event);
      for (const [index, event] of told.entries()) {
        if (event === 'leak:confirmed') expect(told[index - 1]).toBe('leak:suspected');
      }
    }
    // It would show nothing if none were.
    expect(confirmedAtOnce).toBeGreaterThan(3);
  });

  it('[OWN-5] is over for a reason as long as that lasts', () => {
    const { watch, feed } = watched({ limits });
    expect(['memory', 'cpu', 'leak'].map((kind) => watch.isOver(kind as never))).toEqual([false, false, false]);
    feed(60_000, { memoryMB: 105 });
    expect(watch.isOver('memory')).toBe(true);
    feed(30_000, { memoryMB: 50 });
    expect(watch.isOver('memory')).toBe(false);
    for (let sample = 0; sample < 200; sample += 1) feed(5_000, { memoryMB: 60 + sample }, { limits: {} });
    expect(watch.isOver('leak')).toBe(true);
  });
});
