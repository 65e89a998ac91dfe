import { readdirSync, readlinkSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type MonitorEvents, ResourceMonitor } from '../../src/index.js';
import { MONITOR_EVENTS } from '../../src/pool/events.js';
import type { ServerProcess } from '../../src/process/launcher.js';
import { ProcessWatch } from '../../src/process/strays/watch-processes.js';
import { ManualClock } from '../helpers/clock.js';
import { setUpMeasured } from '../helpers/measured-pool.js';
import { FakeSystem } from '../helpers/strays.js';
import { rejection } from '../helpers/until.js';

const self = { id: 'self', name: 'this test', pid: process.pid };
const EVENTS = ['sample:taken', ...MONITOR_EVENTS] as const satisfies readonly (keyof MonitorEvents)[];

function monitorOf(options: ConstructorParameters<typeof ResourceMonitor>[0] = {}) {
  const monitor = new ResourceMonitor(options);
  onTestFinished(() => monitor.stop());
  const events: { event: keyof MonitorEvents; payload: unknown }[] = [];
  for (const event of EVENTS) monitor.on(event, (payload: unknown) => void events.push({ event, payload }));
  return { monitor, events };
}

/** How many files of that process this one keeps open in /proc. */
function openFilesOf(pid: number): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return links.filter((path) => path.startsWith(`/proc/${pid}/`)).length;
}

const refused = (problem: RegExp) =>
  expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringMatching(problem) });

describe('a monitor without a pool', () => {
  it('[ALONE-1] measures the tree of a pid that was added, and the host', async () => {
    const { monitor, events } = monitorOf();
    expect(monitor.latest).toBeUndefined();
    monitor.add(self);
    const sample = await monitor.sample();
    expect(monitor.latest).toBe(sample);
    expect(events).toEqual([{ event: 'sample:taken', payload: sample }]);
    const [tree] = sample.trees;
    expect(tree).toMatchObject({ id: 'self', name: 'this test', cpuPercent: undefined, level: 'normal' });
    expect(Object.keys(tree ?? {})).toEqual([
      ...['id', 'name', 'memoryMB', 'residentMB', 'cpuPercent', 'processes', 'zombies', 'threads', 'uptime', 'level'],
    ]);
    expect(tree?.memoryMB).toBeGreaterThan(5);
    expect(tree?.residentMB).toBeGreaterThan(tree?.memoryMB ?? Infinity);
    expect(tree?.threads).toBeGreaterThan(1);
    expect(tree?.uptime).toBeGreaterThan(0);
    expect(Object.keys(sample.totals).sort()).toEqual(['cpuPercent', 'memoryMB', 'processes', 'unexpected']);
    expect(sample.totals.processes).toBe(tree?.processes);
    expect(sample.host.memory?.totalMB).toBeGreaterThan(0);
    expect(Math.abs(Date.now() - sample.at)).toBeLessThan(600_000);
  });

  it('[ALONE-1] until it is removed, and then keeps nothing open of it', async () => {
    const { monitor } = monitorOf();
    const before = openFilesOf(process.pid);
    monitor.add(self);
    await monitor.sample();
    expect(openFilesOf(process.pid)).toBeGreaterThan(before);
    expect(monitor.remove('other')).toBe(false);
    expect(monitor.remove('self')).toBe(true);
    expect(openFilesOf(process.pid)).toBe(before);
    expect((await monitor.sample()).trees).toEqual([]);
    monitor.add({ ...self, name: 'again' });
    expect((await monitor.sample()).trees.map(({ name }) => name)).toEqual(['again']);
  });

  it('[ALONE-2] samples from start() to stop(), holds no host, and keeps nothing open then', async () => {
    const { monitor } = monitorOf({ interval: 100 });
    const before = openFilesOf(process.pid);
    monitor.add(self);
    monitor.start();
    monitor.start();
    await new Promise<void>((taken) => void monitor.once('sample:taken', () => taken()));
    await new Promise<void>((taken) => void monitor.once('sample:taken', () => taken()));
    monitor.stop();
    expect(openFilesOf(process.pid)).toBe(before);
    // It is still there, and is measured again on request.
    expect((await monitor.sample()).trees).toHaveLength(1);
    monitor.start();
    await new Promise<void>((taken) => void monitor.once('sample:taken', () => taken()));
    expect(monitor.latest?.trees).toHaveLength(1);
  });

  it('[ALONE-3] tells that a limit is exceeded, and takes no action', async () => {
    const { monitor, events } = monitorOf({ interval: 100, windows: { short: 200, long: 600 } });
    monitor.add({ ...self, limits: { memoryLimitMB: 1 } });
    monitor.start();
    const exceeded = await new Promise((resolve) => void monitor.once('limit:exceeded', resolve));
    expect(exceeded).toEqual({
      ...{ kind: 'memory', name: 'this test', instanceId: 'self', limit: 1 },
      value: expect.any(Number),
    });
    expect(monitor.latest?.trees[0]?.level).toBe('exceeded');
    await new Promise<void>((taken) => void monitor.once('sample:taken', () => taken()));
    expect(events.filter(({ event }) => event === 'action:taken')).toEqual([]);
  });

  it('[ALONE-1] refuses what it cannot measure, and an id that is taken', async () => {
    const { monitor } = monitorOf();
    monitor.add(self);
    expect(() => monitor.add(self)).toThrow(refused(/the id 'self' is taken; remove\(\) it first/));
    // Larger than any pid of Linux.
    expect(() => monitor.add({ ...self, id: 'b', pid: 5_000_000 })).toThrow(refused(/there is no process 5000000/));
    // Node has threads.
    const thread = readdirSync('/proc/self/task')
      .map(Number)
      .find((id) => id !== process.pid);
    expect(() => monitor.add({ ...self, id: 'b', pid: thread as number })).toThrow(
      refused(new RegExp(`${thread} is the id of a thread; add its process ${process.pid}`)),
    );
    expect(() => monitor.add({ ...self, id: 'b', pid: 0 })).toThrow(refused(/pid/));
    expect(() => monitor.add({ id: 'b', name: 'b' } as never)).toThrow(refused(/pid/));
    expect(() => monitor.add({ ...self, id: 'b', limits: { memoryLimitMB: -1 } })).toThrow(refused(/limits\./));
    expect(() => monitor.remove(undefined as never)).toThrow(refused(/monitor\.remove\(\)/));
    expect(() => new ResourceMonitor({ interval: 0, growth: { processes: 0 } })).toThrow(
      refused(/(?=.*interval)(?=.*growth\.processes)/s),
    );
  });

  it('[ALONE-4] shows a host its documented methods, and nothing of a pool', () => {
    const { monitor } = monitorOf();
    const own = Object.getOwnPropertyNames(ResourceMonitor.prototype).sort();
    expect(own).toEqual([
      ...['add', 'constructor', 'include', 'inspect', 'latest', 'level', 'remove', 'sample', 'start', 'stop', 'toJSON'],
    ]);
    const { monitor: ofPool } = setUpMeasured({ servers: { a: { command: 'fake' } } }).pool;
    expect(ofPool).toBeInstanceOf(ResourceMonitor);
    expect(Object.keys(ofPool).sort()).toEqual(Object.keys(monitor).sort());
    expect(Object.keys(monitor).every((name) => name.startsWith('_'))).toBe(true);
  });
});

