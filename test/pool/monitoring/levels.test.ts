import { describe, expect, it } from 'vitest';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { flush, rejection } from '../../helpers/until.js';

const one = { command: 'fake', expectedProcesses: 1 } as const;
/** How long a server takes to end, ms: as one that needs its graces. */
const SLOWLY = 5_000;

describe('levels of a pool', () => {
  it('[INCIDENT-1] rise in order, report and end idle trees, call the host at the last one, and are normal again after it', async () => {
    const notices: unknown[] = [];
    const { pool, pass, of, server } = setUpMeasured({
      servers: { forks: one, idle: one, good: one },
      monitoring: { onEmergency: (notice) => notices.push(notice) },
    });
    await pool.getServer('forks');
    await pool.getServer('good');
    (await pool.getServer('idle')).release();
    await pass(10_000);
    // The incident: 30 more every 30 s.
    for (let burst = 0; burst < 4; burst++) {
      for (let helper = 0; helper < 30; helper += 5) {
        server(0).load = { processes: 1 + burst * 30 + helper };
        await pass(5_000);
      }
    }
    expect(of('level:changed').map(({ to }) => to)).toEqual(['warning', 'critical', 'nuclear', 'emergency']);
    expect(of('level:changed')[0]).toMatchObject({ threshold: 15, by: 'processes', names: ['forks'] });
    expect(of('growth:detected').length).toBeGreaterThan(0);
    expect(of('growth:detected').every(({ names }) => names.length === 1 && names[0] === 'forks')).toBe(true);
    expect(notices).toEqual([expect.objectContaining({ level: 'emergency', names: ['forks'], by: 'processes' })]);
    // Without `enforce` no tree with a lease is ended.
    expect([0, 1, 2].map((index) => server(index).alive)).toEqual([true, true, false]);
    server(0).load = { processes: 1 };
    await pass(60_000);
    expect(pool.status().level).toBe('normal');
    expect(of('level:changed').at(-1)).toMatchObject({ from: 'emergency', to: 'normal' });
  });

  it('[EXPECT-1] are not brought by servers that can be used before all their processes run: dedicated ones, browsers', async () => {
    for (const sharing of ['dedicated', 'exclusive'] as const) {
      const { pool, pass, of, server } = setUpMeasured({
        servers: { a: { command: 'fake', sharing, maxInstances: 5 } },
        monitoring: { levels: { enforce: true } },
      });
      for (const index of [0, 1, 2, 3, 4]) {
        await pool.getServer('a', { owner: `${index}` });
        await pass(500);
        server(index).load = { processes: 12 };
      }
      await pass(120_000);
      expect([of('level:changed'), of('server:stopping')]).toEqual([[], []]);
    }
  });

  it('[INCIDENT-2] enforced, end the tree that forks, with the level and the figure for its lease; its neighbours are not ended', async () => {
    const { pool, pass, of, server } = setUpMeasured(
      {
        servers: { forks: one, good: { ...one, sharing: 'shared' }, other: one },
        monitoring: { levels: { enforce: true } },
      },
      {},
      SLOWLY,
    );
    const { transport } = await pool.getServer('forks');
    await pool.getServer('good');
    await pool.getServer('other');
    await pass(10_000);
    // Healthy ones have more than expected now and then, too.
    server(1).load = { processes: 2 };
    server(2).load = { processes: 4 };
    for (let processes = 1; processes < 100 && of('server:stopping').length === 0; processes += 30) {
      server(0).load = { processes };
      await pass(5_000);
    }
    server(2).load = { processes: 5 };
    await pass(6_000);
    expect([0, 1, 2].map((index) => server(index).alive)).toEqual([false, true, true]);
    expect(await rejection(transport.start())).toMatchObject({
      code: 'OVERLOADED',
      data: { name: 'forks', level: expect.stringMatching(/critical|nuclear/), value: expect.any(Number) },
    });
    // Their helpers come while the level lasts by its cooldown.
    server(1).load = { processes: 3 };
    await pass(60_000);
    expect(of('server:stopping').map(({ name, reason }) => [name, reason])).toEqual([['forks', 'overload']]);
    expect(pool.status().level).toBe('normal');
  });

  it('[INCIDENT-3] refuse calls that need a start while they last, and let the others through', async () => {
    const { pool, pass, server, of } = setUpMeasured(
      {
        servers: { forks: { ...one, priority: 'essential' }, good: { ...one, sharing: 'shared' }, late: one },
        monitoring: { levels: { enforce: true } },
      },
      {},
      SLOWLY,
    );
    await pool.getServer('forks');
    await pool.getServer('good');
    await pass(6_000);
    server(1).load = { processes: 3 };
    // An essential server is never ended below `nuclear`.
    server(0).load = { processes: 41 };
    await pass(10_000);
    expect(pool.status().level).toBe('critical');
    // The one that may not end is no reason to end another one.
    expect(of('server:stopping')).toEqual([]);
    expect(await rejection(pool.getServer('late'))).toMatchObject({
      code: 'OVERLOADED',
      data: { level: 'critical', value: 42, limit: 30 },
    });
    expect((await pool.getServer('good')).name).toBe('good');
    server(0).load = { processes: 1 };
    await pass(10_000);
    const { message } = (await rejection(pool.getServer('late'))) as Error;
    const [, left] = /still at level 'critical', now 2 processes.* of which (\d+) s are left$/.exec(message) ?? [];
    expect(Number(left)).toBeGreaterThan(18);
    expect(Number(left)).toBeLessThan(24);
    await pass(60_000);
    expect((await pool.getServer('late')).name).toBe('late');
  });

  it('[INCIDENT-4] at emergency, enforced, end everything; the pool stays open', async () => {
    const { pool, pass, of, server, launcher } = setUpMeasured(
      {
        servers: { forks: { ...one, priority: 'essential' }, good: { ...one, sharing: 'shared' } },
        monitoring: { levels: { enforce: true } },
      },
      {},
      SLOWLY,
    );
    await pool.getServer('forks');
    const { transport } = await pool.getServer('good');
    await pass(6_000);
    server(0).load = { processes: 150 };
    server(1).load = { processes: 2 };
    await pass(12_000);
    expect(launcher.living).toEqual([]);
    expect(of('action:taken').map(({ action }) => action)).toEqual(['refuse-starts', 'end-all']);
    expect(await rejection(transport.start())).toMatchObject({ code: 'OVERLOADED' });
    await pass(60_000);
    expect((await pool.getServer('good')).name).toBe('good');
  });

  it('[INCIDENT-5] take the actions that the host has listed', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { forks: one, idle: one },
      monitoring: { levels: { actions: { warning: ['end-unexpected'], critical: [] } } },
    });
    await pool.getServer('forks');
    (await pool.getServer('idle')).release();
    await pass(6_000);
    server(0).load = { processes: 21 };
    await pass(6_000);
    expect(of('action:taken').map(({ action, level, name }) => [action, level, name])).toEqual([
      ['end-unexpected', 'warning', 'forks'],
    ]);
    expect([0, 1].map((index) => server(index).alive)).toEqual([false, true]);
  });

  it('[INCIDENT-6] plan() shows what a level would end, and that is then ended', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { forks: one, good: one, idle: one },
      monitoring: { levels: { enforce: true, critical: 30 } },
    });
    await pool.getServer('forks');
    await pool.getServer('good');
    (await pool.getServer('idle')).release();
    await pass(6_000);
    server(0).load = { processes: 20 };
    await pass(10_000);
    const planned = pool.plan('level', { level: 'critical' });
    expect(planned.ends.map(({ name, reason }) => [name, reason])).toEqual([
      ['idle', 'overload'],
      ['forks', 'overload'],
    ]);
    expect(of('server:stopping')).toEqual([]);
    server(0).load = { processes: 45 };
    await pass(6_000);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(planned.ends.map(({ name }) => name));
  });
});

