import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PoolEvents, PooledServer, PoolOptions } from '../../../src/index.js';
import { MCPServerPool } from '../../../src/index.js';
import { resultOf } from '../../../src/pool/health/service-level-feed.js';
import { RawClient } from '../../helpers/client.js';
import { codeOf, failStart, leases, setUp, shared } from '../../helpers/fake-pool.js';
import { connect, giveUp } from '../../helpers/give-up.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { record } from '../../helpers/real-pool.js';
import { endGlobalPoolAfterEach, program, Watched } from '../../helpers/stdio.js';
import { flush, outcome } from '../../helpers/until.js';

endGlobalPoolAfterEach();

const one = { command: 'fake', maxInstances: 1 } as const;
const unmonitored = { monitoring: { enabled: false } } as const;
const LOOK = 10_000;

const levelsOf = (pool: MCPServerPool, name?: string) => {
  const { pool: all, servers } = pool.serviceLevels();
  return name === undefined ? all : servers[name];
};

describe('calls of getServer()', () => {
  it('[SLO-5] count when they are served: at once, or after some time', async () => {
    const { pool, clock } = setUp({ servers: { a: one, b: one } });
    let lease = await pool.getServer('a');
    for (let count = 0; count < 8; count += 1) {
      lease.release();
      lease = await pool.getServer('a');
    }
    const waits = pool.getServer('a');
    await clock.advanceAndFlush(700);
    lease.release();
    await waits;
    (await pool.getServer('b')).release();
    expect(levelsOf(pool, 'a')?.acquireTime).toMatchObject({ samples: 10, p50: 0, isMet: false });
    expect(levelsOf(pool, 'a')?.acquireTime.p99).toBeGreaterThan(690);
    expect(levelsOf(pool, 'a')?.acquireTime.p99).toBeLessThan(710);
    expect(levelsOf(pool, 'b')?.acquireTime).toMatchObject({ samples: 1, isMet: true });
    expect(levelsOf(pool)?.acquireTime.samples).toBe(11);
    expect(levelsOf(pool)?.availabilityPercent).toMatchObject({ actual: 100, samples: 11 });
  });

  it('[SLO-5] [SLO-2] that wait for a start of their server are not slow: 12 servers that need 3 s breach nothing', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `server-${index}`);
    const servers = Object.fromEntries(names.map((name) => [name, one]));
    const { pool, clock, launcher } = setUp({ servers, limits: { concurrentStarts: 4 } }, { initialize: false });
    const breached = record(pool, 'service-level:breached');
    const calls = names.map((name) => pool.getServer(name));
    await flush();
    while (launcher.servers.length < 12 || launcher.living.some(({ received }) => received.length < 2)) {
      await clock.advanceAndFlush(3_000);
      for (const server of launcher.living) if (server.received.length < 2) server.initialize();
      await flush();
    }
    await Promise.all(calls);
    for (let look = 0; look < 60; look += 1) await clock.advanceAndFlush(LOOK);
    expect(breached).toEqual([]);
    expect(levelsOf(pool)?.acquireTime).toMatchObject({ samples: 12, isMet: true, budgetLeft: 1 });
  });

  it('[SLO-5] count with the time that they waited before their server was started', async () => {
    const { pool, clock, launcher } = setUp({ servers: { a: one, b: one }, limits: { maxProcesses: 1 } });
    const lease = await pool.getServer('a');
    const waits = pool.getServer('b');
    await clock.advanceAndFlush(700);
    launcher.auto = { ...launcher.auto, initialize: false };
    lease.release();
    await flush();
    await clock.advanceAndFlush(5_000);
    launcher.last.initialize();
    await waits;
    expect(levelsOf(pool, 'b')?.acquireTime).toMatchObject({ samples: 1, isMet: false });
    expect(levelsOf(pool, 'b')?.acquireTime.p99).toBeGreaterThan(690);
    expect(levelsOf(pool, 'b')?.acquireTime.p99).toBeLessThan(710);
  });

  it('[SLO-5] are counted each once, also those of a server that is removed, and defined anew', async () => {
    const { pool, clock } = setUp({ servers: { a: one, b: one } });
    for (let round = 0; round < 3; round += 1) {
      for (let count = 0; count < 4; count += 1) (await pool.getServer('a')).release();
      pool.serviceLevels();
      await clock.advanceAndFlush(LOOK);
      (await pool.getServer('a')).release();
      await pool.removeServer('a');
      pool.addServer('a', one);
    }
    expect(levelsOf(pool)?.acquireTime.samples).toBe(15);
    expect(pool.metrics().acquired).toBe(15);
    // What it was not asked for before its removal is known for the pool only.
    expect(levelsOf(pool, 'a')?.acquireTime.samples).toBeGreaterThanOrEqual(12);
  });

  it('[SLO-5] are counted for their server, also when its process has ended meanwhile', async () => {
    const { pool } = setUp({ servers: { a: one } });
    for (let round = 1; round <= 3; round += 1) {
      for (let count = 0; count < 4; count += 1) (await pool.getServer('a')).release();
      await pool.restart('a');
      if (round === 2) pool.serviceLevels();
    }
    for (const levels of [levelsOf(pool), levelsOf(pool, 'a')]) expect(levels?.acquireTime.samples).toBe(12);
  });

  it('[SLO-3] that fail count; those that the host gives up, or that its shutdown ends, do not', async () => {
    const { pool, clock, launcher } = setUp({ servers: { a: one, removed: one }, maxWaiting: 2 });
    const lease = await pool.getServer('a');
    const held = await pool.getServer('removed');
    const abort = new AbortController();
    const aborted = codeOf(pool.getServer('a', { signal: abort.signal }));
    const late = codeOf(pool.getServer('a', { timeout: 1_000 }));
    expect(await codeOf(pool.getServer('a'))).toBe('QUEUE_FULL');
    abort.abort();
    await clock.advanceAndFlush(1_000);
    expect(await aborted).toBe('ACQUIRE_ABORTED');
    expect(await late).toBe('ACQUIRE_TIMEOUT');
    const unknown = codeOf(pool.getServer('removed'));
    const removing = pool.removeServer('removed');
    expect(await unknown).toBe('UNKNOWN_SERVER');
    held.release();
    await removing;
    // Two were served, and two failed.
    expect(levelsOf(pool)?.availabilityPercent).toMatchObject({ samples: 4, actual: 50 });
    const closed = codeOf(pool.getServer('a'));
    await flush();
    const closing = pool.shutdown();
    expect(await closed).toBe('POOL_CLOSED');
    lease.release();
    await closing;
    expect(launcher.living).toEqual([]);
    expect(levelsOf(pool)?.availabilityPercent.samples).toBe(4);
  });

  it('[SLO-3] for a server that does not start count as failed', async () => {
    const { pool, launcher } = setUp({ servers: { a: one } }, { initialize: false });
    await failStart(pool, launcher);
    expect(levelsOf(pool, 'a')?.availabilityPercent).toMatchObject({ samples: 1, actual: 0, isMet: false });
  });
});

