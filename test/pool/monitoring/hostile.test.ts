import { describe, expect, it } from 'vitest';
import { PoolEnforcer } from '../../../src/pool/monitoring/pool-enforcer.js';
import { partsOf } from '../../../src/pool/parts-of.js';
import { codeOf } from '../../helpers/fake-pool.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { flush, outcome } from '../../helpers/until.js';

const one = { command: 'fake', expectedProcesses: 1 } as const;
const enforced = { levels: { enforce: true } } as const;
const many = { command: 'fake', sharing: 'exclusive', maxInstances: 10 } as const;

describe('ends that take their time', () => {
  it('[INCIDENT-2] end no neighbour with one helper more, neither while the culprit is dying nor after it', async () => {
    const { pool, pass, of, server } = setUpMeasured(
      { servers: { forks: one, good: { ...one, sharing: 'shared' }, other: one }, monitoring: enforced },
      { end: false },
    );
    for (const name of ['forks', 'good', 'other']) await pool.getServer(name);
    await pass(10_000);
    server(0).load = { processes: 61 };
    for (const index of [1, 2]) server(index).load = { processes: 2 };
    await pass(6_000);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(['forks']);
    server(0).exit();
    await pass(60_000);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(['forks']);
    expect(pool.status().level).toBe('normal');
  });

  it('[ENFORCE-3] end only as many idle trees as needed: what is ending counts as free', async () => {
    const { pool, pass, of, server } = setUpMeasured(
      { servers: { a: { ...many, termGrace: 120_000 } }, limits: { memoryLimitMB: 1_000 } },
      { end: false },
    );
    const leases = await Promise.all(['w', 'x', 'y', 'z'].map((owner) => pool.getServer('a', { owner })));
    for (const [index, memoryMB] of [200, 300, 100, 350].entries()) server(index).load = { memoryMB };
    for (const index of [0, 1, 2]) leases[index]?.release();
    await pass(120_000);
    expect(of('server:stopping')).toHaveLength(1);
  });
});

describe('ends that do not succeed', () => {
  it.each([
    ['was given up', true],
    ['takes longer than its graces', false],
  ])('[ENFORCE-15] of a tree whose end %s nothing comes free by itself: an idle one ends', async (_, isGivenUp) => {
    const { pool, pass, of, server } = setUpMeasured(
      { servers: { a: many, b: many }, limits: { memoryLimitMB: 1_000 }, cleanup: { retries: 0 } },
      { end: false },
    );
    const leases = await Promise.all(['a', 'b'].map((name) => pool.getServer(name)));
    server(0).load = { memoryMB: 700 };
    server(1).load = { memoryMB: 500 };
    void pool.restart('a').catch(() => {});
    for (const lease of leases) lease.release();
    await pass(1_000);
    if (isGivenUp) server(0).survive();
    await pass(35_000);
    expect(pool.status().servers.a?.instances[0]?.state).toBe(isGivenUp ? 'quarantined' : 'stopping');
    await pass(30_000);
    expect(of('action:taken').map(({ action, name }) => [action, name])).toContainEqual(['end-idle', 'b']);
    server(1).exit();
    await pass(60_000);
    expect(of('limit:recovered')).toHaveLength(1);
  });

  it('[ENFORCE-15] a neighbour is not ended while the end of another one is in its graces', async () => {
    const { pool, pass, of, server } = setUpMeasured(
      { servers: { a: { ...many, termGrace: 120_000 }, b: many }, limits: { memoryLimitMB: 1_000 } },
      { end: false },
    );
    const leases = await Promise.all(['a', 'b'].map((name) => pool.getServer(name)));
    server(0).load = { memoryMB: 700 };
    server(1).load = { memoryMB: 500 };
    void pool.restart('a').catch(() => {});
    for (const lease of leases) lease.release();
    await pass(120_000);
    expect(of('action:taken').filter(({ action }) => action === 'end-idle')).toEqual([]);
    await pass(60_000);
    expect(of('action:taken').filter(({ action }) => action === 'end-idle')).toHaveLength(1);
  });
});