it('[INCIDENT-1] a host that asks for 30 more servers every 30 s gets as many as its limits allow, and growth is told in the first burst', async () => {
  const { pool, pass, of, launcher } = setUpMeasured({
    servers: { a: { command: 'fake', maxInstances: Infinity } },
    limits: { maxProcesses: 200, concurrentStarts: Infinity },
    acquireTimeout: 5_000,
  });
  const held: { release(): boolean }[] = [];
  for (let burst = 0; burst < 8; burst++) {
    for (let call = 0; call < 30; call++) {
      void pool.getServer('a', { owner: `${burst}-${call}` }).then(
        (lease) => held.push(lease),
        () => {},
      );
    }
    await flush();
    if (burst === 0) expect(of('growth:detected')).toEqual([{ processes: 30, within: 30_000, names: ['a'] }]);
    await pass(30_000);
  }
  expect(launcher.maximum).toBe(200);
  expect(held).toHaveLength(200);
  expect(pool.status().level).toBe('normal');
  expect(pool.metrics()).toMatchObject({ totalProcesses: 200, activeProcesses: 200, processCountByType: { a: 200 } });
  for (const lease of held) lease.release();
  const report = await pool.endAll({ mode: 'emergency' });
  expect(report.survivors).toEqual([]);
  expect(launcher.living).toEqual([]);
  await pass(20_000);
  expect(pool.metrics()).toMatchObject({ totalProcesses: 0, cleanupSuccessRate: 1 });
});
