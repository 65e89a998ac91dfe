import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { AcquireOptions, MCPServerPool, PooledServer } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import type { FakeLauncher } from '../helpers/fake-launcher.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const shared = { command: 'fake', sharing: 'shared' } as const;

async function leases(pool: MCPServerPool, count: number): Promise<{ lease: PooledServer; client: RawClient }[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const lease = await pool.getServer('a');
      return { lease, client: await RawClient.connect(lease.transport) };
    }),
  );
}

/** A caller whose server exits before it is ready. */
async function failStart(pool: MCPServerPool, launcher: FakeLauncher, options?: AcquireOptions): Promise<void> {
  const call = rejection(pool.getServer('a', options));
  await flush();
  launcher.last.exit({ exitCode: 1 });
  await call;
}

describe('a server that ends unasked', () => {
  it('[FAIL-4] is started again: leases and transports stay, ids follow, the slot stays taken', async () => {
    const { pool, launcher, told } = setUp({ servers: { a: shared }, limits: { maxProcesses: 1 } });
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
    const events = told.filter(({ event }) => event.startsWith('server:restart') || event === 'lease:moved');
    expect(events).toMatchObject([
      { event: 'server:restarting', payload: { instanceId: before.instanceId, delay: 0, leases: 2 } },
      { event: 'server:restarted', payload: { previousInstanceId: before.instanceId, leases: 2 } },
      { event: 'lease:moved', payload: { leaseId: one?.lease.id, previousInstanceId: before.instanceId } },
      { event: 'lease:moved', payload: { leaseId: two?.lease.id } },
    ]);
    one?.lease.release();
    two?.lease.release();
    expect((await other).tenant).toBe('other');
  });

  it('[CGROUP-5] for lack of memory says so in the event, the error and the lost request', async () => {
    const limited = { ...shared, cgroupLimits: { memoryMB: 64 } };
    const { pool, launcher, told } = setUp({ servers: { a: limited } }, { answer: false });
    const [one] = await leases(pool, 1);
    const lost = one?.client.request('tools/call', { name: 'x' }) ?? Promise.resolve();
    await flush();
    launcher.last.exit({ signal: 'SIGKILL', outOfMemory: true });
    expect(await rejection(lost)).toMatchObject({
      message: expect.stringMatching(/was ended by SIGKILL unasked: .* raise cgroupLimits\.memoryMB \(64\)/),
      data: { reason: 'SERVER_EXITED', signal: 'SIGKILL', outOfMemory: true },
    });
    const payload = (event: string) => told.find((one) => one.event === event)?.payload;
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

  it('[FAIL-4] is not started again for nobody', async () => {
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
});

describe('a server that fails again and again', () => {
  const looping = { ...shared, restart: { maxRestarts: 2, minDelay: 100, cooldown: 5_000 } };

  it('[FAIL-6] opens its breaker: leases end, callers are refused at once with the last words, a probe decides', async () => {
    const { pool, launcher, clock, told } = setUp({ servers: { a: looping } });
    const [one] = await leases(pool, 1);
    for (let crash = 0; crash < 3; crash++) {
      launcher.last.complain(`crash ${crash}`);
      launcher.last.exit({ exitCode: 1 });
      await flush();
      await clock.advanceAndFlush(400);
    }
    await one?.client.closed;
    expect(one?.client.closeCount).toBe(1);
    expect(one?.client.errors[0]).toMatchObject({ code: 'BREAKER_OPEN', data: { stderrTail: 'crash 2\n' } });
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
    const refused = await rejection(pool.getServer('a'));
    expect(refused).toBeInstanceOf(PoolError);
    expect(refused).toMatchObject({ code: 'BREAKER_OPEN', data: { stderrTail: 'crash 2\n' } });
    expect(launcher.servers).toHaveLength(3);
    launcher.auto = { ...launcher.auto, initialize: false };
    await clock.advanceAndFlush(5_000);
    const probe = pool.getServer('a');
    await flush();
    expect(launcher.servers).toHaveLength(4);
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.last.exit({ exitCode: 1 });
    expect(await rejection(probe)).toMatchObject({ code: 'SERVER_EXITED' });
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.auto = { ...launcher.auto, initialize: true };
    await clock.advanceAndFlush(5_000);
    expect((await pool.getServer('a')).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(5);
    expect(told.filter(({ event }) => event.startsWith('breaker')).map(({ event }) => event)).toEqual([
      'breaker:opened',
      'breaker:half-opened',
      'breaker:opened',
      'breaker:half-opened',
      'breaker:closed',
    ]);
  });

  it('[FAIL-6] [TENANT-1] refuses nothing to another tenant, and shows it no word of this one', async () => {
    const { pool, launcher } = setUp({ servers: { a: looping } });
    for (let crash = 0; crash < 3; crash++) {
      launcher.auto = { ...launcher.auto, initialize: false };
      await failStart(pool, launcher, { tenant: 'alice' });
    }
    expect(await rejection(pool.getServer('a', { tenant: 'alice' }))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.auto = { ...launcher.auto, initialize: true };
    expect((await pool.getServer('a', { tenant: 'bob' })).tenant).toBe('bob');
  });

  it('[FAIL-6] rejects those who wait when the breaker opens, also where maxInstances is reached', async () => {
    const { pool, launcher } = setUp(
      { servers: { a: { command: 'fake', maxInstances: 1, restart: { maxRestarts: 0 } } } },
      { initialize: false },
    );
    const calls = Array.from({ length: 3 }, () => rejection(pool.getServer('a')));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    expect(await Promise.all(calls)).toMatchObject([
      { code: 'SERVER_EXITED' },
      { code: 'BREAKER_OPEN' },
      { code: 'BREAKER_OPEN' },
    ]);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[FAIL-6] is forgiven when its definition is changed', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...looping, restart: { maxRestarts: 0 } } } });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.auto = { ...launcher.auto, initialize: true };
    await pool.updateServer('a', { ...shared, args: ['better'] });
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });

  it('[FAIL-6] counts no end of an exclusive server that was of use to somebody', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', restart: { maxRestarts: 0 } } } });
    for (let lease = 0; lease < 3; lease++) {
      const [one] = await leases(pool, 1);
      await one?.client.request('tools/list');
      launcher.last.exit({ exitCode: 0 });
      await one?.client.closed;
    }
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });

  it('[FAIL-6] a probe that is given up lets the next start be the probe', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...looping, restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    const abort = new AbortController();
    const given = rejection(pool.getServer('a', { signal: abort.signal }));
    await flush();
    abort.abort();
    await given;
    await flush();
    launcher.auto = { ...launcher.auto, initialize: true };
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });
});

describe('replacement of a shared server', () => {
  it('[FAIL-5] starts the new process first, moves the leases, and lets the old one finish', async () => {
    const { pool, launcher, told } = setUp({ servers: { a: shared } }, { answer: false });
    const [one] = await leases(pool, 1);
    const slow = one?.client.request('tools/call', { name: 'slow' }) ?? Promise.resolve();
    await flush();
    launcher.auto = { ...launcher.auto, answer: true };
    const restarted = pool.restart('a');
    await flush();
    const [old, next] = launcher.servers;
    expect(one?.lease.pid).toBe(next?.pid);
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(old?.ending).toBe(false);
    old?.answer(old.received.at(-1)?.id ?? 0, 'slow answer');
    expect(await slow).toBe('slow answer');
    await restarted;
    expect(old?.alive).toBe(false);
    expect(one?.client.closeCount).toBe(0);
    expect(told.filter(({ event }) => event === 'server:restarted')).toHaveLength(1);
    expect(pool.metrics().restarts).toBe(0);
  });

  it('[FAIL-5] holds, drains, proves and starts where two may not run at once', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxInstances: 1 } } }, { answer: false, end: false });
    const [one] = await leases(pool, 1);
    const slow = one?.client.request('tools/call', { name: 'slow' }) ?? Promise.resolve();
    await flush();
    launcher.auto = { ...launcher.auto, answer: true };
    const restarted = pool.restart('a');
    await flush();
    const held = one?.client.request('tools/list') ?? Promise.resolve();
    expect(await outcome(held)).toBe('pending');
    const [old] = launcher.servers;
    expect(old?.received.at(-1)).toMatchObject({ method: 'tools/call' });
    expect(old?.ending).toBe(false);
    old?.answer(old.received.at(-1)?.id ?? 0, 'slow answer');
    expect(await slow).toBe('slow answer');
    await flush();
    expect(old?.ending).toBe(true);
    expect(launcher.servers).toHaveLength(1);
    old?.exit();
    expect(await held).toEqual({ echo: undefined });
    await restarted;
    expect(launcher.maximum).toBe(1);
  });

  it('[FAIL-5] gives what the old one does not finish in time a typed error, or to the new one', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: shared } }, { answer: false });
    const [one] = await leases(pool, 1);
    const call = one?.client.request('tools/call', { name: 'endless' }) ?? Promise.resolve();
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    await flush();
    launcher.auto = { ...launcher.auto, answer: true };
    const restarted = pool.restart('a', { timeout: 500 });
    await flush();
    await clock.advanceAndFlush(500);
    expect(await rejection(call)).toMatchObject({ data: { reason: 'SERVER_STOPPED', retryable: true } });
    expect(await list).toEqual({ echo: undefined });
    await restarted;
    expect(one?.client.closeCount).toBe(0);
  });

  it('[FAIL-5] leaves the old one in service when the new one cannot be started', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    const pid = one?.lease.pid;
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarting = rejection(pool.restart('a'));
    await flush();
    launcher.last.exit({ exitCode: 7 });
    expect(await restarting).toMatchObject({ code: 'SERVER_EXITED', data: { exitCode: 7 } });
    expect(one?.lease.pid).toBe(pid);
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect((await pool.getServer('a')).pid).toBe(pid);
  });

  it('[DEF-1] [FAIL-5] of a changed definition serves who comes after it by the new process only', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    const updated = pool.updateServer('a', { ...shared, args: ['new'] });
    const late = pool.getServer('a');
    expect(await outcome(late)).toBe('pending');
    launcher.last.initialize();
    expect((await late).pid).toBe(launcher.last.pid);
    expect(launcher.last.definition.args).toEqual(['new']);
    await updated;
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[DEF-1] [FAIL-5] changed again while the new one starts, ends with the last definition', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, {});
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    const first = pool.updateServer('a', { ...shared, args: ['one'] });
    await flush();
    launcher.auto = { ...launcher.auto, initialize: true };
    const second = pool.updateServer('a', { ...shared, args: ['two'] });
    await Promise.all([first, second]);
    await flush();
    expect(launcher.living.map(({ definition }) => definition.args)).toEqual([['two']]);
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(one?.lease.pid).toBe(launcher.last.pid);
  });

  it('[FAIL-5] goes on when the old one crashes meanwhile', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarted = pool.restart('a');
    await flush();
    launcher.servers[0]?.exit({ exitCode: 1 });
    const waiting = one?.client.request('tools/list') ?? Promise.resolve();
    expect(await outcome(waiting)).toBe('pending');
    launcher.last.initialize();
    expect(await waiting).toEqual({ echo: undefined });
    await restarted;
    expect(launcher.servers).toHaveLength(2);
    expect(one?.client.closeCount).toBe(0);
  });

  it('[DEF-2] removal lets leases go on with the old process', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    const removed = pool.removeServer('a');
    expect(await outcome(removed)).toBe('pending');
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    one?.lease.release();
    await removed;
    expect(launcher.living).toHaveLength(0);
  });
});

