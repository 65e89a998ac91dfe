import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../../src/errors.js';
import {
  type AcquireOptions,
  type DrillFault,
  type DrillOptions,
  type MCPServerPool,
  POOL_EVENTS,
  runRecoveryDrill,
} from '../../../src/index.js';
import { leases, setUp, shared } from '../../helpers/fake-pool.js';
import { record } from '../../helpers/real-pool.js';
import { flush, rejection } from '../../helpers/until.js';

const server = { command: 'fake' };
/** No server is checked. */
const WITHOUT_HEALTH = { defaults: { health: { check: false } } } as const;

/** Checks that the drill has left the pool as it was, apart from the ids and pids of its instances. */
async function drillOf(pool: MCPServerPool, options: DrillOptions) {
  const shape = () => {
    const { idle, leases, processes, servers } = pool.status();
    const { breakers, instances } = servers.a ?? {};
    return { idle, leases, processes, breakers, scopes: instances?.map(({ tenant, owner }) => [tenant, owner]) };
  };
  const before = shape();
  const report = await runRecoveryDrill(pool, options);
  await flush(10);
  expect(shape()).toEqual(before);
  return report;
}

describe('a drill', () => {
  it.each([
    ['kill', 'SIGKILL leader'],
    ['exit', 'SIGTERM leader'],
  ] as const)('[DRILL-1] %s: measures detection and restart, and leaves the pool as it was', async (fault, signal) => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server } });
    await pool.warm('a', { count: 2 });
    await pool.warm('b');
    const [first, second] = launcher.servers;
    const report = await drillOf(pool, { server: 'a', fault });
    expect([first?.signals, second?.signals]).toEqual([[signal], []]);
    expect(report).toMatchObject({
      ...{ name: 'a', pid: first?.pid, fault, dryRun: false, verdict: 'passed', restored: true },
      ...{ detectedBy: 'server:exited', notes: [] },
    });
    const { detection = 0, restart = 0, recovery = 0 } = report;
    expect(detection).toBeGreaterThan(0);
    expect(restart).toBeGreaterThan(0);
    expect(recovery).toBeGreaterThanOrEqual(Math.max(detection, restart));
    expect(pool.status().servers.a?.instances.map(({ id }) => id)).toContain(report.newInstanceId);
    expect(report.newInstanceId).not.toBe(report.instanceId);
    expect(pool.metrics()).toMatchObject({ crashes: 1, started: 4 });
  });

  it('[DRILL-1] breaks the one that is idle longest, and starts one for the same callers', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } });
    const scopes: AcquireOptions[] = [{ owner: 'o', tenant: 't' }, { owner: 'p' }];
    for (const scope of scopes) {
      (await pool.getServer('a', scope)).release();
      clock.advance(10);
    }
    const held = await pool.getServer('a', { owner: 'q' });
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'kill' });
    expect(report).toMatchObject({ verdict: 'passed', pid: launcher.servers[0]?.pid });
    expect(pool.status()).toMatchObject({ idle: 2, leases: 1 });
    expect((await pool.getServer('a', scopes[0])).instanceId).toBe(report.newInstanceId);
    expect(held.release()).toBe(true);
  });

  it('[DRILL-1] waits for the slot of the broken one, and for a start that minIdle has begun', async () => {
    for (const policy of [{ maxInstances: 1 }, { minIdle: 1 }]) {
      const { pool, launcher } = setUp({ servers: { a: { ...server, ...policy } } });
      await pool.warm('a');
      expect((await drillOf(pool, { server: 'a', fault: 'kill' })).verdict).toBe('passed');
      expect(launcher.maximum).toBe(1);
    }
  });

  it('[DRILL-1] forgets the failure that it has made, and no other', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    await pool.warm('a');
    for (let drill = 0; drill < 20; drill++) await drillOf(pool, { server: 'a', fault: 'kill' });
    expect(pool.status().servers.a?.breakers).toEqual([]);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    await pool.warm('a');
    await runRecoveryDrill(pool, { server: 'a', fault: 'kill' });
    expect(pool.status().servers.a?.breakers).toMatchObject([{ failures: 2 }]);
  });

  it('[DRILL-6] of a shared instance that was named: its leases are on the next one', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const [one, two] = await leases(pool, 2);
    const instance = one?.lease.instanceId;
    const report = await drillOf(pool, { server: 'a', fault: 'kill', instance });
    expect(report).toMatchObject({ verdict: 'passed', instanceId: instance });
    expect([one?.lease.instanceId, two?.lease.instanceId]).toEqual([report.newInstanceId, report.newInstanceId]);
    expect(await two?.client.request('tools/list')).toEqual({ echo: undefined });
  });

  it('[DRILL-1] of an exclusive instance with a lease, which ends with it', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const held = await pool.getServer('a');
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'kill', instance: held.instanceId });
    expect(report.verdict).toBe('passed');
    expect(held.release()).toBe(false);
    expect(pool.status()).toMatchObject({ idle: 1, leases: 0 });
  });

  it('[DRILL-1] has failed when it was slower than the pool is to be', async () => {
    const targets = { detectionTime: 0.000_001, restartTime: 70_000 };
    const { pool } = setUp({ servers: { a: server }, serviceLevels: { targets } });
    await pool.warm('a');
    const report = await drillOf(pool, { server: 'a', fault: 'kill' });
    expect(report).toMatchObject({ verdict: 'failed', restored: true, targets: { restart: 70_000 } });
    expect(String(report)).toMatch(/^detection .* missed$/m);
    expect(String(report)).toMatch(/^restart .* < 70 s +ok$/m);
  });

  it('[DRILL-1] tells what it does, so that the failure is not taken for one', async () => {
    const { pool } = setUp({ servers: { a: server } });
    await pool.warm('a');
    const events: string[] = [];
    pool.onAny((event) => events.push(event));
    const started = record(pool, 'drill:started');
    const finished = record(pool, 'drill:finished');
    const { instanceId, pid, detection, restart } = await runRecoveryDrill(pool, { server: 'a', fault: 'exit' });
    expect(started).toMatchObject([{ name: 'a', instanceId, pid, fault: 'exit' }]);
    expect(finished).toEqual([{ name: 'a', instanceId, fault: 'exit', verdict: 'passed', detection, restart }]);
    expect([events[0], events.at(-1)]).toEqual(['drill:started', 'drill:finished']);
  });

  it('[DRILL-1] prints a table, and is JSON of the facts', async () => {
    const { pool } = setUp({ servers: { a: { ...server, label: 'メモ帳' } } });
    await pool.warm('a');
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'kill' });
    const table = String(report).replace(/\d+ ms {0,10}/g, (time) => 'N ms'.padEnd(time.length));
    expect(table.split('\n').map((line) => line.trimEnd())).toEqual([
      `Drill: kill server 'メモ帳', instance ${report.instanceId}, pid ${report.pid}`,
      '            measured    target',
      'detection   N ms        < 60 s      ok',
      'restart     N ms        < 10 s      ok',
      'recovery    N ms',
      'found by    server:exited',
      'pool        as it was',
      'verdict     passed',
    ]);
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ verdict: 'passed', targets: { detection: 60_000 } });
  });
});

