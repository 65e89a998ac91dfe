import { describe, expect, it, onTestFinished } from 'vitest';
import type { MonitoringOptions } from '../../src/config/monitoring-options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { GateState } from '../../src/monitor/finding.js';
import { MonitorLoop } from '../../src/monitor/monitor-loop.js';
import type { TreeSource } from '../../src/monitor/monitored-host.js';
import type { MonitoredTree, TreeLimits } from '../../src/monitor/monitored-tree.js';
import { deferred } from '../../src/runtime/deferred.js';
import { ManualClock } from '../helpers/clock.js';

const QUIET = { memoryMB: 100, residentMB: 100, cpuTime: 0, zombies: 0, threads: 1, uptime: 0 };

/** The loop of a monitor over one tree, or none. */
function looped(options: MonitoringOptions = {}) {
  const clock = new ManualClock();
  const state = {
    ...{ processes: 1, isThere: true, asked: 0, failure: undefined as Error | undefined },
    limits: {} as TreeLimits,
  };
  const held = { until: Promise.resolve() };
  const counts = { unmeasured: undefined as Error | undefined, unclaimed: () => 0 };
  const usage = async () => {
    state.asked += 1;
    await held.until;
    if (counts.unmeasured) throw counts.unmeasured;
    return { ...QUIET, at: clock.now(), processes: state.processes };
  };
  const tree: MonitoredTree = {
    ...{ id: 'a 1', name: 'a', priority: 'normal', phase: 'ready', leases: 1, idleSince: 0, limits: {} },
    ...{ expectedProcesses: 1, replacesLeaks: false, answered: undefined, usage },
    detailedUsage: () => Promise.resolve(undefined),
  };
  const limits = { memoryMB: { limit: Infinity, isSet: false }, cpuPercent: { limit: Infinity, isSet: false } };
  const source: TreeSource = {
    ...{ isPool: true, clock, unclaimed: () => counts.unclaimed(), limits: () => limits },
    trees: () => {
      if (state.failure) throw state.failure;
      return state.isThere ? [{ ...tree, limits: state.limits }] : [];
    },
  };
  const events: [event: string, payload: unknown][] = [];
  let samples = 0;
  // Without `enabled` an option that acts would be refused.
  const { enabled = true, ...others } = options;
  const { monitoring } = resolvePoolOptions({ monitoring: { hostMemoryPercent: 100, ...others } });
  const settings = { ...monitoring, enabled };
  const loop = new MonitorLoop(settings, source, (event, payload) => {
    if (event === 'sample:taken') samples += 1;
    else events.push([event, payload]);
  });
  const gates: GateState[] = [];
  const ended: string[] = [];
  loop.connect({
    isActive: true,
    run: (task) => task(),
    taskOf: (action) => ({ phase: 'ending', run: () => void ended.push(action.action) }),
    setGate: (gate) => void gates.push(gate),
  });
  onTestFinished(() => {
    loop.stop();
    expect(clock.pending).toBe(0);
  });
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) await clock.advanceAndFlush(Math.min(left, 500));
  };
  const isRefusing = () => gates.at(-1)?.overload !== undefined;
  const named = (event: string) => events.filter(([name]) => name === event).map(([, payload]) => payload);
  const changes = () => named('level:changed').map((change) => (change as { to: string }).to);
  const told = { samples: () => samples, named, changes };
  return { loop, clock, state, held, counts, pass, isRefusing, ...told, ended, gates };
}