describe('requests', () => {
  it('[SLO-3] count by how they end', () => {
    expect(resultOf('ok', undefined)).toBe('answered');
    expect(resultOf('tool-error', undefined)).toBe('answered');
    // Wrong parameters, and a method or a resource that there is not, are faults of the request.
    for (const code of [-32_602, -32_601, -32_002]) expect(resultOf('error', code)).toBe('answered');
    for (const code of [-32_603, -32_000, 1, undefined]) expect(resultOf('error', code)).toBe('failed');
    expect(resultOf('lost', -32_000)).toBe('lost');
    expect(resultOf('timeout', undefined)).toBe('lost');
    expect(resultOf('cancelled', undefined)).toBeUndefined();
  });

  it('[SLO-5] are counted, with their time, for the server and the pool', async () => {
    const { pool, clock, launcher } = setUp({ servers: { a: shared } });
    const [{ client } = expect.fail()] = await leases(pool, 1);
    const { samples } = levelsOf(pool)!.requestTime;
    launcher.last.onRequest = () => undefined;
    const answers = [client.request('x'), client.request('y'), client.request('z')];
    await clock.advanceAndFlush(250);
    const open = launcher.last.received.filter(({ method }) => ['x', 'y', 'z'].includes(method ?? ''));
    const [x, y, z] = open.map(({ id }) => id as number);
    launcher.last.answer(x!, {});
    launcher.last.say({ jsonrpc: '2.0', id: y!, error: { code: -32_603, message: 'broken' } });
    launcher.last.say({ jsonrpc: '2.0', id: z!, error: { code: -32_601, message: 'no such method' } });
    await Promise.allSettled(answers);
    for (const levels of [levelsOf(pool), levelsOf(pool, 'a')]) {
      expect(levels?.requestTime.samples).toBe(samples + 3);
      expect(levels?.requestTime.p99).toBeGreaterThan(247);
      expect(levels?.requestTime.p99).toBeLessThan(253);
      expect(levels?.failurePercent.actual).toBeCloseTo(100 / (samples + 3));
      expect(levels?.availabilityPercent.actual).toBe(100);
    }
  });

  it('[SLO-3] that are lost in a crash count; those lost by a shutdown do not', async () => {
    const { pool, clock, launcher } = setUp({ servers: { a: one, b: one } });
    const clients: RawClient[] = [];
    for (const name of ['a', 'b']) clients.push(await RawClient.connect((await pool.getServer(name)).transport));
    const before = levelsOf(pool)!.failurePercent.samples;
    for (const server of launcher.living) server.onRequest = () => undefined;
    const lost = clients.map((client) => client.request('x').catch(() => {}));
    await clock.advanceAndFlush(10);
    launcher.servers[0]?.exit({ exitCode: 1 });
    await lost[0];
    const after = levelsOf(pool)!;
    expect(after.failurePercent.samples).toBe(before + 1);
    expect(after.failurePercent.actual).toBeCloseTo(100 / (before + 1));
    const closing = pool.shutdown({ mode: 'emergency' });
    await Promise.all(lost);
    await closing;
    expect(levelsOf(pool)?.failurePercent.samples).toBe(before + 1);
  });
});

