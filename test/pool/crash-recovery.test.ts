import { describe, expect, it } from 'vitest';
import type { MCPServerPool } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

describe('a server that ends unexpectedly', () => {
  it('[FAIL-4] is started again: leases and transports stay, ids follow, the slot stays taken', async () => {
    const { pool, launcher, emitted } = setUp({ servers: { a: shared }, limits: { maxProcesses: 1 } });
    const [one, two] = await leases(pool, 2);
    const before = { pid: one?.lease.pid, instanceId: one?.lease.instanceId };
    const other = pool.getServer('a', { tenant: 'other' });
    launcher.last.exit({ signal: 'SIGKILL' });
    const answer = one?.client.request('tools/list');
    await flush();
    expect(await answer).toEqual({ echo: undefined });
    expect(await two?.client.request('resources/read', { uri: 'x' })).toEqual({ echo: { uri: 'x' } });
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(one?.lease.pid).not.toBe(before.pid);
    expect(two?.lease.instanceId).toBe(one?.lease.instanceId);
    expect([one?.client.closeCount, two?.client.closeCount]).toEqual([0, 0]);
    expect(launcher.maximum).toBe(1);
    expect(await outcome(other)).toBe('pending');
    expect(pool.metrics()).toMatchObject({ crashes: 1, restarts: 1, started: 2 });
    const events = emitted.filter(({ event }) => event.startsWith('server:restart') || event === 'lease:moved');
    expect(events).toMatchObject([
      { event: 'server:restarting', payload: { instanceId: before.instanceId, delay: 0, leases: [{}, {}] } },
      { event: 'server:restarted', payload: { previousInstanceId: before.instanceId, leases: [{}, {}] } },
      { event: 'lease:moved', payload: { leaseId: one?.lease.id, previousInstanceId: before.instanceId } },
      { event: 'lease:moved', payload: { leaseId: two?.lease.id } },
    ]);
    one?.lease.release();
    two?.lease.release();
    expect((await other).tenant).toBe('other');
  });

  it('[CGROUP-5] for lack of memory says so in the event, the error and the lost request', async () => {
    const limited = { ...shared, cgroupLimits: { memoryMB: 64 } };
    const { pool, launcher, emitted } = setUp({ servers: { a: limited } }, { answer: false });
    const [one] = await leases(pool, 1);
    const lost = one?.client.request('tools/call', { name: 'x' }) ?? Promise.resolve();
    await flush();
    launcher.last.exit({ signal: 'SIGKILL', outOfMemory: true });
    expect(await rejection(lost)).toMatchObject({
      message: expect.stringMatching(
        /was ended by SIGKILL, which the pool did not ask for: .* raise cgroupLimits\.memoryMB \(64\)/,
      ),
      data: { reason: 'SERVER_EXITED', signal: 'SIGKILL', outOfMemory: true },
    });
    const payload = (event: string) => emitted.find((one) => one.event === event)?.payload;
    expect(payload('server:exited')).toMatchObject({ signal: 'SIGKILL', outOfMemory: true });
    expect(payload('server:restarting')).toMatchObject({ error: { data: { outOfMemory: true } } });
  });

  it('[FAIL-1] [FAIL-4] answers what was under way: lists again, calls with an error that says why', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { answer: false });
    const [one] = await leases(pool, 1);
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    const call = one?.client.request('tools/call', { name: 'x' }) ?? Promise.resolve();
    await flush();
    launcher.auto = { ...launcher.auto, answer: true };
    launcher.last.exit({ exitCode: 3 });
    expect(await rejection(call)).toMatchObject({
      code: -32_000,
      data: { reason: 'SERVER_EXITED', retryable: true, mayHaveRun: true, exitCode: 3, signal: null },
    });
    expect(await list).toEqual({ echo: undefined });
  });

  it('[FAIL-1] refuses what was under way at two crashes', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { answer: false });
    const [one] = await leases(pool, 1);
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush(6);
    expect(launcher.last.received.map(({ method }) => method)).toContain('tools/list');
    launcher.last.exit({ exitCode: 1 });
    expect(await rejection(list)).toMatchObject({ data: { reason: 'SERVER_EXITED', retryable: true } });
  });

  it('[FAIL-4] closes its leases where onCrash says so, and an exclusive one by default', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, onCrash: 'close' } } });
    const [one] = await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    await one?.client.closed;
    expect(one?.lease.release()).toBe(false);
    expect(pool.metrics().restarts).toBe(0);
  });

  it('[FAIL-4] keeps the lease of an exclusive server where onCrash says so', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', onCrash: 'restart' } } });
    const [one] = await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(one?.lease.pid).toBe(launcher.last.pid);
    one?.lease.release();
    expect(pool.status()).toMatchObject({ idle: 1, leases: 0 });
  });

  it('[FAIL-4] is not started again when no caller needs it', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    (await pool.getServer('a')).release();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(1);
    expect(pool.status().processes).toBe(0);
  });

  it('[FAIL-4] is not started again when its last lease is released before, also while it waits for its time', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: shared } }, { end: false });
    const [one] = await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(one?.lease.release()).toBe(true);
    await clock.advanceAndFlush(60_000);
    expect(launcher.servers).toHaveLength(2);
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-4] [BUDGET-1] is started again only when the old tree is proven dead', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { end: false });
    const [one] = await leases(pool, 1);
    const first = launcher.last;
    // A message that is no use: the connection is broken, though the process lives.
    first.stdout.end();
    await flush();
    const waiting = one?.client.request('tools/list') ?? Promise.resolve();
    expect(await outcome(waiting)).toBe('pending');
    expect(launcher.servers).toHaveLength(1);
    first.exit();
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(await waiting).toEqual({ echo: undefined });
  });

  it('[FAIL-4] serves callers that come while it is started again', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxInstances: 1 } } });
    await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush();
    const late = pool.getServer('a');
    expect(await outcome(late)).toBe('pending');
    launcher.last.initialize();
    expect((await late).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[END-2] is not started again by a pool that shuts down', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { end: false });
    const [one] = await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    const report = pool.shutdown();
    await flush();
    for (const server of launcher.living) server.exit();
    expect((await report).survivors).toEqual([]);
    expect(one?.client.closeCount).toBe(1);
    expect(launcher.living).toHaveLength(0);
  });

  it.each([
    ['was removed', (pool) => pool.removeServer('a')],
    ['is shared in another way', (pool) => pool.updateServer('a', { ...shared, sharing: 'exclusive' })],
  ] satisfies [string, (pool: MCPServerPool) => Promise<void>][])(
    '[FAIL-4] [DEF-2] is given up at once in its backoff when it %s',
    async (_what, change) => {
      const restart = { minDelay: 1_000_000, maxDelay: 1_000_000 };
      const { pool, launcher } = setUp({ servers: { a: { ...shared, restart } } });
      const [one] = await leases(pool, 1);
      for (let crash = 0; crash < 2; crash++) {
        launcher.last.exit({ exitCode: 1 });
        await flush(10);
      }
      expect(pool.status()).toMatchObject({ processes: 1, leases: 1 });
      await change(pool);
      await one?.client.closed;
      expect(one?.client.errors[0]).toMatchObject({ message: expect.stringContaining('was not started again') });
      expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
      expect(launcher.servers).toHaveLength(2);
    },
  );

  it('[PROOF-1] cannot be started again when nothing proves its end and no slot is free', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...shared, maxInstances: 1 } }, cleanup: { retries: 0 } },
      { end: false },
    );
    const [one] = await leases(pool, 1);
    launcher.last.stdout.end();
    await clock.advanceAndFlush(1_000);
    launcher.last.survive();
    await one?.client.closed;
    expect(one?.client.errors[0]).toMatchObject({ code: 'SERVER_EXITED', message: expect.stringContaining('slot') });
    expect(pool.status()).toMatchObject({ processes: 1, leases: 0 });
    expect(launcher.servers).toHaveLength(1);
  });

  it.each([
    { why: 'memory is short', gate: { shortage: { memoryMB: 4_100, limitMB: 4_096 } } },
    {
      why: 'a level',
      gate: { overload: { level: 'critical', measured: 31, threshold: 30, by: 'processes' } as const },
    },
  ])(
    '[GATE-4] is started again while nothing new may be started ($shortage$overload), if a slot is free',
    async (gate) => {
      const { pool, launcher, clock } = setUp(
        { servers: { a: { ...shared, maxInstances: 2 } }, cleanup: { retries: 0 } },
        { end: false },
      );
      const [one] = await leases(pool, 1);
      const { fleet, scheduler } = partsOf(pool);
      scheduler.run(() => Object.assign(fleet.gate, gate));
      launcher.last.stdout.end();
      await clock.advanceAndFlush(1_000);
      launcher.last.survive();
      await flush();
      expect(launcher.servers).toHaveLength(2);
      expect(one?.client.errors).toEqual([]);
      expect(await one?.client.request('tools/list', { n: 1 })).toEqual({ echo: { n: 1 } });
      expect(pool.status()).toMatchObject({ processes: 2, leases: 1 });
    },
  );
});
