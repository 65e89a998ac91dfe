import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { MCPServerPool } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher } from '../helpers/fake-launcher.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const codeOf = async (promise: Promise<unknown>) => ((await rejection(promise)) as PoolError).code;
const server = { command: 'fake' };

describe('idle instances', () => {
  it('[LIFE-1] end after idleTimeout, counted from their last use', async () => {
    const { clock, pool, launcher, reasons } = setUp({ servers: { a: { ...server, idleTimeout: 100 } } });
    (await pool.getServer('a')).release();
    await clock.advanceAndFlush(99);
    (await pool.getServer('a')).release();
    await clock.advanceAndFlush(99);
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(1);
    expect(launcher.living).toHaveLength(0);
    expect(reasons()).toEqual(['idle']);
  });

  it('[LIFE-2] minIdle of them stay, are replaced when one is leased, and are never more than the budgets allow', async () => {
    const { clock, pool, launcher } = setUp({
      servers: { a: { ...server, minIdle: 2, idleTimeout: 100, maxInstances: 3 } },
    });
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    await clock.advanceAndFlush(1_000);
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    const first = await pool.getServer('a');
    const second = await pool.getServer('a');
    await flush();
    expect(pool.status()).toMatchObject({ processes: 3, idle: 1 });
    first.release();
    second.release();
    await clock.advanceAndFlush(1_000);
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    expect(launcher.maximum).toBe(3);
  });

  it('[LIFE-2] a minIdle start that fails is tried again later and later', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, minIdle: 1 } } }, { spawn: false });
    for (const delay of [1_000, 2_000, 4_000]) {
      launcher.last.exit({ exitCode: 1 });
      await flush();
      const launched = launcher.servers.length;
      await clock.advanceAndFlush(delay - 1);
      expect(launcher.servers).toHaveLength(launched);
      await clock.advanceAndFlush(1);
      expect(launcher.servers).toHaveLength(launched + 1);
    }
    expect(pool.metrics().startFailures).toBe(3);
  });

  it('[LIFE-3] warm starts them ahead, says how many are ready, and tells why none is', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server }, limits: { maxProcesses: 3 } });
    expect(await pool.warm('a', { count: 2 })).toBe(2);
    expect(await pool.warm('b', { count: 2 })).toBe(1);
    const lease = await pool.getServer('a');
    expect(launcher.servers).toHaveLength(3);
    lease.release();
    launcher.auto = { ...launcher.auto, initialize: false };
    const { pool: other, launcher: broken } = setUp({ servers: { a: server } }, { initialize: false });
    const warming = other.warm('a');
    await flush();
    broken.last.exit({ exitCode: 7 });
    expect(await codeOf(warming)).toBe('SERVER_EXITED');
  });
});

describe('spare instances', () => {
  it('[LIFE-2] come back once the last waiter was served', async () => {
    const { pool } = setUp({ servers: { a: { ...server, minIdle: 1, maxInstances: 2 } } });
    await flush();
    const [first, second] = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    const third = pool.getServer('a');
    first.release();
    await third;
    second.release();
    (await third).release();
    await pool.getServer('a');
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, idle: 1 });
  });

  it('[LIFE-2] do not shield what a tenant left idle, nor end for it', async () => {
    const { clock, pool, launcher, reasons } = setUp({
      servers: { a: { ...server, minIdle: 1, idleTimeout: 100, maxInstances: 3 } },
    });
    await flush();
    const spare = launcher.last.pid;
    (await pool.getServer('a', { tenant: 't' })).release();
    await clock.advanceAndFlush(1_000);
    expect(reasons()).toEqual(['idle']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([spare]);
  });
});