describe('MonitorLoop', () => {
  it('[LOOP-1] samples after a spawn until nothing lives, and again after the next one', async () => {
    const { loop, clock, state, pass } = looped();
    expect([clock.pending, loop.latest]).toEqual([0, undefined]);
    for (let round = 0; round < 2; round += 1) {
      state.isThere = true;
      loop.noteSpawn('a', true);
      await pass(6_000);
      expect(loop.latest?.trees).toHaveLength(1);
      state.isThere = false;
      await pass(30_000);
      expect(loop.latest?.trees).toEqual([]);
      expect(clock.pending).toBe(0);
    }
  });

  it('[LOOP-1] started by the host it samples until stop(); a spawn does not begin it again', async () => {
    const { loop, state, pass, clock } = looped();
    state.isThere = false;
    loop.start();
    loop.start();
    await pass(60_000);
    const { latest } = loop;
    expect(latest).toBeDefined();
    loop.stop();
    loop.stop();
    state.isThere = true;
    loop.noteSpawn('a', true);
    await pass(60_000);
    expect(loop.latest).toBe(latest);
    expect(clock.pending).toBe(0);
    loop.start();
    await pass(6_000);
    expect(loop.latest?.trees).toHaveLength(1);
  });

  it('[LOOP-2] stop() frees starts and ends the level, also while a sample is under way', async () => {
    const { loop, state, held, pass, isRefusing, changes, ended } = looped({ levels: { enforce: true } });
    loop.noteSpawn('a', true);
    await pass(6_000);
    state.processes = 61;
    await pass(6_000);
    expect([loop.level, isRefusing(), ended[0]]).toEqual(['nuclear', true, 'end-unexpected']);
    const before = ended.length;
    loop.stop();
    expect([loop.level, isRefusing()]).toEqual(['normal', false]);
    expect(changes()).toHaveLength(2);
    loop.start();
    await pass(4_000);
    const answer = deferred<void>();
    held.until = answer.promise;
    await pass(2_000);
    loop.stop();
    answer.resolve();
    await pass(1_000);
    expect([loop.level, isRefusing(), ended.length]).toEqual(['normal', false, before]);
    // What the sample has found is told, and so is that it has no effect.
    expect(changes()).toEqual(['nuclear', 'normal', 'nuclear', 'normal']);
  });

  it('[LOOP-2] a sample that the host takes while it is stopped leaves no level', async () => {
    const { loop, state, pass, changes, ended } = looped({ levels: { enforce: true } });
    loop.noteSpawn('a', true);
    await pass(6_000);
    loop.stop();
    state.processes = 61;
    await loop.sample();
    await pass(60_000);
    expect([loop.level, ended]).toEqual(['normal', []]);
    expect(changes()).toEqual(['nuclear', 'normal']);
    // It is reached again, with what follows from it.
    loop.start();
    await pass(6_000);
    expect([loop.level, ended[0]]).toEqual(['nuclear', 'end-unexpected']);
  });

  it('[LOOP-2] while it is stopped no burst of spawns is told', async () => {
    const { loop, pass, named } = looped();
    const burst = () => {
      for (let spawn = 0; spawn < 40; spawn += 1) loop.noteSpawn('a', true);
    };
    loop.stop();
    burst();
    await pass(1_000);
    expect(named('growth:detected')).toEqual([]);
    loop.start();
    burst();
    expect(named('growth:detected')).toHaveLength(1);
  });

  it('[LOOP-2] [LIMIT-2] a limit that a sample finds exceeded while stop() is called is not, since nothing says when it recovers', async () => {
    const { loop, state, held, pass, named } = looped();
    state.limits = { memoryMB: 50 };
    loop.noteSpawn('a', true);
    await pass(29_000);
    expect(named('limit:exceeded')).toEqual([]);
    const answer = deferred<void>();
    held.until = answer.promise;
    await pass(6_000);
    loop.stop();
    answer.resolve();
    await pass(1_000);
    const told = () => [named('limit:exceeded').length, named('limit:recovered').length];
    expect(told()).toEqual([0, 0]);
    loop.start();
    await pass(60_000);
    expect(told()).toEqual([1, 0]);
    loop.stop();
    expect(told()).toEqual([1, 1]);
    await pass(60_000);
    expect(told()).toEqual([1, 1]);
  });

  it('[LOOP-4] a tree that has not answered is not asked again before it does', async () => {
    const { loop, state, held, pass, named } = looped();
    const answer = deferred<void>();
    loop.start();
    await pass(6_000);
    expect(state.asked).toBe(1);
    held.until = answer.promise;
    await pass(600_000);
    expect(state.asked).toBe(2);
    expect(named('monitor:degraded')).toMatchObject([{ part: 'trees', reason: 'no answer within 10000 ms' }]);
    held.until = Promise.resolve();
    answer.resolve();
    await pass(60_000);
    expect(state.asked).toBeGreaterThan(10);
    // Of a tree that is gone nothing is kept.
    held.until = new Promise(() => {});
    await pass(60_000);
    const before = state.asked;
    state.isThere = false;
    await pass(60_000);
    state.isThere = true;
    await pass(60_000);
    expect(state.asked).toBe(before + 1);
  });

  it('[LOOP-5] where it is not enabled, it measures and tells after start(), and does nothing', async () => {
    const calls: unknown[] = [];
    const onEmergency = (notice: unknown) => void calls.push(notice);
    const { loop, state, pass, changes, ended, gates, named } = looped({
      ...{ enabled: false, levels: { enforce: true }, onEmergency },
    });
    loop.noteSpawn('a', true);
    await pass(60_000);
    expect(loop.latest).toBeUndefined();
    loop.start();
    await pass(6_000);
    state.processes = 161;
    await pass(6_000);
    expect(changes()).toEqual(['emergency']);
    expect([ended, calls, named('action:taken')]).toEqual([[], [], []]);
    expect(gates.every(({ overload }) => overload === undefined)).toBe(true);
    for (let spawn = 0; spawn < 40; spawn += 1) loop.noteSpawn('a', true);
    expect(named('growth:detected')).toHaveLength(1);
  });

  it('[GROWTH-4] bursts of servers that cannot be measured are told, and begin no samples', async () => {
    const { loop, clock, named } = looped();
    for (let spawn = 0; spawn < 40; spawn += 1) loop.noteSpawn('a', false);
    expect(named('growth:detected')).toMatchObject([{ processes: 30, names: ['a'] }]);
    expect(clock.pending).toBe(0);
  });

  it('[LOOP-6] a host that samples in a loop goes on with all else', async () => {
    const { loop } = looped();
    let turns = 0;
    const count = () => {
      turns += 1;
      if (turns < 10) setImmediate(count);
    };
    setImmediate(count);
    let taken = 0;
    for (; turns < 10 && taken < 1_000; taken += 1) await loop.sample();
    expect([turns, taken < 100]).toEqual([10, true]);
  });

  it('[LOOP-6] calls in one turn share a sample, also one that waits for the next turn', async () => {
    const { loop, samples } = looped();
    const first = loop.sample();
    expect(loop.sample()).toBe(first);
    await first;
    const second = loop.sample();
    expect(loop.sample()).toBe(second);
    expect(await second).not.toBe(await first);
    expect(samples()).toBe(2);
  });

  it('[LOOP-6] stop() while a sample waits for the next turn: it has no effect', async () => {
    const { loop, state, changes, ended } = looped({ levels: { enforce: true } });
    loop.start();
    await loop.sample();
    state.processes = 61;
    const waiting = loop.sample();
    loop.stop();
    await waiting;
    expect([loop.level, ended]).toEqual(['normal', []]);
    expect(changes()).toEqual(['nuclear', 'normal']);
  });

  it('[LOOP-7] a start in the tick of a sample of the host: it is told once, and has its effect', async () => {
    const { loop, state, samples, changes, ended } = looped({ levels: { enforce: true } });
    state.processes = 61;
    const taken = loop.sample();
    loop.noteSpawn('a', true);
    await taken;
    expect([samples(), loop.level, changes()]).toEqual([1, 'nuclear', ['nuclear']]);
    expect(ended).toEqual(['end-unexpected']);
  });

  it('[LOOP-3] samples that fail are told once; after three in a row starts are free, until one succeeds', async () => {
    const { loop, state, pass, isRefusing, named } = looped({ levels: { enforce: true } });
    loop.start();
    await pass(6_000);
    for (let round = 1; round <= 2; round += 1) {
      state.processes = 61;
      await pass(6_000);
      expect(isRefusing()).toBe(true);
      state.failure = new Error('no memory');
      await pass(9_000);
      expect(isRefusing()).toBe(true);
      await pass(60_000);
      expect(isRefusing()).toBe(false);
      expect(named('monitor:degraded')).toHaveLength(round);
      state.failure = undefined;
      await pass(6_000);
      expect(isRefusing()).toBe(true);
    }
  });

  it('[LEVEL-6] a level that samples do not show any more makes them no more frequent, until one shows it again', async () => {
    const { loop, state, counts, pass, samples } = looped();
    const during = async (ms: number) => {
      const before = samples();
      await pass(ms);
      return samples() - before;
    };
    loop.noteSpawn('a', true);
    state.processes = 61;
    await pass(10_000);
    expect(await during(60_000)).toBeGreaterThanOrEqual(55);
    counts.unmeasured = errorOf('EACCES');
    await pass(5_000);
    expect(await during(60_000)).toBeLessThanOrEqual(12);
    expect(loop.level).toBe('nuclear');
    counts.unmeasured = undefined;
    await pass(6_000);
    expect(await during(60_000)).toBeGreaterThanOrEqual(55);
    // What is known reaches it, whatever else is not.
    counts.unclaimed = failing('EMFILE');
    expect(await during(60_000)).toBeGreaterThanOrEqual(55);
  });

  it('[ENFORCE-6] where processes of no living tree cannot be counted, those of the last time count: the level stays', async () => {
    const { loop, counts, pass, named } = looped();
    loop.start();
    counts.unclaimed = () => 20;
    await pass(20_000);
    expect(loop.level).toBe('warning');
    counts.unclaimed = failing('EMFILE');
    await pass(120_000);
    expect(loop.level).toBe('warning');
    expect(loop.latest?.totals.unexpected).toBe(20);
    counts.unclaimed = () => 0;
    await pass(60_000);
    expect(loop.level).toBe('normal');
    expect(named('monitor:degraded')).toMatchObject([{ part: 'unclaimed', reason: 'EMFILE' }]);
  });

  it('[ENFORCE-6] one cause is told once, also when neither trees nor what is in none can be measured', async () => {
    const { loop, counts, pass, named } = looped();
    loop.start();
    counts.unmeasured = errorOf('EMFILE');
    counts.unclaimed = failing('EMFILE');
    await pass(60_000);
    expect(named('monitor:degraded')).toMatchObject([{ part: 'trees' }]);
    // Now one of both works.
    counts.unmeasured = undefined;
    await pass(60_000);
    expect(named('monitor:degraded')).toMatchObject([{ part: 'trees' }, { part: 'unclaimed' }]);
    // Both fail again, for two causes.
    counts.unclaimed = () => 0;
    await pass(60_000);
    counts.unmeasured = errorOf('EACCES');
    counts.unclaimed = failing('EMFILE');
    await pass(60_000);
    expect(named('monitor:degraded').slice(2)).toMatchObject([{ part: 'trees' }, { part: 'unclaimed' }]);
  });
});

function errorOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function failing(code: string): () => never {
  return () => {
    throw errorOf(code);
  };
}
