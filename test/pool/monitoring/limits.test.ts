import { describe, expect, it } from 'vitest';
import { RawClient } from '../../helpers/client.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { outcome, rejection } from '../../helpers/until.js';

const limited = { command: 'fake', sharing: 'exclusive', memoryLimitMB: 100 } as const;

describe('a tree over a limit that the host has set', () => {
  it('[ENFORCE-1] is replaced after its lease: the lease goes on, and the next one gets another process', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: limited } });
    const lease = await pool.getServer('a');
    server(0).load = { memoryMB: 105 };
    await pass(60_000);
    expect(of('limit:exceeded')).toEqual([
      { kind: 'memory', name: 'a', instanceId: lease.instanceId, value: 105, limit: 100 },
    ]);
    expect(of('action:taken')).toEqual([
      {
        ...{ action: 'replace', name: 'a', instanceId: lease.instanceId, dryRun: false },
        reason: 'it uses 105 MB, more than its limit of 100 MB',
      },
    ]);
    expect(server(0).alive).toBe(true);
    lease.release();
    const next = await pool.getServer('a');
    expect(next.instanceId).not.toBe(lease.instanceId);
    expect(of('server:stopping').map(({ reason }) => reason)).toEqual(['memory-limit']);
    await pass(10_000);
    expect(of('limit:recovered')).toHaveLength(1);
  });

  it('[ENFORCE-1] ends at once from 110 % on: its lease gets the limit and the figure', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { a: limited } });
    const { transport } = await pool.getServer('a');
    await RawClient.connect(transport);
    server(0).load = { memoryMB: 130 };
    await pass(60_000);
    const error = await rejection(transport.send({ jsonrpc: '2.0', method: 'x' }));
    expect(error).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      data: { name: 'a', option: 'memoryLimitMB', value: 130, limit: 100 },
      message: expect.stringMatching(/its processes use 130 MB, more than the 100 of memoryLimitMB/),
    });
  });

  it('[ENFORCE-1] is replaced under its leases when it is shared: the new one starts first, and no call fails', async () => {
    const { pool, pass, server, launcher } = setUpMeasured({ servers: { a: { ...limited, sharing: 'shared' } } });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    server(0).load = { memoryMB: 300 };
    const calls: Promise<unknown>[] = [];
    for (let second = 0; second < 60; second++) {
      calls.push(client.request('echo', { second }));
      await pass(1_000);
    }
    await Promise.all(calls);
    expect(launcher.living).toEqual([server(1)]);
    expect(lease.pid).toBe(server(1).pid);
    expect(await client.request('echo', {})).toBeDefined();
  });

  it("[ENFORCE-1] is shared, but its leases cannot move (onCrash: 'close'): it ends at once from 110 % on, as others do", async () => {
    for (const [memoryMB, alive] of [
      [105, true],
      [130, false],
    ] as const) {
      const { pool, pass, server } = setUpMeasured({
        servers: { a: { ...limited, sharing: 'shared', onCrash: 'close' } },
      });
      const { transport } = await pool.getServer('a');
      server(0).load = { memoryMB };
      await pass(60_000);
      expect(server(0).alive).toBe(alive);
      if (!alive) expect(await rejection(transport.start())).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    }
  });

  it('[ENFORCE-2] is left alone while a start-up spike lasts, and after it', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: limited } });
    await pool.getServer('a');
    server(0).load = { memoryMB: 500 };
    await pass(15_000);
    server(0).load = { memoryMB: 80 };
    await pass(60_000);
    expect(of('limit:exceeded')).toEqual([]);
    expect(server(0).alive).toBe(true);
  });

  it('[ENFORCE-1] by CPU over cpuWindow, or by its number of processes, is replaced, too; its neighbour is not', async () => {
    const servers = {
      cpu: { command: 'fake', cpuLimitPercent: 50, cpuWindow: 20_000 },
      many: { command: 'fake', maxTreeProcesses: 3 },
      good: { command: 'fake', cpuLimitPercent: 50, maxTreeProcesses: 3, memoryLimitMB: 100 },
    };
    const { pool, pass, of, server } = setUpMeasured({ servers });
    for (const name of Object.keys(servers)) await pool.getServer(name);
    server(0).load = { cpuPercent: 90 };
    server(1).load = { processes: 4 };
    server(2).load = { cpuPercent: 40, processes: 3, memoryMB: 70 };
    await pass(90_000);
    expect(of('server:stopping').map(({ name, reason }) => [name, reason])).toEqual(
      expect.arrayContaining([
        ['cpu', 'cpu-limit'],
        ['many', 'process-limit'],
      ]),
    );
    expect(server(2).alive).toBe(true);
    expect(of('limit:exceeded').map(({ name, kind }) => `${name} ${kind}`)).toEqual(
      expect.not.arrayContaining([expect.stringMatching(/^good/)]),
    );
  });
});

