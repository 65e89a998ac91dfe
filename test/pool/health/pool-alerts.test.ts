import { describe, expect, it } from 'vitest';
import { type AlertNotification, MCPServerPool, type PoolEvents, type PoolOptions } from '../../../src/index.js';
import { auditFolder, linesOf } from '../../helpers/audit.js';
import { failStart, leases, setUp, shared } from '../../helpers/fake-pool.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { record } from '../../helpers/real-pool.js';
import { endGlobalPoolAfterEach } from '../../helpers/stdio.js';
import { flush, rejection } from '../../helpers/until.js';

const HOLD = 30_000;
const QUIET = 60_000;
const server = { command: 'fake' };

/** A pool of which only the events matter: the test emits them itself. */
function setUpEvents(options: PoolOptions = {}) {
  const { pool, clock } = setUp({ servers: { a: server }, ...options });
  const raised = record(pool, 'alert:raised');
  const resolved = record(pool, 'alert:resolved');
  const emit = <K extends keyof PoolEvents>(event: K, payload: Partial<PoolEvents[K]>) =>
    void pool.emit(event, payload as never);
  return { pool, clock, raised, resolved, emit };
}

const SERVER = { name: 'a', instanceId: 'mcp-1', pid: 1, tenant: 't', leases: [], callers: [] };