it('[SHOW-1] a monitor is written to a log with its level and its last sample', async () => {
  const { monitor } = monitorOf();
  expect(JSON.parse(JSON.stringify(monitor))).toEqual({ level: 'normal' });
  monitor.add(self);
  const { totals } = await monitor.sample();
  expect(JSON.parse(JSON.stringify(monitor))).toMatchObject({ level: 'normal', latest: { totals } });
  expect(inspect(monitor)).toContain("level: 'normal'");
});

describe('inspect()', () => {
  it('[ALONE-5] shows open descriptors and proportional memory of a tree that was added', async () => {
    const { monitor } = monitorOf();
    monitor.add(self);
    const { descriptors, pssMB, hidden, residentMB, processes } = (await monitor.inspect('self')) ?? {};
    expect(hidden).toBe(0);
    expect(descriptors).toBeGreaterThanOrEqual(readdirSync('/proc/self/fd').length - 20);
    expect(pssMB).toBeGreaterThan(5);
    expect(pssMB).toBeLessThan(1.5 * (residentMB ?? 0));
    expect(processes).toBeGreaterThan(0);
    expect(await monitor.inspect('other')).toBeUndefined();
    expect(await rejection(monitor.inspect(7 as never))).toEqual(refused(/monitor\.inspect\(\)/));
    // It is no sample.
    expect(monitor.latest).toBeUndefined();
  });

  it('[ALONE-5] and of an instance of a pool; undefined where its launcher cannot tell', async () => {
    const { pool, server } = setUpMeasured({ servers: { a: { command: 'fake' } } });
    const { instanceId } = await pool.getServer('a');
    expect(await pool.monitor.inspect(instanceId)).toBeUndefined();
    const detailed = { ...(await (server(0) as ServerProcess).usage?.()), descriptors: 12, pssMB: 8.5, hidden: 0 };
    Object.assign(server(0), { detailedUsage: async () => detailed });
    expect(await pool.monitor.inspect(instanceId)).toEqual(detailed);
    server(0).exit({ exitCode: 1 });
    expect(await pool.monitor.inspect('mcp-0-0')).toBeUndefined();
  });

  it('[ALONE-5] waits 30 s for a tree that does not answer, and keeps no timer', async () => {
    const { pool, server, clock } = setUpMeasured({ servers: { a: { command: 'fake' } } });
    const { instanceId } = await pool.getServer('a');
    const before = clock.pending;
    Object.assign(server(0), { detailedUsage: () => new Promise(() => {}) });
    const failure = rejection(pool.monitor.inspect(instanceId));
    await clock.advanceAndFlush(29_999);
    const first = await Promise.race([failure, Promise.resolve('it still waits')]);
    expect(first).toBe('it still waits');
    await clock.advanceAndFlush(1);
    expect(await failure).toMatchObject({ message: 'no answer within 30000 ms' });
    expect(clock.pending).toBe(before);
  });

  it('[USAGE-17] refuses what is no usage', async () => {
    const { pool, server } = setUpMeasured({ servers: { a: { command: 'fake' } } });
    const { instanceId } = await pool.getServer('a');
    const usage = await (server(0) as ServerProcess).usage?.();
    for (const detailed of [{}, 'x', { ...usage, descriptors: Number.NaN, pssMB: 1, hidden: 0 }]) {
      Object.assign(server(0), { detailedUsage: async () => detailed });
      expect(await rejection(pool.monitor.inspect(instanceId))).toMatchObject({
        message: expect.stringMatching(/^the launcher reports/),
      });
    }
  });
});