describe('a listener', () => {
  it('[FAIL-4] that releases the leases when it hears of the crash has no server started for them', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    pool.once('server:restarting', () => void one?.lease.release());
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(1);
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-5] that ends the old process when it hears of the new one loses no lease', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    pool.once('server:starting', () => launcher.servers[0]?.exit({ exitCode: 1 }));
    await pool.restart('a');
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[FAIL-5] [DEF-2] that removes the server while it is replaced leaves its leases on the old process', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    let removed: Promise<void> | undefined;
    pool.once('server:starting', () => {
      removed = pool.removeServer('a');
    });
    const restarted = pool.restart('a');
    await flush();
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(one?.lease.release()).toBe(true);
    await Promise.all([restarted, removed]);
    expect(launcher.living).toHaveLength(0);
  });

  it('[FAIL-5] [SPAWN-2] a definition that cannot be spawned leaves the old one in service', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.onLaunch = () => {
      throw new PoolError('COMMAND_NOT_FOUND', 'there is none');
    };
    expect(await rejection(pool.updateServer('a', { ...shared, command: 'gone' }))).toMatchObject({
      code: 'COMMAND_NOT_FOUND',
    });
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
  });

  it('[FAIL-6] a server that cannot be spawned again closes its leases when the breaker opens', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...shared, restart: { maxRestarts: 2 } } } });
    const [one] = await leases(pool, 1);
    launcher.onLaunch = () => {
      throw new PoolError('COMMAND_NOT_FOUND', 'there is none');
    };
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(1_000);
    await one?.client.closed;
    expect(one?.client.errors[0]).toMatchObject({ code: 'BREAKER_OPEN' });
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-4] [TENANT-1] that releases a lease as soon as it moved gives its server to one caller, not to two', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', onCrash: 'restart' } } });
    const [one] = await leases(pool, 1);
    pool.once('lease:moved', () => void one?.lease.release());
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1, leases: 0 });
    const [first, second] = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    expect(first?.pid).not.toBe(second?.pid);
  });

  it('[FAIL-4] that releases the last lease when its server is ready again parks it once', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    pool.once('server:ready', () => void one?.lease.release());
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1, leases: 0 });
  });

  it('[FAIL-4] [DEF-2] that removes the server when it hears of the crash ends its leases with why', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { answer: false });
    const [one] = await leases(pool, 1);
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    await flush();
    let removed: Promise<void> | undefined;
    pool.once('server:restarting', () => {
      removed = pool.removeServer('a');
    });
    launcher.last.exit({ exitCode: 1 });
    expect(await rejection(list)).toMatchObject({ data: { reason: 'SERVER_EXITED' } });
    await one?.client.closed;
    await removed;
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-4] [DEF-2] a server that is removed while it waits for its restart ends its leases', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    const first = launcher.last;
    first.auto = { ...first.auto, end: false };
    first.stdout.end();
    await flush();
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    const removed = pool.removeServer('a');
    first.exit();
    expect(await rejection(list)).toMatchObject({ code: -32_000 });
    await one?.client.closed;
    await removed;
    expect(launcher.servers).toHaveLength(1);
  });

  it('[FAIL-6] [END-2] that shuts the pool down when a probe is let through leaves nothing behind', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...shared, restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    let closed: Promise<unknown> | undefined;
    pool.once('breaker:half-opened', () => {
      closed = pool.shutdown();
    });
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'POOL_CLOSED' });
    await closed;
    expect(launcher.living).toHaveLength(0);
    expect(pool.status()).toMatchObject({ state: 'closed', processes: 0 });
  });

  it('[FAIL-5] [DEF-2] that removes the server when its replacement is ready leaves no lease without one', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    let removed: Promise<void> | undefined;
    pool.once('server:ready', () => {
      removed = pool.removeServer('a');
    });
    const restarted = pool.restart('a');
    await flush();
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    one?.lease.release();
    await Promise.all([restarted, removed]);
    expect(pool.status().processes).toBe(0);
  });
});