describe('instances that may not be used for ever', () => {
  it('[LIFE-4] end after maxUses leases', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...server, maxUses: 2 } } });
    for (let use = 0; use < 4; use++) (await pool.getServer('a')).release();
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(reasons()).toEqual(['max-uses', 'max-uses']);
  });

  it('[LIFE-4] end after maxLifetime, up to a tenth earlier: when idle at once, when leased with the lease', async () => {
    const { clock, pool, reasons } = setUp({
      servers: { a: { ...server, maxLifetime: 1_000, idleTimeout: Infinity } },
    });
    const lease = await pool.getServer('a');
    const idle = await pool.getServer('a');
    idle.release();
    await clock.advanceAndFlush(899);
    expect(reasons()).toEqual([]);
    await clock.advanceAndFlush(101);
    expect(reasons()).toEqual(['max-lifetime']);
    lease.release();
    await flush();
    expect(reasons()).toEqual(['max-lifetime', 'max-lifetime']);
  });
});

describe('tenants and owners', () => {
  it('[TENANT-1] the failed start of one is never told to another', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } }, { initialize: false });
    const alice = codeOf(pool.getServer('a', { tenant: 'alice' }));
    await flush();
    launcher.last.complain("alice's secret");
    launcher.last.exit({ exitCode: 1 });
    expect(await alice).toBe('SERVER_EXITED');
    const bob = rejection(pool.getServer('a', { tenant: 'bob', timeout: 100 }));
    await clock.advanceAndFlush(100);
    expect(inspect(await bob, { depth: 9 })).not.toContain('secret');
  });

  it('[TENANT-2] releaseOwner ends the start that only its owner waited for', async () => {
    const { pool, reasons } = setUp({ servers: { a: { ...server, reuse: 'owner' } } }, { initialize: false });
    const waiting = codeOf(pool.getServer('a', { owner: 'me' }));
    await flush();
    pool.releaseOwner('me');
    expect(await waiting).toBe('ACQUIRE_ABORTED');
    await flush();
    expect(reasons()).toEqual(['unwanted']);
  });

  it('[TENANT-1] no instance is ever used by two tenants; without room the idle one of the other ends', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    (await pool.getServer('a', { tenant: 'alice' })).release();
    const again = await pool.getServer('a', { tenant: 'alice' });
    expect(launcher.servers).toHaveLength(1);
    again.release();
    const bob = await pool.getServer('a', { tenant: 'bob' });
    expect(bob.pid).not.toBe(again.pid);
    expect(reasons()).toEqual(['evicted']);
  });

  it('[TENANT-1] with reuse: owner, only the same owner gets it; with never, nobody', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { ...server, reuse: 'owner' }, b: { ...server, reuse: 'never' } },
    });
    const pids: (number | undefined)[] = [];
    for (const owner of ['one', 'two', 'one']) {
      const lease = await pool.getServer('a', { tenant: 't', owner });
      pids.push(lease.pid);
      lease.release();
    }
    expect(pids[2]).toBe(pids[0]);
    expect(pids[1]).not.toBe(pids[0]);
    for (let use = 0; use < 2; use++) (await pool.getServer('b')).release();
    expect(launcher.servers.filter(({ definition }) => definition.name === 'b')).toHaveLength(2);
  });

  it('[TENANT-2] releaseOwner releases its leases and gives its waiting calls up, and nobody else', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    const mine = await pool.getServer('a', { owner: 'me' });
    const waiting = pool.getServer('a', { owner: 'me' });
    const other = pool.getServer('a', { owner: 'you' });
    expect(pool.releaseOwner('me')).toBe(1);
    expect(await codeOf(waiting)).toBe('ACQUIRE_ABORTED');
    expect(mine.release()).toBe(false);
    expect((await other).owner).toBe('you');
  });

  it('[TENANT-2] releaseTenant also ends what its tenant left idle', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } });
    await pool.getServer('a', { tenant: 'alice' });
    (await pool.getServer('a', { tenant: 'alice' })).release();
    const bob = await pool.getServer('a', { tenant: 'bob' });
    expect(pool.releaseTenant('alice')).toBe(1);
    await flush();
    expect(reasons()).toEqual(['tenant-released', 'tenant-released']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([bob.pid]);
  });
});

