import { describe, expect, it } from 'vitest';
import type { CleanupReport } from '../../../src/index.js';
import { CleanupTimes } from '../../../src/pool/monitoring/figures.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';

const one = { command: 'fake', expectedProcesses: 1 } as const;

describe('metrics() of a pool', () => {
  it('[FIGURES-1] are 0 before the first sample', () => {
    const { pool } = setUpMeasured({ servers: { a: one } });
    expect(pool.metrics()).toMatchObject({
      ...{ totalProcesses: 0, activeProcesses: 0, healthyProcesses: 0, memoryUsageMB: 0, averageCpuUsage: 0 },
      ...{ uptimeMinutes: 0, processCountByType: {}, limitViolations: 0, monitorActions: 0 },
      ...{ cleanupSuccessRate: 1, cleanupTime: { p50: 0, p95: 0 } },
    });
  });

  it('[FIGURES-1] are sums and means over the trees of the last sample, by processes of the system', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { a: one, b: { ...one, minIdle: 2 } } });
    await pool.getServer('a', { owner: 'x' });
    await pool.getServer('a', { owner: 'y' });
    server(0).load = { memoryMB: 100, cpuPercent: 90, processes: 3 };
    server(1).load = { memoryMB: 60, cpuPercent: 30, processes: 2 };
    server(2).load = { memoryMB: 40, cpuPercent: 0, processes: 1 };
    server(3).load = { memoryMB: 20, cpuPercent: 0, processes: 1 };
    await pass(90_000);
    const names = [0, 1, 2, 3].map((index) => server(index).definition.name);
    const figures = pool.metrics();
    const byType = { a: 0, b: 0 };
    for (const [index, name] of names.entries()) byType[name as 'a' | 'b'] += server(index).load.processes ?? 0;
    expect(figures).toMatchObject({
      ...{ totalProcesses: 7, activeProcesses: 4, healthyProcesses: 4, memoryUsageMB: 220, uptimeMinutes: 1.5 },
      processCountByType: byType,
    });
    expect(figures.averageCpuUsage).toBeCloseTo(30, 5);
    const { a, b } = pool.status().servers;
    const instances = [...(a?.instances ?? []), ...(b?.instances ?? [])];
    const shown = instances.map(({ pid, memoryMB, cpuPercent, treeProcesses }) => [
      ...[pid, memoryMB, Math.round(cpuPercent ?? -1), treeProcesses],
    ]);
    const expected = [0, 1, 2, 3]
      .map(server)
      .map(({ pid, load }) => [...[pid, load.memoryMB, load.cpuPercent, load.processes]]);
    expect(shown).toEqual(expect.arrayContaining(expected));
    expect(shown).toHaveLength(4);
  });

  it('[FIGURES-1] are without the trees that have ended since: no later sample takes them out of a closed pool', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { a: one, b: one } });
    const lease = await pool.getServer('a');
    await pool.getServer('b');
    server(0).load = { memoryMB: 100, cpuPercent: 90, processes: 3 };
    server(1).load = { memoryMB: 60, cpuPercent: 30, processes: 2 };
    await pass(90_000);
    const ended = pool.waitFor('server:stopped');
    lease.release();
    void pool.restart('a').catch(() => {});
    await ended;
    expect(pool.metrics()).toMatchObject({ totalProcesses: 2, memoryUsageMB: 60, processCountByType: { b: 2 } });
    expect(pool.metrics().averageCpuUsage).toBeCloseTo(30, 5);
    await pool.shutdown();
    expect(pool.metrics()).toMatchObject({ totalProcesses: 0, memoryUsageMB: 0, averageCpuUsage: 0 });
    expect(pool.metrics().processCountByType).toEqual({});
  });

  it('[FIGURES-1] show an instance that was not measured yet as undefined', async () => {
    const { pool } = setUpMeasured({ servers: { a: one } });
    await pool.getServer('a');
    expect(pool.status().servers.a?.instances[0]).toMatchObject({
      ...{ memoryMB: undefined, cpuPercent: undefined, treeProcesses: undefined },
    });
  });

  it('[FIGURES-1] count trees that can be used, and not those that start or end', async () => {
    const { pool, pass, launcher } = setUpMeasured({ servers: { a: one } }, { end: false });
    const lease = await pool.getServer('a', { owner: 'x' });
    await pool.getServer('a', { owner: 'y' });
    launcher.auto = { ...launcher.auto, initialize: false };
    const starting = pool.getServer('a', { owner: 'z', timeout: 1_000 });
    starting.catch(() => {});
    await pass(500);
    expect(pool.metrics()).toMatchObject({ activeProcesses: 2, healthyProcesses: 2 });
    void pool.restart('a').catch(() => {});
    lease.release();
    await pass(500);
    expect(pool.metrics()).toMatchObject({ activeProcesses: 1, healthyProcesses: 1 });
  });

  it('[FIGURES-2] count violations of limits and actions, those of a dry run not', async () => {
    const counts = [];
    for (const dryRun of [false, true]) {
      const { pool, pass, server, of } = setUpMeasured({
        servers: { a: { ...one, memoryLimitMB: 100, sharing: 'exclusive' } },
        monitoring: { dryRun },
      });
      await pool.getServer('a');
      server(0).load = { memoryMB: 200 };
      await pass(60_000);
      expect(of('action:taken').every((action) => action.dryRun === dryRun)).toBe(true);
      const { limitViolations, monitorActions } = pool.metrics();
      counts.push({ limitViolations, monitorActions });
    }
    expect(counts).toEqual([
      { limitViolations: 1, monitorActions: 1 },
      { limitViolations: 1, monitorActions: 0 },
    ]);
  });

  it('[FIGURES-3] tell how many ends were proven, and how long they took', () => {
    const times = new CleanupTimes();
    const end = (duration: number, confirmed = true) => times.add({ confirmed, duration } as CleanupReport);
    for (let duration = 1; duration <= 100; duration++) end(duration);
    expect(times.percentiles).toEqual({ p50: 50, p95: 95 });
    expect(times.successRate).toBe(1);
    // An end that was not proven has no duration.
    for (let failure = 0; failure < 25; failure++) end(1_000_000, false);
    expect(times.percentiles).toEqual({ p50: 50, p95: 95 });
    expect(times.successRate).toBe(0.8);
  });
});