describe.each(['shared', 'exclusive', 'dedicated'] as const)(
  'a request that is open on a server that is %s',
  (sharing) => {
    const ENDS: readonly [string, (pool: MCPServerPool, lease: PooledServer) => unknown][] = [
      ['a release', (_pool, lease) => lease.release()],
      ['endAll()', (pool) => pool.endAll()],
      ['removeServer()', (pool) => pool.removeServer('a', { timeout: 1_000 })],
      ['a restart', (pool) => pool.restart('a', { timeout: 1_000 })],
      ['shutdown()', (pool) => pool.shutdown({ mode: 'emergency' })],
    ];

    it.each(ENDS)('[SLO-3] counts for nothing when it is ended by %s', async (_what, end) => {
      const { pool, clock, launcher } = setUp({
        servers: { a: { command: 'fake', sharing, health: { check: false } } },
      });
      const lease = await pool.getServer('a');
      const client = await RawClient.connect(lease.transport);
      const before = levelsOf(pool)!.failurePercent.samples;
      launcher.last.onRequest = () => undefined;
      const lost = client.request('x').catch((error: unknown) => error);
      await flush();
      const ended = end(pool, lease);
      for (let second = 0; second < 90; second += 1) await clock.advanceAndFlush(1_000);
      await ended;
      // A client that is closed may drop what is open without an error.
      expect(['pending', 'resolved']).toContain(await outcome(lost));
      expect(levelsOf(pool)?.failurePercent.samples).toBe(before);
    });
  },
);