describe('a tree over its limit', () => {
  it('[ENFORCE-1] that waits for the end of its lease ends at once when it grows to 110 %, or by a level', async () => {
    for (const load of [{ memoryMB: 150 }, { memoryMB: 105, processes: 60 }]) {
      const { pool, pass, server } = setUpMeasured({
        servers: { a: { ...one, memoryLimitMB: 100 } },
        monitoring: enforced,
      });
      await pool.getServer('a');
      server(0).load = { memoryMB: 105 };
      await pass(60_000);
      expect(server(0).alive).toBe(true);
      server(0).load = load;
      await pass(60_000);
      expect(server(0).alive).toBe(false);
    }
  });

  it('[ENFORCE-2] while it starts is left alone, however long that takes', async () => {
    const { pool, pass, of, server } = setUpMeasured(
      { servers: { a: { ...many, memoryLimitMB: 100, startTimeout: 120_000 } }, acquireTimeout: 120_000 },
      { initialize: false },
    );
    const got = pool.getServer('a');
    await flush();
    server(0).load = { memoryMB: 300 };
    await pass(50_000);
    server(0).load = { memoryMB: 80 };
    server(0).initialize();
    await got;
    await pass(60_000);
    expect(of('server:stopping')).toEqual([]);
  });

  it('[ENFORCE-2] no spike of all trees together ends an idle one', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: many }, limits: { memoryLimitMB: 1_000 } });
    (await pool.getServer('a', { owner: 'x' })).release();
    await pool.getServer('a', { owner: 'y' });
    await pass(60_000);
    server(1).load = { memoryMB: 950 };
    await pass(3_000);
    server(1).load = { memoryMB: 100 };
    await pass(60_000);
    expect(of('server:stopping')).toEqual([]);
  });

  it('[ENFORCE-9] spare instances are not started again and again while idle ones are ended', async () => {
    const { pool, pass, server, launcher } = setUpMeasured({
      servers: { spare: { ...one, minIdle: 2 }, forks: one },
    });
    await pool.getServer('forks');
    await pass(6_000);
    const before = launcher.servers.length;
    const forks = launcher.servers.findIndex(({ definition }) => definition.name === 'forks');
    server(forks).load = { processes: 41 };
    await pass(60_000);
    expect(launcher.servers.length).toBe(before);
    server(forks).load = { processes: 1 };
    await pass(60_000);
    expect(launcher.livingOf('spare')).toHaveLength(2);
  });
});

it('[ENFORCE-9] no spare instance is started again and again while the memory of the host is short', async () => {
  const { pool, pass, of, launcher } = setUpMeasured({
    servers: { a: { ...many, minIdle: 1 } },
    limits: { memoryLimitMB: Infinity },
    monitoring: { hostMemoryPercent: 1 },
  });
  for (let second = 0; second < 180; second += 1) {
    for (const one of launcher.living) Object.assign(one, { load: { memoryMB: 200_000 } });
    await pass(1_000);
  }
  expect(of('limit:exceeded')).toMatchObject([{ kind: 'host-memory' }]);
  expect(launcher.servers).toHaveLength(1);
  // A caller gets one all the same.
  await pool.getServer('a');
});

describe('a measurement', () => {
  it('[ENFORCE-11] during which its tree is restarted by the host replaces it no second time, and says so of none', async () => {
    /** At which measurement the tree is replaced, if the host does not restart it at the given one. */
    const replacedAt = async (restartAt: number, sharing: 'exclusive' | 'shared') => {
      const { pool, pass, of, server } = setUpMeasured({ servers: { a: { ...one, sharing, memoryLimitMB: 100 } } });
      await pool.getServer('a');
      server(0).load = { memoryMB: 105 };
      let measured = 0;
      let found: number | undefined;
      pool.on('action:taken', () => (found ??= measured));
      const usage = server(0).usage.bind(server(0));
      server(0).usage = () => {
        measured += 1;
        if (measured === restartAt) pool.restart('a').catch(() => {});
        return usage();
      };
      await pass(40_000);
      expect(of('action:taken').length).toBe(found === undefined ? 0 : 1);
      return found;
    };
    for (const sharing of ['exclusive', 'shared'] as const) {
      const acting = await replacedAt(0, sharing);
      expect(acting).toBeGreaterThan(3);
      expect(await replacedAt(acting!, sharing)).toBeUndefined();
    }
  });

  it('[ENFORCE-7] that is under way when the monitor is stopped has no effect', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { forks: one, good: one }, monitoring: enforced });
    await pool.getServer('forks');
    await pass(6_000);
    server(0).load = { processes: 200 };
    const sampled = pool.monitor.sample();
    pool.monitor.stop();
    await sampled;
    expect(server(0).alive).toBe(true);
    await pool.getServer('good');
    // A sample of a stopped monitor reports only.
    await pool.monitor.sample();
    await pass(60_000);
    expect(server(0).alive).toBe(true);
    pool.monitor.start();
    await pass(10_000);
    expect(server(0).alive).toBe(false);
  });

  it('[ENFORCE-6] that is not answered holds up nothing, and is told once', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: one, b: one } });
    await pool.getServer('a');
    await pool.getServer('b');
    server(0).isMute = true;
    server(1).load = { memoryMB: 77 };
    await pass(60_000);
    expect(pool.monitor.latest?.trees.find(({ name }) => name === 'b')?.memoryMB).toBe(77);
    expect(of('monitor:degraded')).toHaveLength(1);
  });

  it('[ENFORCE-6] that fails is no proof that memory is free: no limit recovers, and starts wait for some samples more', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: many },
      limits: { memoryLimitMB: 1_000 },
      acquireTimeout: 600_000,
    });
    await pool.getServer('a', { owner: 'x' });
    server(0).load = { memoryMB: 1_050, processes: 40 };
    await pass(45_000);
    const waiting = pool.getServer('a', { owner: 'y' });
    server(0).failure = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    await pass(2_000);
    expect(await outcome(waiting)).toBe('pending');
    expect(pool.metrics().memoryUsageMB).toBe(1_050);
    await pass(120_000);
    expect(await outcome(waiting)).toBe('resolved');
    expect(of('limit:recovered')).toEqual([]);
    server(0).failure = undefined;
    await pass(30_000);
    expect(of('growth:detected')).toEqual([]);
    server(0).load = { memoryMB: 100 };
    await pass(60_000);
    expect(of('limit:recovered')).toHaveLength(1);
  });
});