describe('include()', () => {
  /** A watch that lists each of these processes. */
  async function watchOf(...pids: number[]): Promise<ProcessWatch> {
    const system = new FakeSystem();
    for (const pid of pids) system.add(pid, {}, { memory: 50 });
    const clock = new ManualClock();
    const dependencies = { clock, system: async () => system, uptime: () => 1_000_000 };
    const watch = new ProcessWatch({ memoryLimitMB: 10 }, dependencies);
    onTestFinished(() => watch.stop());
    await clock.advanceAndFlush(0);
    expect(watch.latest?.processes).toHaveLength(pids.length);
    return watch;
  }

  const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
  const unexpected = async (monitor: ResourceMonitor) => (await monitor.sample()).totals.unexpected;

  it('[ALONE-6] counts what watches list as unexpected, each process once, until they are stopped', async () => {
    const { monitor } = monitorOf();
    const [first, second] = [await watchOf(201, 202), await watchOf(202, 203)];
    monitor.include(first);
    monitor.include(first);
    expect(await unexpected(monitor)).toBe(2);
    monitor.include(second);
    expect(await unexpected(monitor)).toBe(3);
    first.stop();
    expect(await unexpected(monitor)).toBe(2);
    second.stop();
    expect(await unexpected(monitor)).toBe(0);
  });

  it('[ALONE-6] and they raise the level of a pool', async () => {
    const { pool, pass, of } = setUpMeasured({ servers: { a: { command: 'fake' } } });
    await pool.getServer('a');
    pool.monitor.include(await watchOf(...range(201, 16)));
    await pass(10_000);
    expect(of('level:changed')).toMatchObject([{ from: 'normal', to: 'warning', measured: 16, by: 'processes' }]);
    expect(pool.status().level).toBe('warning');
  });

  it('[ALONE-6] a bounded number of them, and nothing else', async () => {
    const { monitor } = monitorOf();
    for (const wrong of [undefined, null, {}, 'watch', [], monitor])
      expect(() => monitor.include(wrong as never)).toThrow(refused(/what watchProcesses\(\) returns/));
    const watch = await watchOf(201);
    const others = Array.from({ length: 100 }, () => ({ latest: undefined, isStopped: false }));
    for (const one of others) monitor.include(one as never);
    expect(() => monitor.include(watch)).toThrow(refused(/100 watches are included already/));
    // One that is included already is no other one; each that is stopped makes room.
    monitor.include(others[0] as never);
    if (others[1]) others[1].isStopped = true;
    monitor.include(watch);
    expect(await unexpected(monitor)).toBe(1);
  });
});