describe('what happens to servers', () => {
  it('[SLO-5] restarts after a crash count, with their time; those that the host asks for do not', async () => {
    const { pool, clock, launcher } = setUp({
      servers: { a: { ...shared, restart: { minDelay: 2_000, maxDelay: 2_000 } } },
    });
    await leases(pool, 2);
    // The first one is restarted at once, the second one after its backoff.
    for (let crash = 0; crash < 2; crash += 1) {
      launcher.last.exit({ exitCode: 1 });
      for (let step = 0; step < 30; step += 1) await clock.advanceAndFlush(100);
    }
    await pool.restart('a');
    await flush();
    const { restarts } = pool.metrics();
    const { restartTime, unexpectedRestarts, startupTime } = levelsOf(pool, 'a')!;
    expect(restarts).toBe(2);
    expect(unexpectedRestarts).toMatchObject({ actual: 2, isMet: false, budgetLeft: -2 });
    expect(restartTime).toMatchObject({ samples: 2, isMet: true });
    expect(restartTime.p99).toBeLessThan(3_000);
    expect(startupTime.samples).toBe(4);
  });

  it('[SLO-5] each failure of a server that was ready counts, whether a lease moves or not', async () => {
    const { pool, clock, launcher } = setUp({
      servers: { a: { ...one, sharing: 'shared', onCrash: 'close' }, b: one, c: { ...one, giveUpGrace: 1_000 } },
    });
    const failures = () => ['a', 'b', 'c'].map((name) => levelsOf(pool, name)?.unexpectedRestarts.actual);
    // Its lease ends.
    await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    // It had none.
    (await pool.getServer('b')).release();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(failures()).toEqual([1, 1, undefined]);
    // The pool has to end it.
    const { client } = await connect(pool, 'c');
    launcher.last.auto = { ...launcher.last.auto, answer: false };
    await giveUp(client, launcher.last);
    for (let step = 0; step < 30; step += 1) await clock.advanceAndFlush(1_000);
    expect(failures()).toEqual([1, 1, 1]);
    expect(levelsOf(pool)?.unexpectedRestarts.actual).toBe(3);
  });

  it('[SLO-5] a start that fails is no restart', async () => {
    const { pool, launcher } = setUp({ servers: { a: one } }, { initialize: false });
    await failStart(pool, launcher);
    expect(levelsOf(pool, 'a')?.unexpectedRestarts.actual).toBe(0);
  });

  it('[SLO-5] the time of a start is not that of a wall clock that is set', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake' } } }, { initialize: false });
    onTestFinished(() => void vi.restoreAllMocks());
    const call = pool.getServer('a');
    await flush();
    const now = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(now + 3_600_000);
    launcher.last.initialize();
    await call;
    expect(pool.serviceLevels().servers.a?.startupTime.p95).toBeLessThan(60_000);
  });

  it('[SLO-3] a restart after a drill does not count', async () => {
    const { pool, clock, launcher } = setUp({ servers: { a: shared } });
    await leases(pool, 1);
    const [{ id: instanceId, pid } = expect.fail()] = pool.status().servers.a?.instances ?? [];
    const server = { name: 'a', instanceId, pid, tenant: undefined, leases: [], callers: [] };
    pool.emit('drill:started', { ...server, fault: 'kill' });
    launcher.last.exit({ signal: 'SIGKILL' });
    for (let step = 0; step < 30; step += 1) await clock.advanceAndFlush(100);
    expect(pool.metrics().restarts).toBe(1);
    expect(levelsOf(pool, 'a')).toMatchObject({ unexpectedRestarts: { actual: 0 }, restartTime: { samples: 0 } });
  });

  it('[SLO-5] a server that does not answer is found: from its last sign of life to the first bad check', async () => {
    const { pool } = setUp({ servers: { a: one }, ...unmonitored });
    const { instanceId: id } = await pool.getServer('a');
    const changed = (
      from: 'healthy' | 'degraded' | undefined,
      to: 'healthy' | 'degraded' | 'unhealthy',
      silent: number,
    ) => pool.emit('health:changed', { id, name: 'a', from, to, reason: 'it was asked', action: '', silent });
    changed(undefined, 'healthy', 0);
    changed('healthy', 'degraded', 40_000);
    changed('degraded', 'unhealthy', 140_000);
    // What the host has added to the monitor is no server of the pool.
    pool.emit('health:changed', {
      ...{ id: 'db', name: 'database', from: 'healthy', to: 'degraded' },
      reason: '',
      action: '',
      silent: 1,
    });
    expect(Object.keys(pool.serviceLevels().servers)).toEqual(['a']);
    const { detectionTime } = levelsOf(pool, 'a')!;
    expect(detectionTime).toMatchObject({ samples: 1, isMet: true });
    expect(detectionTime.p95).toBeGreaterThan(39_600);
    expect(detectionTime.p95).toBeLessThan(40_400);
  });

  it('[SLO-5] ends of trees count, and that of the pool', async () => {
    const { pool } = setUp({ servers: { a: one } });
    (await pool.getServer('a')).release();
    await pool.removeServer('a');
    expect(levelsOf(pool, 'a')?.shutdownTime).toMatchObject({ samples: 1, isMet: true });
    await pool.shutdown();
    expect(levelsOf(pool)?.shutdownTime.samples).toBe(2);
  });

  it('[SLO-5] limits, levels and alerts count, apart from those of memory of all, which are pressure', async () => {
    const { pool } = setUp({ servers: { a: one }, ...unmonitored });
    const { instanceId } = await pool.getServer('a');
    const exceeded = (event: PoolEvents['limit:exceeded']) => pool.emit('limit:exceeded', event);
    exceeded({ kind: 'cpu', name: 'a', instanceId, value: 2, limit: 1 });
    // Of a tree that the host has added to the monitor.
    exceeded({ kind: 'cpu', name: 'make', instanceId: 'build', value: 2, limit: 1 });
    exceeded({ kind: 'total-cpu', value: 2, limit: 1 });
    exceeded({ kind: 'host-memory', value: 99, limit: 80 });
    const level = { measured: 40, threshold: 30, names: [] } as const;
    const steps = ['normal', 'warning', 'critical', 'normal'] as const;
    for (const by of ['processes', 'memory'] as const)
      for (const [index, from] of steps.slice(0, -1).entries())
        pool.emit('level:changed', { ...level, by, from, to: steps[index + 1]! });
    for (let count = 0; count < 5; count += 1) pool.emit('alert:raised', {} as never);
    expect(pool.serviceLevels().pool.alertsPerDay).toMatchObject({ actual: 5, isMet: false });
    expect(levelsOf(pool, 'a')?.criticalViolations).toMatchObject({ actual: 1, isMet: false });
    expect(levelsOf(pool)?.criticalViolations.actual).toBe(3);
    expect(pool.serviceLevels().pool.pressureEvents).toMatchObject({ actual: 3, isMet: false });
    expect(Object.keys(pool.serviceLevels().servers)).toEqual(['a']);
  });

  it('[SLO-5] memory counts, of the largest tree', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { a: { ...one, maxInstances: 2 } } });
    for (const owner of ['x', 'y']) await pool.getServer('a', { owner });
    server(0).load = { memoryMB: 300 };
    server(1).load = { memoryMB: 600 };
    await pass(6_000);
    server(1).load = { memoryMB: 100 };
    await pass(6_000);
    expect(levelsOf(pool, 'a')?.memoryMB).toMatchObject({ actual: 600, target: 500, isMet: false });
    expect(levelsOf(pool)?.memoryMB.actual).toBe(600);
  });
});