describe('waiting', () => {
  it('[QUEUE-3] the oldest waiter goes first, whatever its server: a busy name starves nobody', async () => {
    const { pool } = setUp({ servers: { busy: server, rare: server }, limits: { maxProcesses: 1 } });
    const first = await pool.getServer('busy');
    const rare = pool.getServer('rare');
    const later = pool.getServer('busy');
    first.release();
    const served = await rare;
    expect(served.name).toBe('rare');
    expect(await outcome(later)).toBe('pending');
    served.release();
    (await later).release();
  });

  it('[QUEUE-3] an idle instance ends for a caller of another server, the one idle longest', async () => {
    const { clock, pool, launcher } = setUp({
      servers: { a: server, b: server, c: server },
      limits: { maxProcesses: 2 },
    });
    const a = await pool.getServer('a');
    const b = await pool.getServer('b');
    b.release();
    clock.advance(5);
    a.release();
    await pool.getServer('c');
    expect(launcher.livingOf('b')).toHaveLength(0);
    expect(launcher.livingOf('a')).toHaveLength(1);
  });

  it('[QUEUE-4] one caller more than maxWaiting is refused at once; starting servers do not count', async () => {
    const { pool, told } = setUp({ servers: { a: { ...server, maxInstances: 1 } }, maxWaiting: 1 });
    const lease = await pool.getServer('a');
    const waiting = pool.getServer('a');
    const refused = (await rejection(pool.getServer('a'))) as PoolError;
    expect(refused.code).toBe('QUEUE_FULL');
    expect(refused.message).toContain('maxWaiting');
    lease.release();
    (await waiting).release();
    expect(told.map(({ event }) => event)).toEqual([
      'queue:waiting',
      'queue:served',
      'queue:waiting',
      'limit:reached',
      'queue:rejected',
      'queue:served',
    ]);
  });

  it('[QUEUE-4] with maxWaiting: 0 nobody waits for others, and nothing ends for who may not wait', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { ...server, maxInstances: 1 }, b: { ...server, minIdle: 1 } },
      maxWaiting: 0,
    });
    await flush();
    (await pool.getServer('a', { tenant: 'alice' })).release();
    expect(await codeOf(pool.getServer('a', { tenant: 'bob' }))).toBe('QUEUE_FULL');
    expect(launcher.livingOf('a')).toHaveLength(1);
    const lease = await pool.getServer('a', { tenant: 'alice' });
    const other = pool.getServer('b', { tenant: 'alice' });
    expect(await codeOf(pool.getServer('a', { tenant: 'alice' }))).toBe('QUEUE_FULL');
    expect((await other).name).toBe('b');
    lease.release();
  });

  it('[QUEUE-1] learn of their leases in that order, also one that calls while another is told to wait', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 2 } } });
    const learnt: string[] = [];
    const call = (who: string) => pool.getServer('a').then(() => learnt.push(who));
    const calls: Promise<unknown>[] = [];
    pool.once('queue:waiting', () => calls.push(call('second')));
    // Not from a promise: the fake servers are ready before any promise of this turn is looked at.
    await new Promise<void>((resolve) => {
      setImmediate(() => {
        calls.push(call('first'));
        resolve();
      });
    });
    await Promise.all(calls);
    expect(learnt).toEqual(['first', 'second']);
  });

  it('[QUEUE-1] a thousand callers at once on a cold definition are a matter of moments', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const served: number[] = [];
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, number) => {
        const lease = await pool.getServer('a');
        served.push(number);
        lease.release();
      }),
    );
    expect(served).toEqual(Array.from({ length: 1_000 }, (_, number) => number));
  });

  it('[QUEUE-3] a thousand callers of a hundred servers at once are served, too', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `server-${index}`);
    const { pool, launcher } = setUp({ servers: Object.fromEntries(names.map((name) => [name, server])) });
    const calls = Array.from({ length: 1_000 }, async (_, number) => {
      const lease = await pool.getServer(`server-${number % 100}`);
      lease.release();
    });
    await Promise.all(calls);
    expect(launcher.maximum).toBe(15);
  });

  it('[QUEUE-5] a deadline that passes says for what was waited, and what would help', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } }, { initialize: false });
    const starting = rejection(pool.getServer('a', { timeout: 50 }));
    await flush();
    launcher.last.complain('still loading');
    await clock.advanceAndFlush(50);
    const error = (await starting) as PoolError;
    expect(error.code).toBe('ACQUIRE_TIMEOUT');
    expect(error.data).toMatchObject({ name: 'a', after: 50, phase: 'start', stderrTail: 'still loading\n' });
    launcher.auto = { ...launcher.auto, initialize: true };
    await flush();
    await pool.getServer('a');
    const queued = rejection(pool.getServer('a', { timeout: 70 }));
    await clock.advanceAndFlush(70);
    const blocked = (await queued) as PoolError;
    expect(blocked.data).toMatchObject({ after: 70, phase: 'queue' });
    expect(blocked.message).toMatch(/maxInstances.*exclusive/);
  });

  it('[QUEUE-5] the deadline covers waiting, spawn and handshake together', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    const lease = await pool.getServer('a');
    const waiting = codeOf(pool.getServer('a', { timeout: 100, tenant: 'other' }));
    await clock.advanceAndFlush(60);
    launcher.auto = { ...launcher.auto, initialize: false };
    lease.release();
    await flush();
    expect(launcher.servers).toHaveLength(2);
    await clock.advanceAndFlush(40);
    expect(await waiting).toBe('ACQUIRE_TIMEOUT');
  });

  it('[QUEUE-6] a start whose caller gave up serves the next; without one it ends and its slot comes back', async () => {
    const { pool, launcher, reasons } = setUp(
      { servers: { a: { ...server, maxInstances: 1 } } },
      { initialize: false },
    );
    const abort = new AbortController();
    const first = pool.getServer('a', { signal: abort.signal });
    const second = pool.getServer('a');
    await flush();
    abort.abort(new Error('changed my mind'));
    const error = (await rejection(first)) as PoolError;
    expect(error.code).toBe('ACQUIRE_ABORTED');
    expect(error.cause).toEqual(new Error('changed my mind'));
    launcher.last.initialize();
    const lease = await second;
    expect(launcher.servers).toHaveLength(1);
    expect(lease.pid).toBe(launcher.last.pid);
    const alone = new AbortController();
    const third = pool.getServer('a', { signal: alone.signal, tenant: 'other' });
    lease.release();
    await flush();
    expect(launcher.living.map(({ pid }) => pid)).toEqual([launcher.last.pid]);
    alone.abort();
    expect(await codeOf(third)).toBe('ACQUIRE_ABORTED');
    await flush();
    expect(reasons()).toEqual(['evicted', 'unwanted']);
    expect(pool.status().processes).toBe(0);
  });

  it('[QUEUE-6] a signal that was aborted before starts nothing', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    expect(await codeOf(pool.getServer('a', { signal: AbortSignal.abort() }))).toBe('ACQUIRE_ABORTED');
    expect(launcher.servers).toHaveLength(0);
  });

  it('[QUEUE-6] one signal serves any number of calls, without a warning of Node, and keeps no listener', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } }, { initialize: false });
    const warnings: Error[] = [];
    const listener = (warning: Error) => warnings.push(warning);
    process.on('warning', listener);
    onTestFinished(() => {
      process.off('warning', listener);
    });
    const abort = new AbortController();
    const calls = Array.from({ length: 30 }, () => codeOf(pool.getServer('a', { signal: abort.signal })));
    await flush();
    abort.abort();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['ACQUIRE_ABORTED']));
    await flush();
    expect(warnings).toEqual([]);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[START-1] a start that fails rejects the caller who waits longest; the others go on', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } }, { initialize: false });
    const first = pool.getServer('a');
    const second = pool.getServer('a');
    await flush();
    launcher.last.complain('no licence');
    launcher.last.exit({ exitCode: 3 });
    const error = (await rejection(first)) as PoolError;
    expect(error).toMatchObject({ code: 'SERVER_EXITED', data: { exitCode: 3, stderrTail: 'no licence\n' } });
    await flush();
    launcher.last.initialize();
    expect((await second).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(2);
  });
});