describe('what looks like a watch, and is none', () => {
  /** One that lists what `list` returns, and says by `stop` whether it is stopped. */
  function watchBy(list: () => unknown, stop: () => boolean = () => false) {
    return {
      get latest() {
        return list();
      },
      get isStopped() {
        return stop();
      },
    } as never;
  }

  it('[ALONE-8] whose list cannot be read counts as empty, which is told once; the others count', async () => {
    const { monitor } = monitorOf();
    const degraded: unknown[] = [];
    monitor.on('monitor:degraded', (event) => void degraded.push(event));
    const unexpected = async () => (await monitor.sample()).totals.unexpected;
    let isBroken = true;
    const fails = () => {
      if (isBroken) throw new Error('no list');
      return { processes: [{ pid: 8, startTime: 1 }] };
    };
    monitor.include(watchBy(() => ({ processes: [{ pid: 7, startTime: 1 }] })));
    monitor.include(watchBy(fails));
    for (let sample = 0; sample < 3; sample += 1) expect(await unexpected()).toBe(1);
    const consequence = 'what this watch lists does not count as unexpected';
    const event = { part: 'watches', reason: 'no list', consequence };
    expect(degraded).toEqual([event]);
    isBroken = false;
    expect(await unexpected()).toBe(2);
    isBroken = true;
    expect(await unexpected()).toBe(1);
    expect(degraded).toEqual([event, event]);
  });

  it('[ALONE-8] whatever it lists, it breaks no sample', async () => {
    const { monitor } = monitorOf();
    const degraded: unknown[] = [];
    monitor.on('monitor:degraded', (event) => void degraded.push(event));
    const thrown = () => {
      throw undefined;
    };
    const lists = [1, 'x', { processes: 5 }, { processes: 'x' }, { processes: [null] }, { processes: [{}] }];
    for (const list of lists) monitor.include(watchBy(() => list));
    monitor.include(watchBy(thrown));
    expect(() => monitor.include(new Proxy({}, { has: thrown }) as never)).toThrow(/what watchProcesses\(\) returns/);
    monitor.include(watchBy(() => undefined, thrown));
    monitor.include(watchBy(() => ({ processes: [{ pid: 7, startTime: 1 }] })));
    expect((await monitor.sample()).totals.unexpected).toBe(1);
    expect(degraded).toHaveLength(1);
  });
});

describe('what is added to the monitor of a pool', () => {
  it('[ALONE-7] is measured, and counts for no total, no level and no figure of the pool', async () => {
    // This process has more than 15 MB, and more than one thread.
    const { pool, pass, of } = setUpMeasured({ servers: { a: { command: 'fake' } }, limits: { memoryLimitMB: 15 } });
    const { instanceId } = await pool.getServer('a');
    pool.monitor.add({ ...self, expectedProcesses: 1, limits: { memoryLimitMB: 1 } });
    // The id of an instance, too: the figures of the instance stay its own.
    pool.monitor.add({ ...self, id: instanceId, name: 'a' });
    await pass(60_000);
    expect(pool.monitor.latest?.trees.map(({ id }) => id)).toEqual([instanceId, 'self', instanceId]);
    expect(pool.monitor.latest?.totals).toMatchObject({ processes: 1, unexpected: 0, memoryMB: 10 });
    expect(pool.metrics()).toMatchObject({ totalProcesses: 1, memoryUsageMB: 10, processCountByType: { a: 1 } });
    expect(pool.status().servers.a?.instances).toMatchObject([{ memoryMB: 10, treeProcesses: 1 }]);
    expect(pool.status().level).toBe('normal');
    expect(of('action:taken')).toEqual([]);
    expect((await pool.getServer('a')).name).toBe('a');
  });

  it('[ALONE-7] and is given back when the pool ends', async () => {
    const { pool, pass } = setUpMeasured({ servers: { a: { command: 'fake' } } });
    const before = openFilesOf(process.pid);
    (await pool.getServer('a')).release();
    pool.monitor.add(self);
    await pass(10_000);
    expect(openFilesOf(process.pid)).toBeGreaterThan(before);
    await pool.shutdown();
    expect(openFilesOf(process.pid)).toBe(before);
  });
});