describe('a breach', () => {
  const FAILING = { servers: { a: one }, ...unmonitored };

  /** Calls that fail, with nothing else. */
  async function fail(pool: MCPServerPool, times: number): Promise<void> {
    for (let count = 0; count < times; count += 1) expect(await codeOf(pool.getServer('a'))).toBe('QUEUE_FULL');
  }

  it('[SLO-2] is an event of the pool, and so is its end, also when the host has removed all listeners', async () => {
    const { pool, clock } = setUp({ ...FAILING, maxWaiting: 0 });
    pool.removeAllListeners();
    const breached = record(pool, 'service-level:breached');
    const recovered = record(pool, 'service-level:recovered');
    await pool.getServer('a');
    await fail(pool, 30);
    await clock.advanceAndFlush(LOOK);
    expect(breached.map(({ level, name }) => [level, name])).toEqual([
      ['availabilityPercent', undefined],
      ['availabilityPercent', 'a'],
    ]);
    expect(breached[0]).toMatchObject({ target: 99.9, burnRate: expect.any(Number), budgetLeft: expect.any(Number) });
    expect(JSON.parse(JSON.stringify(breached[1]))).toEqual(breached[1]);
    for (let minute = 0; minute < 45; minute += 1) await clock.advanceAndFlush(60_000);
    expect(recovered).toHaveLength(2);
    expect(breached).toHaveLength(2);
  });

  it('[SLO-2] is none after two calls of which one fails', async () => {
    const { pool, clock } = setUp({ ...FAILING, maxWaiting: 0 });
    const breached = record(pool, 'service-level:breached');
    await pool.getServer('a');
    await fail(pool, 1);
    for (let minute = 0; minute < 30; minute += 1) await clock.advanceAndFlush(60_000);
    expect(breached).toEqual([]);
    expect(levelsOf(pool)?.availabilityPercent).toMatchObject({ actual: 50, isMet: false });
  });

  it('[SLO-8] needs no timer when no server lives', async () => {
    const { pool, clock } = setUp(FAILING);
    const before = clock.pending;
    (await pool.getServer('a')).release();
    expect(clock.pending).toBeGreaterThan(before);
    await pool.removeServer('a');
    await clock.advanceAndFlush(3 * LOOK);
    expect(clock.pending).toBe(before);
    expect(clock.holding).toBe(0);
  });
});