describe('the gate', () => {
  const monitoring = { enabled: false };
  const open = {
    shortage: undefined,
    overload: undefined,
    holdsSpares: false,
    restingSpares: new Map(),
  };
  const shortage = { memoryMB: 1_000, limitMB: 1_000 };
  const overload = { level: 'critical', measured: 31, threshold: 30, by: 'processes' } as const;
  const enforcerOf = (pool: Parameters<typeof partsOf>[0]) => new PoolEnforcer(partsOf(pool));

  it('[GATE-2] refuses starts also where memory is short', async () => {
    const { pool } = setUpMeasured({ servers: { a: many }, monitoring });
    enforcerOf(pool).setGate({ ...open, shortage, overload });
    expect(await codeOf(pool.getServer('a'))).toBe('OVERLOADED');
  });

  it('[GATE-1] takes no lease back for a caller that waits for memory', async () => {
    const servers = { a: { ...many, leaseIdleTimeout: 1_000 }, b: many };
    const { pool, pass } = setUpMeasured({ servers, monitoring, acquireTimeout: 600_000 });
    for (const owner of ['x', 'y', 'z']) await pool.getServer('a', { owner });
    enforcerOf(pool).setGate({ ...open, shortage });
    const waiting = pool.getServer('b');
    await pass(10_000);
    expect(pool.status().leases).toBe(3);
    enforcerOf(pool).setGate(open);
    await waiting;
  });

  it.each([
    ['wait', { ...open, shortage }],
    ['are refused', { ...open, overload }],
  ])('[GATE-3] callers whose starts stand in line for their turn %s when it closes', async (what, rules) => {
    const { pool, pass, launcher, server } = setUpMeasured(
      { servers: { a: many }, limits: { concurrentStarts: 1 }, monitoring, acquireTimeout: 600_000 },
      { initialize: false },
    );
    const first = pool.getServer('a', { owner: 'x' });
    const second = pool.getServer('a', { owner: 'y' });
    const code = what === 'wait' ? undefined : codeOf(second);
    await flush();
    enforcerOf(pool).setGate(rules);
    server(0).initialize();
    await first;
    await pass(10_000);
    expect(launcher.servers).toHaveLength(1);
    launcher.auto = { ...launcher.auto, initialize: true };
    enforcerOf(pool).setGate(open);
    if (what === 'wait') expect((await second).instanceId).not.toBe((await first).instanceId);
    else expect(await code).toBe('OVERLOADED');
  });

  it('[GATE-4] the successor of a server that has crashed stands in line for its turn, and goes on when it closes', async () => {
    const { pool, pass, launcher, server } = setUpMeasured({
      servers: { a: { command: 'fake', sharing: 'shared' }, b: { command: 'fake', sharing: 'shared' } },
      ...{ limits: { concurrentStarts: 1 }, monitoring },
    });
    const lease = await pool.getServer('a');
    const { instanceId } = lease;
    launcher.auto = { ...launcher.auto, initialize: false };
    const other = pool.getServer('b');
    await flush();
    server(0).exit();
    await pass(2_000);
    expect(launcher.livingOf('a')).toHaveLength(0);
    enforcerOf(pool).setGate({ ...open, overload });
    launcher.auto = { ...launcher.auto, initialize: true };
    server(1).initialize();
    await other;
    await pass(5_000);
    expect(launcher.livingOf('a')).toHaveLength(1);
    expect(lease.instanceId).not.toBe(instanceId);
  });
});