describe('a drill that does not end well', () => {
  const deaf = async (policy = {}) => {
    const made = setUp({ servers: { a: { ...server, ...policy } } });
    await made.pool.warm('a');
    made.launcher.last.obeys = false;
    return made;
  };

  it('[DRILL-2] aborted: replaces what it has broken', async () => {
    const { pool, launcher } = await deaf();
    const controller = new AbortController();
    const drill = drillOf(pool, { server: 'a', fault: 'exit', signal: controller.signal });
    await flush();
    controller.abort();
    expect(await drill).toMatchObject({ verdict: 'aborted', detection: undefined, restored: true });
    expect(launcher.servers[0]?.alive).toBe(false);
    expect(launcher.living).toHaveLength(1);
  });

  it('[DRILL-2] aborted before it began: does nothing', async () => {
    const { pool, launcher } = await deaf();
    const report = await drillOf(pool, { server: 'a', fault: 'exit', signal: AbortSignal.abort() });
    expect(report).toMatchObject({ verdict: 'aborted', restored: true, notes: [expect.stringContaining('nothing')] });
    expect(launcher.servers.map(({ signals }) => signals)).toEqual([[]]);
  });

  it('[DRILL-1] has the alerts that are raised meanwhile, in its table, too', async () => {
    const { pool } = await deaf();
    const controller = new AbortController();
    const drill = drillOf(pool, { server: 'a', fault: 'exit', signal: controller.signal });
    await flush();
    const alert = { kind: 'stuck', severity: 'critical', subject: { name: 'a' } } as const;
    pool.emit('alert:raised', alert as never);
    for (let more = 0; more < 30; more++) pool.emit('alert:raised', { ...alert, subject: {} } as never);
    controller.abort();
    const report = await drill;
    expect(report.alerts[0]).toEqual(alert);
    expect(report.alerts).toHaveLength(20);
    expect(String(report)).toContain('alert       critical stuck a\nalert       critical stuck pool');
  });

  it('[DRILL-2] late: replaces it, and says after which time', async () => {
    const { pool, clock, launcher } = await deaf();
    const drill = drillOf(pool, { server: 'a', fault: 'exit', timeout: 1_000 });
    await clock.advanceAndFlush(1_000);
    const report = await drill;
    expect(report).toMatchObject({ verdict: 'failed', restored: true, notes: [expect.stringContaining('1000 ms')] });
    expect(String(report)).toContain('detection   -           < 60 s      missed');
    expect(launcher.servers).toHaveLength(2);
  });

  it('[DRILL-2] overtaken: the instance ends for another reason', async () => {
    const { pool, clock } = await deaf({ idleTimeout: 500 });
    const drill = drillOf(pool, { server: 'a', fault: 'exit' });
    await clock.advanceAndFlush(500);
    expect(await drill).toMatchObject({ verdict: 'failed', notes: [expect.stringContaining('(idle)')] });
  });

  it('[DRILL-2] without a new instance: says so, and is over', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    await pool.warm('a');
    launcher.onLaunch = () => {
      throw new Error('no more');
    };
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'kill' });
    expect(report).toMatchObject({
      verdict: 'failed',
      detectedBy: 'server:exited',
      recovery: undefined,
      restored: false,
    });
    expect(report.notes.join()).toContain('no more');
    expect(String(report)).toContain('not as it was');
  });

  it('[DRILL-2] while the pool is shut down: is over, too', async () => {
    const { pool } = await deaf();
    const drill = runRecoveryDrill(pool, { server: 'a', fault: 'exit' });
    await flush();
    await pool.shutdown();
    expect(await drill).toMatchObject({ verdict: 'failed', restored: false });
  });

  it('[DRILL-5] a hang that nothing finds is said to be that, and ended', async () => {
    const { pool, launcher } = setUp({ servers: { a: server }, ...WITHOUT_HEALTH });
    await pool.warm('a');
    const report = await drillOf(pool, { server: 'a', fault: 'hang' });
    expect(report).toMatchObject({ verdict: 'failed', detection: undefined, restored: true });
    expect(report.notes).toEqual([expect.stringContaining('health.check')]);
    expect(launcher.servers[0]?.signals).toEqual(['SIGSTOP tree', 'SIGCONT tree']);
    expect(launcher.servers[0]?.alive).toBe(false);
  });

  it('[DRILL-5] with leases it goes on, and is not ended', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared }, ...WITHOUT_HEALTH });
    const [one] = await leases(pool, 1);
    await drillOf(pool, { server: 'a', fault: 'hang', instance: one?.lease.instanceId });
    expect(launcher.servers[0]?.signals).toEqual(['SIGSTOP tree', 'SIGCONT tree']);
    expect(launcher.servers).toHaveLength(1);
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
  });
});