describe('a crash', () => {
  it('[DEATH-1] whose first sign is a closed pipe is told as a crash, with its code', async () => {
    const { pool, launcher, told } = setUp({ servers: { a: server } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    launcher.last.stdin.destroy(new Error('EPIPE'));
    expect(await rejection(client.request('tools/list'))).toMatchObject({ code: 'SERVER_EXITED' });
    launcher.last.exit({ exitCode: 3 });
    await client.closed;
    expect(told).toContainEqual({
      event: 'server:exited',
      payload: expect.objectContaining({ exitCode: 3, unexpected: true }),
    });
    expect(client.errors).toMatchObject([{ code: 'SERVER_EXITED', data: { exitCode: 3 } }]);
    expect(pool.metrics().crashes).toBe(1);
  });

  it('[DEATH-1] a server that closes its stdout but lives is ended: it can never answer', async () => {
    const { pool, launcher, clock, reasons } = setUp({ servers: { a: server } }, { answer: false });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    const call = rejection(client.request('tools/list'));
    await flush();
    launcher.last.stdout.end();
    await flush();
    await clock.advanceAndFlush(200);
    expect(await call).toMatchObject({ data: { reason: 'SERVER_EXITED', retryable: true } });
    expect(reasons()).toEqual(['broken']);
  });

  it('[DEATH-3] has what is left of the tree killed at once, even when the cleanup queue is busy', async () => {
    const { pool, launcher } = setUp({ servers: { a: server }, cleanup: { concurrency: 1 } }, { end: false });
    const busy = await pool.getServer('a');
    const { last: first } = launcher;
    await pool.getServer('a');
    busy.release();
    void pool.restart('a');
    await flush();
    expect(first.ends).toHaveLength(1);
    launcher.last.exit({ exitCode: 1 });
    expect(launcher.last.kills).toBe(1);
    expect(launcher.last.ends).toHaveLength(0);
    first.exit();
    await flush();
    expect(launcher.last.ends).toMatchObject([{ mode: 'emergency' }]);
  });
});

describe('leases', () => {
  it('[LEASE-1] a silent one is taken back when somebody waits, and not before', async () => {
    const { clock, pool, told } = setUp({ servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 1_000 } } });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    await clock.advanceAndFlush(5_000);
    await client.request('tools/list');
    const waiting = pool.getServer('a', { timeout: 10_000 });
    await clock.advanceAndFlush(999);
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(1);
    const next = await waiting;
    expect(client.closeCount).toBe(1);
    expect(((await rejection(client.request('ping'))) as PoolError).code).toBe('LEASE_RECLAIMED');
    expect(next.pid).toBe(lease.pid);
    expect(told.filter(({ event }) => event === 'lease:reclaimed')).toHaveLength(1);
  });

  it('[LEASE-1] one whose server works on an answer is not silent', async () => {
    const { clock, pool, launcher } = setUp({
      servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 1_000 } },
    });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    launcher.last.auto = { ...launcher.last.auto, answer: false };
    const call = client.request('tools/call', { name: 'slow' });
    const waiting = codeOf(pool.getServer('a', { timeout: 5_000 }));
    await clock.advanceAndFlush(4_999);
    expect(await outcome(call)).toBe('pending');
    await clock.advanceAndFlush(1);
    expect(await waiting).toBe('ACQUIRE_TIMEOUT');
  });

  it('[LEASE-1] one that was busy when the caller came is taken back once it is silent', async () => {
    const { clock, pool, launcher } = setUp({
      servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 1_000 } },
    });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    launcher.last.auto = { ...launcher.last.auto, answer: false };
    const call = client.request('tools/call', { name: 'slow' });
    await flush();
    const waiting = pool.getServer('a', { timeout: 20_000 });
    await clock.advanceAndFlush(2_000);
    launcher.last.answer(launcher.last.received.at(-1)?.id ?? 0, {});
    await call;
    await clock.advanceAndFlush(2_100);
    await waiting;
    expect(client.closeCount).toBe(1);
  });

  it('[LEASE-1] so is the lease that the next caller got, when another one waits', async () => {
    const { clock, pool } = setUp({ servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 1_000 } } });
    await pool.getServer('a');
    const calls = [pool.getServer('a', { timeout: 20_000 }), pool.getServer('a', { timeout: 20_000 })];
    await clock.advanceAndFlush(2_000);
    await Promise.all(calls);
    expect(pool.metrics().reclaimed).toBe(2);
  });

  it('[LEASE-2] one held for longer than leakDetection is told once, with the stack of its borrower', async () => {
    const { clock, pool, told } = setUp({ servers: { a: server }, leakDetection: 1_000 });
    const lease = await pool.getServer('a');
    const leaks = () => told.filter(({ event }) => event === 'lease:leaked');
    await clock.advanceAndFlush(999);
    expect(leaks()).toEqual([]);
    await clock.advanceAndFlush(5_000);
    expect(leaks()).toHaveLength(1);
    expect(leaks()[0]).toMatchObject({ event: 'lease:leaked', payload: { leaseId: lease.id, held: 1_000 } });
    expect(JSON.stringify(leaks()[0])).toContain('policies.test.ts');
  });

  it('[LEASE-3] released twice says false; its transport closes once and then refuses', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    expect(pool.releaseServer(lease.id)).toBe(true);
    expect(pool.releaseServer(lease.id)).toBe(false);
    expect(lease.release()).toBe(false);
    await client.close();
    expect(client.closeCount).toBe(1);
    expect(await codeOf(lease.transport.send({ jsonrpc: '2.0', method: 'x' }))).toBe('LEASE_RELEASED');
    expect(await lease.ended).toBeUndefined();
  });

  it('[LEASE-3] its end, asked for while its client is told of it, is the end of the process', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, reuse: 'never' } } });
    const lease = await pool.getServer('a');
    await RawClient.connect(lease.transport);
    let ended: Promise<unknown> | undefined;
    lease.transport.onclose = () => {
      ended = lease.ended;
    };
    lease.release();
    expect(await ended).toMatchObject({ confirmed: true });
    expect(launcher.living).toEqual([]);
    expect(pool.releaseServer(undefined as never)).toBe(false);
  });

  it('[TENANT-1] what a client does to the result of initialize does not reach the next one', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const read = async () => {
      const lease = await pool.getServer('a');
      const client = new RawClient(lease.transport);
      await lease.transport.start();
      const result = (await client.initialize()) as { capabilities: Record<string, unknown> };
      lease.release();
      return result;
    };
    const first = await read();
    first.capabilities.evil = true;
    expect((await read()).capabilities).not.toHaveProperty('evil');
  });

  it('[LEASE-3] released with an open request ends the process, and says how', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } }, { answer: false });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    void client.request('tools/call', { name: 'slow' });
    lease.release();
    expect(await lease.ended).toMatchObject({ confirmed: true, pid: lease.pid });
    expect(reasons()).toEqual(['unfinished']);
    expect(launcher.living).toEqual([]);
  });
});

