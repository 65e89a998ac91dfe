import { describe, expect, it, onTestFinished } from 'vitest';
import type { MonitoringOptions } from '../../src/config/monitoring-options.js';
import { resolveMonitoringOptions } from '../../src/config/resolve-monitoring.js';
import type { GateState } from '../../src/monitor/finding.js';
import { MonitorLoop } from '../../src/monitor/monitor-loop.js';
import type { TreeSource } from '../../src/monitor/monitored-host.js';
import type { MonitoredTree } from '../../src/monitor/monitored-tree.js';
import { deferred } from '../../src/runtime/deferred.js';
import { ManualClock } from '../helpers/clock.js';

const QUIET = { memoryMB: 100, residentMB: 100, cpuTime: 0, zombies: 0, threads: 1, uptime: 0 };

/** The loop of a monitor over one tree, or none. */
function looped(options: MonitoringOptions = {}) {
  const clock = new ManualClock();
  const state = { processes: 1, isThere: true, failure: undefined as Error | undefined };
  const held = { until: Promise.resolve() };
  const counts = { unmeasured: undefined as Error | undefined, strays: () => 0 };
  const usage = async () => {
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
    ...{ isPool: true, clock, strays: () => counts.strays(), limits: () => limits },
    trees: () => {
      if (state.failure) throw state.failure;
      return state.isThere ? [tree] : [];
    },
  };
  const events: [event: string, payload: unknown][] = [];
  const settings = resolveMonitoringOptions({ hostMemoryPercent: 100, ...options });
  const loop = new MonitorLoop(settings, source, (event, payload) => {
    if (event !== 'sample:taken') events.push([event, payload]);
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
  return { loop, clock, state, held, counts, pass, isRefusing, named, ended };
}

describe('MonitorLoop', () => {
  it('[LOOP-1] samples after a spawn until nothing lives, and again after the next one', async () => {
    const { loop, clock, state, pass } = looped();
    expect([clock.pending, loop.latest]).toEqual([0, undefined]);
    for (let round = 0; round < 2; round += 1) {
      state.isThere = true;
      loop.noteSpawn('a');
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
    loop.noteSpawn('a');
    await pass(60_000);
    expect(loop.latest).toBe(latest);
    expect(clock.pending).toBe(0);
    loop.start();
    await pass(6_000);
    expect(loop.latest?.trees).toHaveLength(1);
  });

  it('[LOOP-2] stop() frees starts and ends the level, also while a sample is under way', async () => {
    const { loop, state, held, pass, isRefusing, named, ended } = looped({ levels: { enforce: true } });
    loop.noteSpawn('a');
    await pass(6_000);
    state.processes = 61;
    await pass(6_000);
    expect([loop.level, isRefusing(), ended[0]]).toEqual(['nuclear', true, 'end-unexpected']);
    const before = ended.length;
    loop.stop();
    expect([loop.level, isRefusing()]).toEqual(['normal', false]);
    expect(named('level:changed')).toHaveLength(2);
    loop.start();
    await pass(4_000);
    const answer = deferred<void>();
    held.until = answer.promise;
    await pass(2_000);
    loop.stop();
    answer.resolve();
    await pass(1_000);
    expect([loop.level, isRefusing(), ended.length]).toEqual(['normal', false, before]);
    expect(named('level:changed')).toHaveLength(2);
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

  it('[ENFORCE-6] where processes of no living tree cannot be counted, those of the last time count: the level stays', async () => {
    const { loop, counts, pass, named } = looped();
    loop.start();
    counts.strays = () => 20;
    await pass(20_000);
    expect(loop.level).toBe('warning');
    counts.strays = failing('EMFILE');
    await pass(120_000);
    expect(loop.level).toBe('warning');
    expect(loop.latest?.totals.unexpected).toBe(20);
    counts.strays = () => 0;
    await pass(60_000);
    expect(loop.level).toBe('normal');
    expect(named('monitor:degraded')).toMatchObject([{ part: 'strays', reason: 'EMFILE' }]);
  });

  it('[ENFORCE-6] one cause is told once, also when neither trees nor what is in none can be measured', async () => {
    const { loop, counts, pass, named } = looped();
    loop.start();
    counts.unmeasured = errorOf('EMFILE');
    counts.strays = failing('EMFILE');
    await pass(60_000);
    expect(named('monitor:degraded')).toMatchObject([{ part: 'trees' }]);
    // Now one of both works.
    counts.unmeasured = undefined;
    await pass(60_000);
    expect(named('monitor:degraded')).toMatchObject([{ part: 'trees' }, { part: 'strays' }]);
    // Both fail again, for two causes.
    counts.strays = () => 0;
    await pass(60_000);
    counts.unmeasured = errorOf('EACCES');
    counts.strays = failing('EMFILE');
    await pass(60_000);
    expect(named('monitor:degraded').slice(2)).toMatchObject([{ part: 'trees' }, { part: 'strays' }]);
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