describe('the alerts of a pool', () => {
  it('[ALERT-9] a breaker that opens is an alert at once, until it is closed for each tenant', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...server, restart: { maxRestarts: 0 } } } });
    const raised = record(pool, 'alert:raised');
    launcher.auto = { ...launcher.auto, initialize: false };
    for (const tenant of ['alice', 'bob']) await failStart(pool, launcher, { tenant });
    expect(raised).toMatchObject([{ kind: 'breaker-open', subject: { name: 'a' }, severity: 'critical', count: 1 }]);
    expect(pool.status().alerts).toMatchObject([{ kind: 'breaker-open', count: 2, state: 'firing', holds: true }]);
    pool.resetBreaker('a', { tenant: 'alice' });
    expect(pool.alerts.active()).toMatchObject([{ kind: 'breaker-open', holds: true }]);
    pool.resetBreaker('a', { tenant: 'bob' });
    expect(pool.alerts.active()).toMatchObject([{ kind: 'breaker-open', holds: false }]);
    await clock.advanceAndFlush(QUIET);
    expect(pool.alerts.active().filter(({ kind }) => kind === 'breaker-open')).toEqual([]);
  });

  it('[ALERT-9] a breaker that nobody tries again is no alert for ever; one that opens again and again is one', async () => {
    const { clock, raised, resolved, emit } = setUpEvents();
    const opens = (cooldown: number) =>
      emit('breaker:opened', { name: 'a', tenant: 't', cooldown, error: { code: 'SERVER_EXITED' } as never });
    for (let time = 0; time < 5; time++) {
      opens(30_000);
      clock.advance(80_000);
    }
    expect([raised.length, resolved.length]).toEqual([1, 0]);
    clock.advance(10_000 + QUIET);
    expect([raised.length, resolved.length]).toEqual([1, 1]);
    // Without a cooldown it stays open until it is reset.
    opens(Infinity);
    clock.advance(86_400_000);
    expect([raised.length, resolved.length]).toEqual([2, 1]);
    emit('breaker:closed', { name: 'a', tenant: 't' });
    clock.advance(3_600_000);
    expect(resolved).toHaveLength(2);
  });

  it('[ALERT-9] the server of one tenant that is ready says nothing of that of another', () => {
    const { pool, clock, raised, emit } = setUpEvents();
    const exits = (tenant: string | undefined) =>
      emit('server:exited', { ...SERVER, tenant, unexpected: true, exitCode: 1, signal: null });
    const ready = (tenant: string | undefined) => emit('server:ready', { ...SERVER, tenant, duration: 1 });
    for (const tenant of ['alice', 'bob', undefined]) exits(tenant);
    ready('bob');
    clock.advance(HOLD);
    expect(raised).toMatchObject([{ kind: 'process-failure', sources: ['alice'], holds: true }]);
    ready('bob');
    expect(pool.alerts.active()).toMatchObject([{ holds: true }]);
    ready('alice');
    expect(pool.alerts.active()).toMatchObject([{ holds: true, sources: [] }]);
    // A spare one serves any tenant, one that callers without a tenant wait for does not.
    exits('alice');
    emit('server:ready', { ...SERVER, tenant: undefined, duration: 1, callers: [{ owner: 'o' }] });
    expect(pool.alerts.active()).toMatchObject([{ holds: true }]);
    ready(undefined);
    expect(pool.alerts.active()).toMatchObject([{ holds: false }]);
  });

  it('[ALERT-9] a lease that is held for too long is one until it is given back', async () => {
    const { pool, clock } = setUp({ servers: { a: server }, leakDetection: 60_000 });
    pool.removeAllListeners();
    const raised = record(pool, 'alert:raised');
    const released = record(pool, 'lease:released');
    const lease = await pool.getServer('a');
    await clock.advanceAndFlush(86_400_000);
    expect(raised).toMatchObject([{ kind: 'leak', subject: { name: 'a', part: 'lease' }, sources: [lease.id] }]);
    expect(pool.alerts.active()).toMatchObject([{ kind: 'leak', holds: true }]);
    pool.removeAllListeners('lease:released');
    lease.release();
    expect(pool.alerts.active()).toMatchObject([{ kind: 'leak', holds: false }]);
    expect(released).toEqual([]);
    pool.on('lease:released', (event) => void released.push(event));
    (await pool.getServer('a')).release();
    expect(released).toMatchObject([{ leaked: false }]);
  });

  it('[ALERT-9] the growth of servers with very long names is one, and its listeners hear of it', async () => {
    const { pool, clock, emit, raised } = setUpEvents();
    const heard = record(pool, 'growth:detected');
    const faults = record(pool, 'internal:error');
    emit('growth:detected', {
      processes: 30,
      within: 30_000,
      names: Array.from({ length: 10 }, () => 'x'.repeat(1_000)),
    });
    expect(heard).toHaveLength(1);
    await clock.advanceAndFlush(HOLD);
    expect([raised.map(({ kind }) => kind), faults]).toEqual([['explosion'], []]);
  });

  it('[ALERT-9] a crash is none where the server is started again, and one where it is not', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: shared, b: server } });
    const raised = record(pool, 'alert:raised');
    await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(HOLD);
    expect(raised).toEqual([]);
    const lease = await pool.getServer('b');
    launcher.livingOf('b')[0]?.exit({ signal: 'SIGSEGV' });
    await flush();
    lease.release();
    await clock.advanceAndFlush(HOLD);
    expect(raised).toMatchObject([
      {
        kind: 'process-failure',
        subject: { name: 'b' },
        severity: 'warning',
        message: expect.stringContaining('SIGSEGV'),
      },
    ]);
    (await pool.getServer('b')).release();
    expect(pool.alerts.active()).toMatchObject([{ holds: false }]);
  });

  it('[ALERT-9] three crashes within ten minutes are one, though each was recovered', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: shared } });
    const raised = record(pool, 'alert:raised');
    await leases(pool, 1);
    for (let crash = 0; crash < 3; crash++) {
      launcher.last.exit({ exitCode: 1 });
      await clock.advanceAndFlush(120_000);
    }
    expect(raised).toMatchObject([{ kind: 'process-failure', subject: { name: 'a' } }]);
  });

  it.each(['stuck', 'unhealthy', 'broken'] as const)(
    '[ALERT-9] [ALERT-5] a server that is %s again and again is one, and the first tier is told, though each was recovered',
    async (reason) => {
      const told: string[] = [];
      const notify = ({ tier, alert: { kind } }: AlertNotification) => void told.push(`${tier} ${kind}`);
      const { clock, raised, emit } = setUpEvents({ alerts: { tiers: [{ after: Infinity, notify }] } });
      for (let time = 0; time < 3; time++) {
        emit('server:stopping', { ...SERVER, reason });
        await clock.advanceAndFlush(1_000);
        emit('server:ready', { ...SERVER, instanceId: `mcp-${time + 2}`, duration: 1_000 });
        await clock.advanceAndFlush(200_000);
      }
      expect(raised).toMatchObject([
        { kind: 'process-failure', subject: { name: 'a' }, severity: 'warning', data: { reason } },
      ]);
      expect(told).toContain('1 process-failure');
    },
  );

  it('[ALERT-9] [ALERT-5] a server that answers no check, three times within ten minutes, is told to the first tier', async () => {
    const told: string[] = [];
    const notify = ({ alert: { kind } }: AlertNotification) => void told.push(kind);
    const { pool, launcher, clock, reasons } = setUp({
      ...{ servers: { a: { ...shared, restart: { minDelay: 1 } } }, defaults: {} },
      alerts: { tiers: [{ after: Infinity, notify }] },
    });
    await leases(pool, 1);
    for (let hang = 1; hang <= 3; hang++) {
      launcher.last.onRequest = () => undefined;
      for (let step = 0; step < 20 && launcher.servers.length === hang; step++) await clock.advanceAndFlush(10_000);
    }
    expect(reasons()).toEqual(['unhealthy', 'unhealthy', 'unhealthy']);
    await flush();
    expect(told).toContain('process-failure');
  });

  it('[ALERT-9] an end that the pool was asked for is none', () => {
    const { pool, clock, emit } = setUpEvents({ alerts: { for: 0 } });
    for (const reason of ['restart', 'idle', 'memory-limit', 'shutdown'] as const)
      emit('server:stopping', { ...SERVER, reason });
    clock.advance(HOLD);
    expect(pool.alerts.active()).toEqual([]);
  });

  it('[ALERT-9] a silent lease is none: nothing is wrong where no caller waits for its server', () => {
    const { clock, raised, emit } = setUpEvents();
    emit('stuck:detected', { kind: 'lease', name: 'a', instanceId: 'mcp-1', leaseId: 'lease-1', age: 1_800_000 });
    clock.advance(HOLD);
    expect(raised).toEqual([]);
  });

  it('[ALERT-9] a start that fails says which error it was, and no more of it', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...server, env: { TOKEN: 'swordfish' } } } });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    await clock.advanceAndFlush(HOLD);
    expect(pool.alerts.active()).toMatchObject([
      {
        kind: 'process-failure',
        message: "server 'a' could not be started (SERVER_EXITED)",
        data: { code: 'SERVER_EXITED' },
      },
    ]);
    expect(JSON.stringify(pool.status().alerts)).not.toContain('swordfish');
  });

  it('[ALERT-9] a limit that is exceeded is one, for the server and the limit, until it recovers', async () => {
    const { pool, pass, server: tree } = setUpMeasured({ servers: { a: server } });
    const raised = record(pool, 'alert:raised');
    await pool.getServer('a');
    pool.emit('limit:exceeded', { kind: 'memory', name: 'a', instanceId: 'mcp-1', value: 130, limit: 100 });
    pool.emit('limit:exceeded', { kind: 'memory', name: 'a', instanceId: 'mcp-2', value: 120.4, limit: 100 });
    pool.emit('limit:exceeded', { kind: 'cpu', name: 'a', instanceId: 'mcp-1', value: 300, limit: 90 });
    pool.emit('limit:recovered', { kind: 'memory', name: 'a', instanceId: 'mcp-1', value: 10, limit: 100 });
    await pass(HOLD);
    const parts = new Map(raised.map((alert) => [alert.subject.part, alert]));
    expect(parts.size).toBe(2);
    expect(parts.get('cpu')).toMatchObject({ kind: 'resource-violation', subject: { name: 'a' }, sources: ['mcp-1'] });
    expect(parts.get('memory')).toMatchObject({
      ...{ kind: 'resource-violation', sources: ['mcp-2'] },
      message: "server 'a' uses more than may be: 120 of 100 MB",
    });
    expect(tree(0).alive).toBe(true);
  });

  it('[ALERT-3] [ALERT-9] of all servers keeps those of single ones silent', async () => {
    const { clock, raised, emit } = setUpEvents();
    emit('limit:exceeded', { kind: 'memory', name: 'a', instanceId: 'mcp-1', value: 130, limit: 100 });
    emit('limit:exceeded', { kind: 'total-memory', value: 5_000, limit: 4_096 });
    emit('limit:exceeded', { kind: 'folder', path: '/var/log/a', value: 12, limit: 10 });
    clock.advance(HOLD);
    expect(raised.map(({ kind, subject }) => [kind, subject.part])).toEqual([
      ['memory-pressure', undefined],
      ['resource-violation', '/var/log/a'],
    ]);
    emit('limit:recovered', { kind: 'total-memory', value: 10, limit: 4_096 });
    expect(raised.at(-1)).toMatchObject({ kind: 'resource-violation', subject: { name: 'a', part: 'memory' } });
  });

  it.each(['host-memory', 'total-cpu'] as const)(
    '[ALERT-3] [ALERT-9] %s silences no server: it is not the cause of what they do',
    (kind) => {
      const { pool, clock, raised, emit } = setUpEvents();
      emit('limit:exceeded', { kind, value: 85, limit: 80 });
      clock.advance(HOLD);
      emit('limit:exceeded', { kind: 'memory', name: 'a', instanceId: 'mcp-1', value: 130, limit: 100 });
      emit('server:stopping', { ...SERVER, reason: 'stuck' });
      clock.advance(HOLD);
      expect(raised.map(({ subject }) => subject)).toEqual([
        { part: kind },
        { name: 'a', part: 'memory' },
        { name: 'a' },
      ]);
      expect(pool.alerts.active().every(({ inhibited }) => !inhibited)).toBe(true);
      emit('limit:recovered', { kind, value: 10, limit: 80 });
      expect(pool.alerts.active().find(({ subject }) => subject.part === kind)).toMatchObject({ holds: false });
    },
  );

  it('[ALERT-9] levels are one by what has reached them: processes, or memory', () => {
    const { pool, clock, raised, emit } = setUpEvents();
    const level = { from: 'normal', threshold: 15, names: ['a'] } as const;
    emit('level:changed', { ...level, to: 'warning', measured: 16, by: 'processes' });
    clock.advance(HOLD);
    expect(raised).toMatchObject([
      {
        kind: 'explosion',
        subject: {},
        severity: 'warning',
        message: 'the level of the pool is warning: 16 unexpected processes',
      },
    ]);
    emit('level:changed', { ...level, to: 'emergency', measured: 9_000, by: 'memory' });
    expect(pool.alerts.active()).toMatchObject([{ kind: 'explosion', holds: false }]);
    clock.advance(HOLD);
    expect(raised[1]).toMatchObject({ kind: 'memory-pressure', severity: 'critical' });
    emit('level:changed', { ...level, from: 'emergency', to: 'normal', measured: 1, by: 'memory' });
    clock.advance(QUIET);
    expect(pool.alerts.active()).toEqual([]);
  });

  it('[ALERT-9] what concerns one process ends with it', () => {
    const { pool, clock, raised, resolved, emit } = setUpEvents();
    emit('health:changed', {
      id: 'mcp-1',
      name: 'a',
      from: 'degraded',
      to: 'unhealthy',
      reason: 'silent',
      action: 'wait',
    });
    emit('stuck:detected', { kind: 'request', name: 'a', instanceId: 'mcp-1', age: 300_000, tool: 'dig' });
    emit('leak:confirmed', { name: 'a', instanceId: 'mcp-1', slopeMBPerHour: 12.3 });
    emit('server:quarantined', { ...SERVER, report: { survivors: [{ pid: 7, command: 'x' }] } as never });
    clock.advance(HOLD);
    expect(raised.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      "unresponsive: server 'a' does not answer: silent",
      "stuck: a request of server 'a' has not ended for 300 s",
      "leak: the memory of server 'a' grows by 12 MB an hour, and does not come back",
      "cleanup-failure: processes of server 'a' could not be proven dead (1): they keep their slot",
    ]);
    expect(pool.alerts.active().every(({ holds }) => holds)).toBe(true);
    emit('server:stopped', { ...SERVER, instanceId: 'mcp-2', reason: 'idle', report: undefined });
    expect(pool.alerts.active().every(({ holds }) => holds)).toBe(true);
    emit('server:stopped', { ...SERVER, reason: 'idle', report: undefined });
    clock.advance(QUIET);
    expect(resolved).toHaveLength(4);
  });

  it('[ALERT-9] a server that answers again is not unresponsive; one that has missed a check is what it was', () => {
    const { pool, clock, emit } = setUpEvents();
    const change = { id: 'mcp-1', name: 'a', reason: 'silent', action: '' } as const;
    emit('health:changed', { ...change, from: 'degraded', to: 'unhealthy' });
    emit('health:changed', { ...change, from: 'unhealthy', to: 'degraded' });
    clock.advance(HOLD);
    expect(pool.alerts.active()).toMatchObject([{ kind: 'unresponsive', holds: true, action: '' }]);
    emit('health:changed', { ...change, from: 'degraded', to: 'busy' });
    expect(pool.alerts.active()).toMatchObject([{ kind: 'unresponsive', holds: false }]);
  });

  it('[ALERT-9] one caller that gets no server in time is none, callers that get none for half a minute are one', async () => {
    const { clock, raised, emit } = setUpEvents();
    const refused = { name: 'a', tenant: 't', owner: 'o', waited: 30_000, code: 'ACQUIRE_TIMEOUT' } as const;
    emit('queue:rejected', refused);
    emit('queue:rejected', { ...refused, code: 'ACQUIRE_ABORTED' });
    clock.advance(2 * HOLD);
    expect(raised).toEqual([]);
    clock.advance(600_000);
    for (let time = 0; time < 4; time++) {
      emit('queue:rejected', refused);
      clock.advance(10_000);
    }
    expect(raised).toMatchObject([{ kind: 'process-limit', subject: { name: 'a' }, count: 3 }]);
    expect(JSON.stringify(raised)).not.toMatch(/"t"|"o"/);
  });

  it('[ALERT-9] a caller that is refused is heard where no listener of the host is', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } }, maxWaiting: 0, alerts: { for: 0 } });
    pool.removeAllListeners();
    await pool.getServer('a');
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'QUEUE_FULL' });
    expect(pool.alerts.active()).toMatchObject([
      { kind: 'process-limit', subject: { part: 'callers' }, data: { code: 'QUEUE_FULL' } },
    ]);
  });

  it('[ALERT-9] growth alone is an info, which tells no tier; a service level is one, too', () => {
    const told: unknown[] = [];
    const tiers = [{ after: 0, notify: (notification: unknown) => void told.push(notification) }];
    const { clock, raised, emit } = setUpEvents({ alerts: { tiers } });
    emit('growth:detected', { processes: 45, within: 30_000, names: ['a'] });
    clock.advance(HOLD);
    expect([raised, told]).toMatchObject([[{ kind: 'explosion', severity: 'info' }], []]);
    emit('service-level:breached', {
      level: 'availabilityPercent',
      name: 'a',
      target: 99.9,
      actual: 98,
      burnRate: 20,
      budgetLeft: 0,
    });
    expect(raised[1]).toMatchObject({
      ...{ kind: 'service-level', severity: 'critical' },
      subject: { name: 'a', part: 'availabilityPercent' },
    });
    expect(told).toHaveLength(1);
    emit('service-level:breached', {
      ...{ level: 'acquireTime', name: 'a', target: 500, actual: 900, burnRate: 20, budgetLeft: 0 },
    });
    expect(raised[2]).toMatchObject({ severity: 'critical', subject: { name: 'a', part: 'acquireTime' } });
  });

  it('[ALERT-9] go on when the host removes all listeners, are no listeners, and are in the audit trail', async () => {
    const path = `${auditFolder()}/audit.jsonl`;
    const { pool, clock, emit } = setUpEvents({ audit: { path } });
    pool.removeAllListeners();
    pool.alerts.removeAllListeners();
    expect([pool.eventNames(), pool.alerts.eventNames()]).toEqual([[], []]);
    const raised = record(pool, 'alert:raised');
    emit('lease:leaked', { leaseId: 'lease-1', name: 'a', instanceId: 'mcp-1', tenant: 't', owner: 'o', held: 60_000 });
    clock.advance(HOLD);
    expect(raised).toMatchObject([{ kind: 'leak', subject: { name: 'a', part: 'lease' }, sources: ['lease-1'] }]);
    pool.alerts.acknowledge(raised[0]?.id ?? '', 'Ada');
    await pool.shutdown();
    expect(linesOf(path).filter(({ event }) => String(event).startsWith('alert:'))).toMatchObject([
      { event: 'alert:raised', kind: 'leak', subject: { name: 'a', part: 'lease' }, severity: 'warning', count: 1 },
      { event: 'alert:acknowledged', acknowledgedBy: 'Ada' },
      { event: 'alert:resolved', reason: 'closed', suppressed: 0 },
    ]);
  });

  it('[ALERT-9] may be reported by the host, too', async () => {
    const { pool, clock } = setUpEvents();
    const raised = pool.waitFor('alert:raised', { filter: ({ subject }) => subject.part === 'licence' });
    pool.alerts.raise({
      kind: 'service-level',
      subject: { part: 'licence' },
      severity: 'info',
      message: 'it ends soon',
    });
    clock.advance(HOLD);
    expect(await raised).toMatchObject({ message: 'it ends soon' });
    expect(pool.status().alerts[0]).not.toHaveProperty('data');
  });

  it('[ALERT-10] end with the pool, before pool:closed', async () => {
    const { pool, clock } = setUpEvents();
    const events: string[] = [];
    for (const event of ['alert:raised', 'alert:resolved', 'pool:closed'] as const)
      pool.on(event, () => void events.push(event));
    pool.alerts.raise({ kind: 'stuck', severity: 'warning', message: 'x' });
    clock.advance(HOLD);
    await pool.shutdown();
    expect(events).toEqual(['alert:raised', 'alert:resolved', 'pool:closed']);
    expect(clock.pending).toBe(0);
  });

  it('[ALERT-10] are off where the host says so', async () => {
    const { pool, clock, emit, raised } = setUpEvents({ alerts: { enabled: false, for: 0 } });
    emit('limit:exceeded', { kind: 'total-memory', value: 5_000, limit: 4_096 });
    pool.alerts.raise({ kind: 'stuck', severity: 'warning', message: 'x' });
    clock.advance(HOLD);
    expect([raised, pool.status().alerts]).toEqual([[], []]);
  });
});

describe('a global pool', () => {
  endGlobalPoolAfterEach();

  it('[ALERT-10] that was made without options has no alerts, with options it has', async () => {
    const report = { kind: 'breaker-open', severity: 'critical', message: 'x' } as const;
    const unasked = MCPServerPool.global();
    unasked.alerts.raise(report);
    expect(unasked.alerts.active()).toEqual([]);
    await unasked.shutdown();
    const asked = MCPServerPool.global({});
    asked.alerts.raise(report);
    expect(asked.alerts.active()).toHaveLength(1);
  });
});