describe('definitions, breakers and limits', () => {
  it('[DEF-1] [TENANT-3] a replaced definition stays replaced, though its replacement and a restart fail', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    await leases(pool, 1);
    const old = launcher.last.pid;
    launcher.auto = { ...launcher.auto, initialize: false };
    for (const call of [() => pool.updateServer('a', { ...shared, env: { X: 'new' } }), () => pool.restart('a')]) {
      const failed = rejection(call());
      await flush();
      launcher.last.exit({ exitCode: 1 });
      await failed;
    }
    launcher.auto = { ...launcher.auto, initialize: true };
    expect((await pool.getServer('a')).pid).not.toBe(old);
  });

  it('[FAIL-6] an open breaker evicts nobody, and refuses at once in a full pool', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { ...shared, restart: { maxRestarts: 0 } }, b: { command: 'fake' } },
      limits: { maxProcesses: 1 },
    });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    launcher.auto = { ...launcher.auto, initialize: true };
    (await pool.getServer('b')).release();
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    expect(pool.status().servers.b?.idle).toBe(1);
  });

  it('[FAIL-6] a probe whose definition gets another policy has all its seats when it is ready', async () => {
    const one = { ...shared, maxInstances: 1, restart: { maxRestarts: 0, cooldown: 1_000 } };
    const { pool, launcher, clock } = setUp({ servers: { a: one } }, { initialize: false });
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    const probe = pool.getServer('a');
    await flush();
    await pool.updateServer('a', { ...one, idleTimeout: 7 });
    launcher.last.initialize();
    expect((await pool.getServer('a')).pid).toBe((await probe).pid);
  });

  it('[FAIL-6] another tenant that fails later does not make an open breaker forget', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { command: 'fake', restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher, { tenant: 'x' });
    await clock.advanceAndFlush(1_000);
    await failStart(pool, launcher, { tenant: 'y' });
    const calls = [pool.getServer('a', { tenant: 'x' }), pool.getServer('a', { tenant: 'x' })].map(rejection);
    await flush();
    expect(launcher.living).toHaveLength(1);
    expect(await calls[1]).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.last.exit({ exitCode: 1 });
    await calls[0];
  });

  it('[LEASE-1] silent leases of one tenant are not taken back for another that gains nothing', async () => {
    const { pool, clock } = setUp({ servers: { a: { ...shared, maxInstances: 1, leaseIdleTimeout: 1_000 } } });
    const [busy, silent] = [await pool.getServer('a', { tenant: 'x' }), await pool.getServer('a', { tenant: 'x' })];
    const client = await RawClient.connect(busy.transport);
    const waiting = pool.getServer('a', { tenant: 'y' });
    for (let round = 0; round < 3; round++) {
      await clock.advanceAndFlush(900);
      await client.request('tools/list');
    }
    expect(await outcome(waiting)).toBe('pending');
    expect(silent.release()).toBe(true);
    busy.release();
    expect((await waiting).tenant).toBe('y');
  });

  it('[FAIL-5] [PROOF-1] restart() says when no other could be started, because the old one could not be ended', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...shared, maxInstances: 1 } }, cleanup: { retries: 0 } },
      { end: false },
    );
    const [one] = await leases(pool, 1);
    const restarting = rejection(pool.restart('a'));
    await flush();
    launcher.last.survive();
    await clock.advanceAndFlush(1);
    expect(await restarting).toMatchObject({ code: 'SERVER_EXITED', message: expect.stringContaining('slot') });
    await one?.client.closed;
    launcher.last.exit();
    await clock.advanceAndFlush(30_000);
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });
});