describe('all trees together', () => {
  const many = { command: 'fake', sharing: 'exclusive', maxInstances: 10 } as const;

  it('[ENFORCE-3] near the limit idle trees end, the oldest and largest first, and only as many as are needed', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: many }, limits: { memoryLimitMB: 1_000 } });
    const leases = await Promise.all(['w', 'x', 'y', 'z'].map((owner) => pool.getServer('a', { owner })));
    for (const [index, memoryMB] of [200, 300, 100, 350].entries()) server(index).load = { memoryMB };
    for (const index of [0, 1, 2]) leases[index]?.release();
    await pass(60_000);
    expect(of('action:taken').map(({ action, instanceId }) => [action, instanceId])).toEqual([
      ['end-idle', leases[1]?.instanceId],
    ]);
    expect([0, 1, 2, 3].map((index) => server(index).alive)).toEqual([true, false, true, true]);
  });

  it('[ENFORCE-3] at the limit new starts wait, what runs is lent on, and they go on when memory is free again', async () => {
    const { pool, pass, of, server, launcher } = setUpMeasured({
      servers: { a: many, b: { command: 'fake' } },
      limits: { memoryLimitMB: 1_000 },
      acquireTimeout: 600_000,
    });
    await pool.getServer('a');
    server(0).load = { memoryMB: 990 };
    const other = await pool.getServer('b');
    server(1).load = { memoryMB: 30 };
    await pass(45_000);
    const waiting = pool.getServer('a', { owner: 'second' });
    expect(await outcome(waiting)).toBe('pending');
    expect(of('limit:reached')).toContainEqual({ name: 'a', limit: 'memory', value: 1_000 });
    expect(of('action:taken').map(({ action }) => action)).toContain('hold-starts');
    expect(other.name).toBe('b');
    server(0).load = { memoryMB: 300 };
    await pass(30_000);
    await waiting;
    expect(launcher.living.length).toBeGreaterThan(1);
  });

  it('[ENFORCE-4] a default limit ends no tree with a lease; one of the host replaces the largest, and no essential one', async () => {
    const servers = {
      big: { ...many, priority: 'essential' },
      large: { command: 'fake', sharing: 'shared' },
      small: { command: 'fake', sharing: 'shared' },
    } as const;
    const ofHost = { memoryLimitMB: 4_000 };
    for (const [limits, loads, expected] of [
      [{}, [500, 60_000, 100], []],
      [ofHost, [500, 3_800, 100], [['large', 'memory-limit']]],
      // The largest may not end: that is no reason to end another one, which would not help.
      [ofHost, [60_000, 2_000, 100], []],
    ] as const) {
      const { pool, pass, of, server } = setUpMeasured({ servers, limits });
      for (const name of Object.keys(servers)) await pool.getServer(name);
      for (const [index, memoryMB] of loads.entries()) server(index).load = { memoryMB };
      await pass(200_000);
      expect(of('server:stopping').map(({ name, reason }) => [name, reason])).toEqual(expected);
      expect(server(0).alive && server(2).alive).toBe(true);
    }
  });
});

describe('the monitor of a pool', () => {
  it('[ENFORCE-5] with dryRun says the same, and changes nothing', async () => {
    const said: unknown[][] = [];
    for (const dryRun of [false, true]) {
      const { pool, pass, of, server } = setUpMeasured({
        servers: { a: limited, b: { command: 'fake', expectedProcesses: 1 } },
        monitoring: { dryRun, levels: { enforce: true } },
      });
      await pool.getServer('a');
      await pool.getServer('b');
      server(0).load = { memoryMB: 150 };
      await pass(35_000);
      server(1).load = { processes: 60 };
      await pass(5_000);
      said.push(of('action:taken').map(({ action, name, reason, level }) => ({ action, name, reason, level })));
      expect(of('action:taken').every((taken) => taken.dryRun === dryRun)).toBe(true);
      expect(server(0).alive && server(1).alive).toBe(dryRun);
      if (dryRun) await pool.getServer('a', { owner: 'new' });
    }
    const [real = [], dry = []] = said;
    expect(real.length).toBeGreaterThan(1);
    // What is still there is said again at the next sample.
    expect(dry.slice(0, real.length)).toEqual(real);
  });

  it('[ENFORCE-6] that cannot measure says so once, and neither the pool nor a lease notices', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: limited, b: { command: 'fake', sharing: 'shared' } },
    });
    await pool.getServer('a');
    const { transport } = await pool.getServer('b');
    const client = await RawClient.connect(transport);
    server(0).failure = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    server(1).load = { memoryMB: 40 };
    await pass(30_000);
    expect(of('monitor:degraded')).toEqual([
      { part: 'trees', reason: 'too many open files', consequence: expect.stringMatching(/not measured/) },
    ]);
    expect(pool.monitor.latest?.trees.map(({ name, memoryMB }) => [name, memoryMB])).toEqual([['b', 40]]);
    expect(await client.request('echo', {})).toBeDefined();
    server(0).failure = undefined;
    await pass(10_000);
    server(0).failure = new Error('again');
    await pass(10_000);
    expect(of('monitor:degraded')).toHaveLength(2);
  });

  it('[ENFORCE-7] samples only while servers live, and not at all when it is off', async () => {
    const { pool, pass, clock } = setUpMeasured({ servers: { a: { command: 'fake', idleTimeout: 10_000 } } });
    expect(clock.pending).toBe(0);
    (await pool.getServer('a')).release();
    await pass(5_000);
    expect(pool.monitor.latest?.trees).toHaveLength(1);
    await pass(60_000);
    expect(pool.monitor.latest?.trees).toHaveLength(0);
    expect(clock.pending).toBe(0);
    const off = setUpMeasured({ servers: { a: { command: 'fake' } }, monitoring: { enabled: false } });
    await off.pool.getServer('a');
    await off.pass(60_000);
    expect(off.pool.monitor.latest).toBeUndefined();
  });
});
