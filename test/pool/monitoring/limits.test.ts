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
    const { pool, pass, of, server } = setUpMeasured(
      { servers: { a: many }, limits: { memoryLimitMB: 1_000 } },
      {},
      5_000,
    );
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
    expect(launcher.living).toHaveLength(3);
  });

  const usual = { command: 'fake', sharing: 'shared' } as const;
  const [alone, ofHost] = [{ ...many, sharing: 'exclusive' } as const, { memoryLimitMB: 4_000 }];
  it.each([
    ['a default limit ends no tree with a lease', {}, [500, 60_000, 100], usual, []],
    ['one of the host replaces the largest', ofHost, [500, 3_800, 100], usual, ['large']],
    ['one that is far exceeded ends it at once', ofHost, [500, 4_800, 100], alone, ['large']],
    ['nor one that would not help, where the largest is essential', ofHost, [60_000, 2_000, 100], usual, []],
    ['nor at once', ofHost, [60_000, 2_000, 100], alone, []],
    ['nor another one while the largest waits for the end of its lease', ofHost, [500, 3_700, 100], alone, []],
  ])('[ENFORCE-4] %s', async (_, limits, loads, definition, ends) => {
    const servers = { vital: { ...usual, priority: 'essential' }, large: definition, small: definition } as const;
    const { pool, pass, of, server } = setUpMeasured({ servers, limits }, {}, 5_000);
    for (const name of Object.keys(servers)) await pool.getServer(name);
    for (const [index, memoryMB] of loads.entries()) server(index).load = { memoryMB };
    await pass(600_000);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(ends);
    expect(of('action:taken').filter(({ action }) => action === 'replace').length).toBeLessThanOrEqual(1);
    expect(server(0).alive && server(2).alive).toBe(true);
  });

  it('[ENFORCE-4] a limit that cannot be kept replaces the largest less and less often', async () => {
    const { pool, pass, of, launcher, server } = setUpMeasured({
      servers: { large: usual, small: usual },
      limits: { memoryLimitMB: 4_000 },
    });
    const lease = await pool.getServer('large');
    await pool.getServer('small');
    const replaced: number[] = [];
    for (let minute = 0; minute < 60; minute += 1) {
      for (const [index, { definition }] of launcher.servers.entries())
        server(index).load = { memoryMB: definition.name === 'large' ? 4_100 : 100 };
      await pass(60_000);
      if (of('server:stopping').length > replaced.length) replaced.push(minute);
    }
    expect(replaced.length).toBeGreaterThan(1);
    expect(replaced.length).toBeLessThan(9);
    expect(of('server:stopping').every(({ name }) => name === 'large')).toBe(true);
    expect(lease.name).toBe('large');
  });
});

describe('the monitor of a pool', () => {
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

  it('[USAGE-17] figures of a launcher that are no amounts are a tree that cannot be measured', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: { command: 'fake' }, b: { command: 'fake', memoryLimitMB: 100 } },
    });
    await pool.getServer('a');
    await pool.getServer('b');
    server(1).load = { memoryMB: 105 };
    const usages = [{}, 'x', { ...(await server(0).usage()), memoryMB: Number.NaN }];
    let asked = 0;
    Object.assign(server(0), { usage: async () => usages[asked++ % usages.length] });
    await pass(60_000);
    expect(of('monitor:degraded')).toMatchObject([
      { part: 'trees', reason: expect.stringMatching(/^the launcher reports/) },
    ]);
    expect(pool.monitor.latest?.totals).toMatchObject({ memoryMB: 105, processes: 1 });
    expect(of('limit:exceeded')).toMatchObject([{ kind: 'memory', name: 'b' }]);
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

  it('[LOOP-8] limits of all trees are told as recovered before nothing is measured, and the next start begins anew', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: { command: 'fake', sharing: 'exclusive' }, b: { command: 'fake', idleTimeout: 1e9 } },
      limits: { memoryLimitMB: 1_000, cpuLimitPercent: 50 },
      monitoring: { levels: { cooldown: 500 } },
    });
    await pool.getServer('a');
    server(0).load = { memoryMB: 1_050, cpuPercent: 60 };
    await pass(60_000);
    expect(of('limit:exceeded').map(({ kind }) => kind)).toEqual(['total-memory', 'total-cpu']);
    server(0).exit();
    const violations = () => pool.metrics().limitViolations;
    expect(violations()).toBe(2);
    await pass(30_000);
    const { latest } = pool.monitor;
    await pass(60_000);
    // Nothing is measured any more.
    expect(pool.monitor.latest).toBe(latest);
    expect(of('limit:recovered')).toEqual([
      { kind: 'total-memory', value: 0, limit: 1_000 },
      { kind: 'total-cpu', value: 0, limit: 50 },
    ]);
    const before = of('action:taken').length;
    await pool.getServer('b');
    // It starts with as much as that: no spike is a violation.
    server(1).load = { memoryMB: 1_050 };
    await pass(6_000);
    server(1).load = { memoryMB: 50 };
    await pass(60_000);
    expect([of('action:taken').length, of('limit:recovered').length, violations()]).toEqual([before, 2, 2]);
  });
});