describe('definitions', () => {
  it('[DEF-1] a changed one ends idle and starting instances now, leased ones with their lease', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } });
    const leased = await pool.getServer('a');
    (await pool.getServer('a')).release();
    launcher.auto = { ...launcher.auto, initialize: false };
    const idle = await pool.getServer('a');
    const waiting = pool.getServer('a', { tenant: 'x' });
    idle.release();
    await flush();
    launcher.auto = { ...launcher.auto, initialize: true };
    const done = pool.updateServer('a', { command: 'fake', args: ['new'] });
    const fresh = await waiting;
    expect(launcher.servers.find(({ pid }) => pid === fresh.pid)?.definition.args).toEqual(['new']);
    expect(await outcome(done)).toBe('pending');
    leased.release();
    await done;
    expect(reasons()).toEqual(['replaced', 'replaced', 'replaced']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([fresh.pid]);
  });

  it('[DEF-1] a change of policy alone keeps the processes, and holds for them', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, idleTimeout: 1_000 } } });
    const lease = await pool.getServer('a');
    await pool.updateServer('a', { ...server, idleTimeout: 10 });
    lease.release();
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(10);
    expect(launcher.living).toHaveLength(0);
  });

  it('[DEF-1] a lower maxInstances holds at once for idle instances, and for leased ones with their lease', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...server, maxInstances: 3 } } });
    const leases = await Promise.all([pool.getServer('a'), pool.getServer('a'), pool.getServer('a')]);
    leases[0]?.release();
    await pool.updateServer('a', { ...server, maxInstances: 1 });
    await flush();
    expect(launcher.living).toHaveLength(2);
    for (const lease of leases) lease.release();
    await flush();
    expect(launcher.living).toHaveLength(1);
    expect(reasons()).toEqual(['surplus', 'surplus']);
  });

  it('[DEF-1] a change that makes room serves who waits', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    await pool.getServer('a');
    const waiting = pool.getServer('a');
    void pool.updateServer('a', { ...server, args: ['new'], maxInstances: 2 });
    await waiting;
  });

  it('[DEF-1] leases on the old process are taken back after the drain timeout', async () => {
    const { clock, pool, told } = setUp({ servers: { a: server } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    const done = pool.restart('a', { timeout: 500 });
    await clock.advanceAndFlush(500);
    await done;
    expect(client.closeCount).toBe(1);
    expect(told.some(({ event }) => event === 'lease:reclaimed')).toBe(true);
  });

  it('[DEF-2] a removed server rejects its waiters, is unknown, and can be added again within the caps', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } }, limits: { maxProcesses: 1 } });
    const lease = await pool.getServer('a');
    const waiting = pool.getServer('a');
    const removed = pool.removeServer('a');
    expect(await codeOf(waiting)).toBe('UNKNOWN_SERVER');
    expect(await codeOf(pool.getServer('a'))).toBe('UNKNOWN_SERVER');
    pool.addServer('a', { command: 'fake', args: ['again'] });
    const next = pool.getServer('a');
    expect(await outcome(next)).toBe('pending');
    lease.release();
    await removed;
    expect(launcher.servers.find(({ pid }) => pid === launcher.last.pid)?.definition.args).toEqual(['again']);
    await next;
    expect(launcher.maximum).toBe(1);
  });

  it('[DEF-2] adding a name twice is refused, with the call that would do', async () => {
    const { pool } = setUp({ servers: { a: server } });
    expect(() => pool.addServer('a', server)).toThrow(/updateServer/);
    expect(() => pool.addServer('b', { command: '' })).toThrow(/b\.command/);
  });

  it('the one-definition shorthand needs no name', async () => {
    const clock = new ManualClock();
    const launcher = new FakeLauncher();
    const pool = new MCPServerPool({ command: 'fake', args: ['x'], maxInstances: 2 }, { clock, launcher });
    const lease = await pool.getServer();
    expect(lease.name).toBe('default');
    await pool.shutdown();
  });
});