describe('without the option', () => {
  it('[SLO-8] nothing is counted, and no timer is set', async () => {
    const off = { serviceLevels: { enabled: false } };
    const timers: number[] = [];
    for (const options of [{}, off] as Partial<PoolOptions>[]) {
      const { pool, clock } = setUp({ servers: { a: one }, ...unmonitored, ...options });
      await pool.getServer('a');
      timers.push(clock.pending);
      const { acquireTime, startupTime } = levelsOf(pool)!;
      const counted = options.serviceLevels === undefined ? 1 : 0;
      expect([acquireTime.samples, startupTime.samples]).toEqual([counted, counted]);
    }
    expect(timers[1]).toBe(timers[0]! - 1);
  });

  it('[SLO-8] a global pool that was made without options counts nothing, another one does', async () => {
    for (const options of [undefined, {}]) {
      const pool = MCPServerPool.global(options);
      const { transport } = new Watched(program('cat'));
      await transport.start();
      await transport.close();
      expect(levelsOf(pool)?.acquireTime.samples).toBe(options === undefined ? 0 : 1);
      await pool.shutdown();
    }
  });
});

describe('250 sessions at once on 3 shared servers', () => {
  it('[SLO-7] let no queue grow for a minute, and no request fails', async () => {
    const names = ['a', 'b', 'c'];
    const servers = Object.fromEntries(names.map((name) => [name, { ...shared, maxInstances: 1 }]));
    const { pool, clock } = setUp({ servers });
    const clients = await Promise.all(
      Array.from({ length: 250 }, async (_, index) => {
        const lease = await pool.getServer(names[index % 3]!);
        return RawClient.connect(lease.transport);
      }),
    );
    for (let second = 0; second < 60; second += 1) {
      const answers = clients.map((client) => client.request('x'));
      await clock.advanceAndFlush(1_000);
      await Promise.all(answers);
      for (const { received } of clients) received.splice(0);
    }
    const { concurrentSessions, queueGrowth, failurePercent, availabilityPercent, requestTime, acquireTime } =
      pool.serviceLevels().pool;
    expect(concurrentSessions).toMatchObject({ actual: 250, isMet: true });
    expect(queueGrowth.actual).toBe(0);
    expect(failurePercent.actual).toBe(0);
    expect(availabilityPercent.actual).toBe(100);
    expect(requestTime.samples).toBeGreaterThanOrEqual(250 * 60);
    expect(acquireTime).toMatchObject({ samples: 250, isMet: true });
  });
});
