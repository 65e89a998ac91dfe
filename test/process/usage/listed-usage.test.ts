import { describe, expect, it } from 'vitest';
import { psPlatform } from '../../../src/process/platforms/ps.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { listedUsage } from '../../../src/process/usage/listed-usage.js';
import { runHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { MARKER } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const row = (pid: number, dead = false): ProcessRow => {
  return { pid, parent: 1, group: pid, session: 0, startTime: 100, dead, command: 'node' };
};

describe('listedUsage', () => {
  it('[USAGE-12] measures each living member, and what is gone is left out', async () => {
    const asked: (readonly number[])[] = [];
    const pids = {
      read: async (list: readonly number[]) => {
        asked.push(list);
        return new Map([[10, { memory: 5_000, ctime: 70 }]]);
      },
    };
    const found = await listedUsage({ ticksPerSecond: 1, pids })
      .reader()
      .read([row(10), row(11), row(12, true)]);
    expect(asked).toEqual([[10, 11]]);
    expect(found.map(({ pid, isZombie, cpu, resident, unique }) => [pid, isZombie, cpu, resident, unique])).toEqual([
      [10, false, 70, 5_000, 5_000],
      [12, true, 0, 0, 0],
    ]);
  });

  it('[USAGE-12] looks for members at most once in an interval, for all trees that are measured at once', () => {
    let time = 0;
    const source = listedUsage({ ticksPerSecond: 1, lookInterval: 60_000, now: () => time });
    const due = (at: number) => {
      time = at;
      return source.isLookDue?.();
    };
    expect([0, 10, 5_000, 59_999, 60_000, 60_020, 60_100].map(due)).toEqual([
      true,
      true,
      false,
      false,
      true,
      true,
      false,
    ]);
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