describe('the end of a pool', () => {
  it('[END-1] rejects who waits, lets requests finish, closes leases, and proves each end', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    launcher.last.auto = { ...launcher.last.auto, answer: false };
    const call = client.request('tools/call', { name: 'slow' });
    await flush();
    const request = launcher.last.received.find(({ method }) => method === 'tools/call');
    const waiting = pool.getServer('a');
    const closing = pool.shutdown();
    expect(await codeOf(waiting)).toBe('POOL_CLOSED');
    expect(await codeOf(pool.getServer('a'))).toBe('POOL_CLOSED');
    await clock.advanceAndFlush(100);
    expect(await outcome(closing)).toBe('pending');
    launcher.last.answer(request?.id ?? 0, 'done');
    await clock.advanceAndFlush(20);
    expect(await call).toBe('done');
    const report = await closing;
    expect(report).toMatchObject({ mode: 'graceful', leases: 1, rejected: 1, survivors: [] });
    expect(report.servers).toHaveLength(1);
    expect(client.closeCount).toBe(1);
    expect(await pool.shutdown()).toBe(report);
  });

  it('[END-1] requests still open after drainTimeout are answered with an error that says so', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } }, { answer: false });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    expect(launcher.living).toHaveLength(1);
    const call = client.request('tools/call', { name: 'slow' });
    const closing = pool.shutdown({ drainTimeout: 200 });
    await clock.advanceAndFlush(220);
    expect(await rejection(call)).toMatchObject({ code: -32000, data: { reason: 'POOL_CLOSED', retryable: false } });
    await closing;
  });

  it('[END-1] called again from what it closes, it is the same shutdown', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    const again: Promise<unknown>[] = [];
    let closed = 0;
    pool.on('pool:draining', () => again.push(pool.shutdown()));
    pool.on('pool:closed', () => {
      closed += 1;
    });
    const { onclose } = client.transport;
    client.transport.onclose = () => {
      onclose?.();
      again.push(pool.shutdown());
    };
    const report = await pool.shutdown();
    expect(await Promise.all(again)).toEqual([report, report]);
    expect(closed).toBe(1);
  });

  it('[END-2] called from a listener to a start, nothing is started after it', async () => {
    for (const start of ['minIdle', 'warm'] as const) {
      const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 3 } } });
      pool.once('server:starting', () => void pool.shutdown());
      if (start === 'warm') await pool.warm('a', { count: 3 }).catch(() => {});
      else await pool.updateServer('a', { ...server, minIdle: 3, maxInstances: 3 });
      await pool.shutdown();
      expect(launcher.servers).toHaveLength(1);
      expect(launcher.living).toEqual([]);
    }
  });

  it('[END-2] a start under way is ended, and shutdown does not resolve before', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } }, { spawn: false, end: false });
    const starting = pool.getServer('a');
    const failed = codeOf(starting);
    await flush();
    const closing = pool.shutdown();
    expect(await failed).toBe('POOL_CLOSED');
    expect(await outcome(closing)).toBe('pending');
    launcher.last.exit();
    expect((await closing).servers).toHaveLength(1);
  });

  it('[END-3] an emergency kills at once, also in the middle of a graceful end', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } }, { end: false });
    const lease = await pool.getServer('a');
    const closing = pool.shutdown();
    await flush();
    expect(launcher.last.kills).toBe(0);
    void pool.shutdown({ mode: 'emergency' });
    expect(launcher.last.kills).toBe(1);
    await flush();
    expect(launcher.last.ends.at(-1)?.signal?.aborted).toBe(true);
    launcher.last.exit({ signal: 'SIGKILL' });
    expect((await closing).mode).toBe('emergency');
    expect(lease.release()).toBe(false);
  });

  it('[END-3] a graceful end whose timeout passes becomes an emergency', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } }, { end: false });
    await pool.getServer('a');
    const closing = pool.shutdown({ timeout: 1_000 });
    await clock.advanceAndFlush(1_000);
    expect(launcher.last.kills).toBe(1);
    launcher.last.exit({ signal: 'SIGKILL' });
    expect((await closing).mode).toBe('emergency');
  });

  it('[PROOF-1] what survives is quarantined: its slot stays taken until it is dead', async () => {
    const { pool, launcher, clock, told } = setUp(
      { servers: { a: { ...server, maxInstances: 1 } }, cleanup: { retries: 0 } },
      { end: false },
    );
    const lease = await pool.getServer('a', { tenant: 'one' });
    const { last } = launcher;
    lease.release();
    const waiting = pool.getServer('a', { tenant: 'two', timeout: 60_000 });
    await flush();
    last.survive();
    await flush();
    expect(told.some(({ event }) => event === 'server:quarantined')).toBe(true);
    expect(pool.status()).toMatchObject({ processes: 1, waiting: 1 });
    last.auto = { ...last.auto, end: true };
    await clock.advanceAndFlush(29_999);
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(1);
    await waiting;
    expect(pool.status().processes).toBe(1);
  });
});