describe('a dry run of a drill', () => {
  it.each<[DrillFault, string]>([
    ['kill', 'SIGKILL to the process that was spawned'],
    ['exit', 'SIGTERM to the process that was spawned'],
    ['hang', 'SIGSTOP to all its processes'],
  ])('[DRILL-3] %s', async (fault, what) => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    await pool.warm('a');
    const emitted: string[] = [];
    for (const event of POOL_EVENTS) pool.on(event, () => void emitted.push(event));
    const report = await drillOf(pool, { server: 'a', fault, dryRun: true, timeout: 7_000 });
    expect(report).toMatchObject({ verdict: 'planned', dryRun: true, pid: launcher.last.pid });
    expect(String(report)).toMatch(/^Plan of a drill: /);
    expect(String(report)).toContain(what);
    expect(String(report)).toContain('7000 ms');
    expect([launcher.last.signals, emitted]).toEqual([[], []]);
  });
});

describe('a drill is refused', () => {
  const refusalOf = async (pool: MCPServerPool, options: Partial<DrillOptions> = {}) =>
    (await rejection(runRecoveryDrill(pool, { server: 'a', fault: 'kill', ...options }))) as PoolError;

  it('[DRILL-4] without an instance that it may break: the error says what to do', async () => {
    for (const sharing of ['exclusive', 'shared', 'dedicated'] as const) {
      const { pool } = setUp({ servers: { a: { ...server, sharing, label: 'A' } } });
      const none = await refusalOf(pool);
      expect(none).toMatchObject({ code: 'REQUIREMENTS_UNMET', data: { name: 'a', label: 'A' } });
      expect(none.message).toMatch(/^no drill of server 'A': .*warm\('a'\)/);
      await pool.getServer('a');
      expect((await refusalOf(pool, { dryRun: true })).code).toBe('REQUIREMENTS_UNMET');
    }
  });

  it('[DRILL-4] of an instance that is not there, or ends', async () => {
    const { pool } = setUp({ servers: { a: server } }, { end: false });
    expect((await refusalOf(pool, { instance: 'mcp-1-1' })).message).toContain("no instance 'mcp-1-1'");
    const held = await pool.getServer('a');
    void pool.restart('a');
    expect((await refusalOf(pool, { instance: held.instanceId })).code).toBe('REQUIREMENTS_UNMET');
    held.release();
  });

  it('[DRILL-4] where its launcher has no signals', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    await pool.warm('a');
    Object.defineProperty(launcher.last, 'signal', { value: undefined });
    expect(await refusalOf(pool)).toMatchObject({ code: 'NOT_SUPPORTED' });
  });

  it('[DRILL-4] while another one is under way', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    await pool.warm('a', { count: 2 });
    const first = runRecoveryDrill(pool, { server: 'a', fault: 'kill' });
    expect((await refusalOf(pool)).message).toContain('another drill');
    expect((await first).verdict).toBe('passed');
    expect(launcher.servers.filter(({ signals }) => signals.length > 0)).toHaveLength(1);
    expect((await runRecoveryDrill(pool, { server: 'a', fault: 'kill' })).verdict).toBe('passed');
  });

  it.each<[string, object]>([
    ['INVALID_OPTIONS', { fault: 'crash' }],
    ['INVALID_OPTIONS', { fault: undefined }],
    ['INVALID_OPTIONS', { server: undefined }],
    ['INVALID_OPTIONS', { timeout: Infinity }],
    ['INVALID_OPTIONS', { signal: 'SIGKILL' }],
    ['INVALID_OPTIONS', { dryrun: true }],
    ['UNKNOWN_SERVER', { server: 'b' }],
  ])('[DRILL-4] %s: %o', async (code, options) => {
    const { pool } = setUp({ servers: { a: server } });
    expect((await refusalOf(pool, options as never)).code).toBe(code);
  });

  it('[DRILL-4] of a pool that was shut down', async () => {
    const { pool } = setUp({ servers: { a: server } });
    await pool.shutdown();
    expect((await refusalOf(pool)).code).toBe('POOL_CLOSED');
  });
});
