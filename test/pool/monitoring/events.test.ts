import { describe, expect, it } from 'vitest';
import type { MonitorEvents, PoolEvents } from '../../../src/index.js';
import { setUp } from '../../helpers/fake-pool.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';

const one = { command: 'fake', expectedProcesses: 1, sharing: 'exclusive' } as const;

/** The fields of a payload, without those that are undefined. */
const fieldsOf = (payload: object) =>
  Object.entries(payload)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name)
    .sort();

describe('the events of a monitor', () => {
  it('[GROWTH-4] tell a burst of spawns, also of servers that cannot be measured', async () => {
    const { pool, clock } = setUp({
      servers: { a: { command: 'fake', sharing: 'exclusive', maxInstances: 60 } },
      limits: { maxProcesses: 60, concurrentStarts: 60 },
    });
    const told: PoolEvents['growth:detected'][] = [];
    pool.on('growth:detected', (growth) => void told.push(growth));
    await Promise.all(Array.from({ length: 40 }, (_, index) => pool.getServer('a', { owner: `${index}` })));
    expect(told).toEqual([{ processes: 30, within: 30_000, names: ['a'] }]);
    // There is nothing to sample.
    await clock.advanceAndFlush(60_000);
    expect(pool.monitor.latest).toBeUndefined();
  });

  it('[EVENTS-1] come from the pool, too, all but sample:taken', async () => {
    const { pool, pass } = setUpMeasured({ servers: { a: one } });
    const seen = new Set<string>();
    const record = (from: string, event: string) => () => void seen.add(`${from} ${event}`);
    for (const event of ['sample:taken', 'level:changed', 'limit:exceeded', 'growth:detected'] as const) {
      pool.monitor.on(event, record('monitor', event));
      pool.on(event as keyof PoolEvents, record('pool', event));
    }
    pool.monitor.add({ id: 'x', name: 'x', pid: process.pid });
    await pool.getServer('a');
    await pass(10_000);
    expect([...seen]).toEqual(['monitor sample:taken']);
  });

  it('[EVENTS-1] say of a level from, to, the figure, the threshold, and the servers that have most', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: one, b: one, c: one },
      monitoring: { levels: { enforce: true } },
    });
    for (const name of ['a', 'b', 'c']) await pool.getServer(name);
    await pass(6_000);
    server(0).load = { processes: 6 };
    server(1).load = { processes: 41 };
    await pass(6_000);
    const [first] = of('level:changed');
    expect(first).toEqual({
      ...{ from: 'normal', to: expect.stringMatching(/warning|critical/), by: 'processes', measured: 45 },
      ...{ threshold: expect.any(Number), names: ['b', 'a'] },
    });
    expect(of('growth:detected')).toEqual([{ processes: 45, within: expect.any(Number), names: ['b', 'a'] }]);
    const action = of('action:taken').find(({ name }) => name === 'b');
    expect(fieldsOf(action ?? {})).toEqual(['action', 'dryRun', 'instanceId', 'level', 'name', 'reason']);
    expect(action).toMatchObject({ action: 'end-growing', level: 'critical', dryRun: false });
    expect(action?.reason).toMatch(/45 processes more than expected \(it begins at 30\)/);
  });

  it('[EVENTS-1] say of a limit its kind, the server, the figure and the limit, in turn', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: { ...one, memoryLimitMB: 100, cpuLimitPercent: 50, cpuWindow: 20_000, maxTreeProcesses: 2 } },
      monitoring: { dryRun: true },
    });
    const { instanceId } = await pool.getServer('a');
    await pass(6_000);
    server(0).load = { memoryMB: 200, cpuPercent: 80, processes: 4 };
    await pass(60_000);
    server(0).load = {};
    await pass(60_000);
    const ofA = { name: 'a', instanceId };
    const [exceeded, recovered] = [of('limit:exceeded'), of('limit:recovered')];
    expect([...exceeded].sort((a, b) => a.kind.localeCompare(b.kind))).toEqual([
      { kind: 'cpu', ...ofA, value: expect.closeTo(80, 0), limit: 50 },
      { kind: 'memory', ...ofA, value: 200, limit: 100 },
      { kind: 'processes', ...ofA, value: 4, limit: 2 },
    ]);
    expect(recovered.map(({ kind }) => kind).sort()).toEqual(['cpu', 'memory', 'processes']);
    expect(recovered.every(({ value, limit }) => value < limit)).toBe(true);
  });

  it('[EVENTS-1] say of a limit of all trees its kind, the figure and the limit, without a server', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: one }, limits: { memoryLimitMB: 100 } });
    await pool.getServer('a');
    server(0).load = { memoryMB: 105 };
    await pass(40_000);
    const [exceeded] = of('limit:exceeded');
    expect(exceeded).toMatchObject({ kind: 'total-memory', value: 105, limit: 100 });
    expect(fieldsOf(exceeded ?? {})).toEqual(['kind', 'limit', 'value']);
  });

  it('[EVENTS-1] say of what cannot be measured the part, the reason, and what follows', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: one } });
    await pool.getServer('a');
    server(0).failure = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    await pass(20_000);
    const degraded: MonitorEvents['monitor:degraded'] | undefined = of('monitor:degraded')[0];
    expect(degraded).toEqual({
      ...{ part: 'trees', reason: 'too many open files' },
      consequence: 'some trees are not measured, and their limits are not watched',
    });
    expect(of('monitor:degraded')).toHaveLength(1);
  });

  it('[EVENTS-2] a monitor keeps no host alive: none of its timers holds it', async () => {
    const { pool, pass, clock } = setUpMeasured({ servers: { a: one } });
    await pool.getServer('a');
    await pass(10_000);
    expect(pool.monitor.latest).toBeDefined();
    expect(clock.pending).toBeGreaterThan(0);
    expect(clock.holding).toBe(0);
  });
});

describe("plan('level')", () => {
  it('[PLAN-4] is by default that of critical, and refuses what is no level', async () => {
    const { pool, pass } = setUpMeasured({
      servers: { idle: one, used: one },
      monitoring: { levels: { enforce: true } },
    });
    await pool.getServer('used');
    (await pool.getServer('idle')).release();
    await pass(6_000);
    expect(pool.plan('level')).toEqual(pool.plan('level', { level: 'critical' }));
    expect(pool.plan('level').ends.map(({ name }) => name)).toEqual(['idle']);
    expect(pool.plan('level', { level: 'warning' }).ends).toEqual([]);
    expect(
      pool
        .plan('level', { level: 'emergency' })
        .ends.map(({ name }) => name)
        .sort(),
    ).toEqual(['idle', 'used']);
    for (const level of ['normal', 'red', 3])
      expect(() => pool.plan('level', { level: level as never })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTIONS' }),
      );
  });
});
