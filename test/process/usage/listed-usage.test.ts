import { describe, expect, it } from 'vitest';
import { psPlatform } from '../../../src/process/platforms/ps.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { listedUsage } from '../../../src/process/usage/listed-usage.js';
import { TreeMeter } from '../../../src/process/usage/tree-meter.js';
import { runHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { MARKER } from '../../helpers/processes.js';
import { rejection, until } from '../../helpers/until.js';

const rowOf = (pid: number, dead = false): ProcessRow => {
  return { pid, parent: 1, group: pid, session: 0, startTime: 100, dead, command: 'node' };
};

describe('listedUsage', () => {
  it('[USAGE-12] measures each living member, and what is gone is left out', async () => {
    const asked: (readonly number[])[] = [];
    const pids = {
      read: async (list: readonly number[]) => {
        asked.push(list);
        return new Map([[10, { memory: 5_000, ctime: 70, elapsed: Number.NaN }]]);
      },
    };
    const found = await listedUsage({ ticksPerSecond: 1, pids })
      .reader()
      .read([rowOf(10), rowOf(11), rowOf(12, true)]);
    expect(asked).toEqual([[10, 11]]);
    expect(found.map(({ pid, isZombie, cpu, resident, unique }) => [pid, isZombie, cpu, resident, unique])).toEqual([
      [10, false, 70, 5_000, 5_000],
      [12, true, 0, 0, 0],
    ]);
  });

  it('[USAGE-12] takes another process with the number of a member for no member', async () => {
    const now = 1_000_000_000_000;
    const began = rowOf(10).startTime * 1_000;
    const found = async (elapsed: number) => {
      const pids = { read: async () => new Map([[10, { memory: 9e9, ctime: 70, elapsed }]]) };
      const source = listedUsage({ ticksPerSecond: 1, pids, date: () => now });
      return (await source.reader().read([rowOf(10)])).length;
    };
    expect(await found(now - began)).toBe(1);
    // Whole seconds, and the tool takes its time.
    expect(await found(now - began + 5_000)).toBe(1);
    expect(await found(now - began - 3_000)).toBe(1);
    expect(await found(now - began - 3_001)).toBe(0);
    expect(await found(0)).toBe(0);
    // The tool has not said it.
    expect(await found(Number.NaN)).toBe(1);
  });

  it('[USAGE-12] looks for members at most once in an interval, for all trees that are measured in a tick', async () => {
    let time = 0;
    const pids = { read: async () => new Map() };
    const source = listedUsage({ ticksPerSecond: 1, lookInterval: 60_000, pids, now: () => time });
    const looks: string[] = [];
    const meters = ['a', 'b', 'c'].map((name) => {
      const meter = new TreeMeter({ source, age: 0, now: () => time });
      const find = () => {
        looks.push(name);
        // PowerShell blocks the host.
        time += 500;
        return [];
      };
      return () => meter.measure(find);
    });
    const measureAt = async (at: number) => {
      time = at;
      looks.length = 0;
      await Promise.all(meters.map((measure) => measure()));
      return looks.join('');
    };
    expect(await measureAt(0)).toBe('abc');
    expect(await measureAt(5_000)).toBe('');
    // The interval begins after the look.
    expect(await measureAt(61_499)).toBe('');
    expect(await measureAt(61_500)).toBe('abc');
    expect(await measureAt(70_000)).toBe('');
  });

  it('[USAGE-12] starts a tool once in a tick when it fails: one that hangs would block the host for each tree', async () => {
    let looks = 0;
    const pids = { read: async () => new Map() };
    const source = listedUsage({ ticksPerSecond: 1, lookInterval: 60_000, pids });
    const meters = [1, 2, 3].map(() => new TreeMeter({ source, age: 0 }));
    const find = () => {
      looks += 1;
      throw new Error('no answer for 10 s');
    };
    const measure = () => Promise.all(meters.map((meter) => rejection(meter.measure(find))));
    expect((await measure()).map(String)).toEqual(Array(3).fill('Error: no answer for 10 s'));
    expect(looks).toBe(1);
    await measure();
    expect(looks).toBe(2);
  });

  it('[USAGE-12] measures a real tree by ps and pidusage', async () => {
    const code = 'globalThis.held = Buffer.alloc(1e8, 1); setInterval(() => {}, 1e3)';
    const args = ['-c', `'${process.execPath}' -e '${code}'; true`];
    const server = launch({ command: '/bin/sh', args, inheritEnv: [MARKER] }, { platform: psPlatform() });
    const usage = await until('the memory is there', async () => {
      const now = await server.process.usage?.();
      return now !== undefined && now.memoryMB > 95 && now;
    });
    expect(usage).toMatchObject({ processes: 2, zombies: 0 });
    expect((await server.process.detailedUsage?.())?.pssMB).toBeUndefined();
  });

  it('[USAGE-12] loads pidusage nowhere where there is /proc', async () => {
    const { stdout, stderr } = await runHost(`
      const { createRequire } = await import('node:module');
      const { linux } = await import(SRC + '/process/platforms/linux.js');
      const { psPlatform } = await import(SRC + '/process/platforms/ps.js');
      const { watchedTree } = await import(SRC + '/process/tree/watched-tree.js');
      const loaded = () => Object.keys(createRequire(SRC + '/').cache).some((file) => file.includes('/pidusage/'));
      const measure = async (platform) => {
        const tree = watchedTree(platform, process.pid);
        const { processes } = await tree.usage();
        tree.close();
        return processes >= 1;
      };
      console.log(await measure(linux), loaded(), await measure(psPlatform()), loaded());
    `);
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('true false true true');
  });
});
