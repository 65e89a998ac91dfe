import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { KeepAlive } from '../../src/runtime/keep-alive.js';
import { RawClient } from '../helpers/client.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

describe('a crash', () => {
  it('[DEATH-1] with a closed pipe as its first sign is reported as a crash, with its code', async () => {
    const { pool, launcher, emitted } = setUp({ servers: { a: server } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    launcher.last.stdin.destroy(new Error('EPIPE'));
    const call = client.request('tools/list');
    expect(await outcome(call)).toBe('pending');
    launcher.last.stderrTail = 'boom\n';
    launcher.last.exit({ exitCode: 3 });
    await client.closed;
    expect(await rejection(call)).toMatchObject({
      message: expect.stringMatching(/exited with code 3.*: boom$/),
      data: { reason: 'SERVER_EXITED', exitCode: 3, stderrTail: 'boom\n' },
    });
    expect(emitted).toContainEqual({
      event: 'server:exited',
      payload: expect.objectContaining({ exitCode: 3, unexpected: true }),
    });
    expect(client.errors).toMatchObject([{ code: 'SERVER_EXITED', data: { exitCode: 3 } }]);
    expect(pool.metrics().crashes).toBe(1);
  });

  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[EXIT-1] answers a call with code and what stderr says: %s',
    async (sharing) => {
      const onCrash = 'close' as const;
      const { pool, launcher } = setUp({ servers: { a: { ...server, sharing, onCrash } } }, { answer: false });
      const client = await RawClient.connect((await pool.getServer('a')).transport);
      const call = client.callTool('x');
      await flush();
      launcher.last.stderrTail = `${'x'.repeat(10_000)}\nError: boom\n    at f (file.js:1:1)\n\nNode.js v20.1.0\n`;
      launcher.last.stdout.end();
      await flush();
      expect(await outcome(call)).toBe('pending');
      launcher.last.exit({ exitCode: 1 });
      const error = (await rejection(call)) as PoolError;
      expect(error.message).toMatch(/exited with code 1, .*; on stderr: Error: boom$/);
      expect(error.data).toMatchObject({ reason: 'SERVER_EXITED', exitCode: 1, signal: null });
      // Of a shared server it may be about other sessions.
      if (sharing === 'shared') return expect(error.data).not.toHaveProperty('stderrTail');
      expect(error.data.stderrTail).toHaveLength(8_192);
      expect(error.data.stderrTail).toMatch(/Node\.js v20\.1\.0\n$/);
    },
  );

  it('[DEATH-1] a server that closes its stdout but lives is ended: it can never answer', async () => {
    const { pool, launcher, clock, reasons } = setUp({ servers: { a: server } }, { answer: false });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    const call = rejection(client.request('tools/list'));
    await flush();
    launcher.last.stdout.end();
    await flush();
    await clock.advanceAndFlush(1_000);
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
  it('[LEASE-1] a silent one is taken back when a caller waits, and not before', async () => {
    const { clock, pool, emitted } = setUp({ servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 1_000 } } });
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
    expect(emitted.filter(({ event }) => event === 'lease:reclaimed')).toHaveLength(1);
  });

  it('[LEASE-1] one with a server that works on an answer is not silent', async () => {
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

  it('[LEASE-1] [DEF-1] one that is held already is measured by a changed leaseIdleTimeout, too', async () => {
    const { clock, pool } = setUp({ servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 10_000 } } });
    const lease = await pool.getServer('a');
    const next = pool.getServer('a', { timeout: 20_000 });
    await pool.updateServer('a', { ...server, maxInstances: 1, leaseIdleTimeout: 1_000 });
    await clock.advanceAndFlush(999);
    expect(await outcome(next)).toBe('pending');
    await clock.advanceAndFlush(1);
    expect((await next).pid).toBe(lease.pid);
  });

  it('[LEASE-1] [FAIL-4] one that was silent before its server was started again is so still', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { a: { ...server, sharing: 'shared', maxSessions: 1, maxInstances: 1, leaseIdleTimeout: 1_000 } },
    });
    const lease = await pool.getServer('a');
    await clock.advanceAndFlush(1_500);
    launcher.last.exit({ exitCode: 1 });
    await flush(6);
    expect(lease.pid).toBe(launcher.last.pid);
    const next = await pool.getServer('a');
    expect(lease.release()).toBe(false);
    expect(next.pid).toBe(launcher.last.pid);
    expect(pool.metrics().reclaimed).toBe(1);
  });

  it('[LEASE-1] [FAIL-4] one that was not silent when its server was started again is looked at in time', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { a: { ...server, sharing: 'shared', maxSessions: 1, maxInstances: 1, leaseIdleTimeout: 1_000 } },
    });
    await pool.getServer('a');
    await clock.advanceAndFlush(500);
    launcher.last.exit({ exitCode: 1 });
    await flush(6);
    const next = pool.getServer('a');
    await clock.advanceAndFlush(499);
    expect(await outcome(next)).toBe('pending');
    await clock.advanceAndFlush(1);
    expect((await next).pid).toBe(launcher.last.pid);
  });

  it('[LEASE-1] [DEF-1] a shorter leaseIdleTimeout holds for the leases that are held', async () => {
    const definition = { ...server, maxInstances: 1 };
    const { clock, pool } = setUp({ servers: { a: { ...definition, leaseIdleTimeout: 1_800_000 } } });
    const lease = await pool.getServer('a');
    const waiting = pool.getServer('a', { timeout: 600_000 });
    await pool.updateServer('a', { ...definition, leaseIdleTimeout: 60_000 });
    await clock.advanceAndFlush(59_999);
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(1);
    expect(lease.release()).toBe(false);
    (await waiting).release();
  });

  it('[LEASE-2] one held for longer than leakDetection is reported once, with the stack of its borrower', async () => {
    const { clock, pool, emitted } = setUp({ servers: { a: server }, leakDetection: 1_000 });
    const lease = await pool.getServer('a');
    const leaks = () => emitted.filter(({ event }) => event === 'lease:leaked');
    await clock.advanceAndFlush(999);
    expect(leaks()).toEqual([]);
    await clock.advanceAndFlush(5_000);
    expect(leaks()).toHaveLength(1);
    expect(leaks()[0]).toMatchObject({ event: 'lease:leaked', payload: { leaseId: lease.id, held: 1_000 } });
    expect(JSON.stringify(leaks()[0])).toContain('leases.test.ts');
  });

  it('[LEASE-2] no leak is emitted without leakDetection, however long it is held', async () => {
    const { clock, pool, emitted } = setUp({ servers: { a: { ...server, leaseIdleTimeout: 1_000 } } });
    await pool.getServer('a');
    await clock.advanceAndFlush(10_000);
    expect(emitted.filter(({ event }) => event === 'lease:leaked')).toEqual([]);
  });

  it('[GUEST-2] the end of one that is awaited holds the host open until its process has ended', async () => {
    const take = vi.spyOn(KeepAlive.prototype, 'take');
    const drop = vi.spyOn(KeepAlive.prototype, 'drop');
    onTestFinished(() => void vi.restoreAllMocks());
    const held = () => take.mock.calls.length - drop.mock.calls.length;
    const { pool, launcher } = setUp({ servers: { a: { ...server, reuse: 'never' } } }, { end: false });
    const lease = await pool.getServer('a');
    const { ended } = lease;
    expect(held()).toBe(0);
    lease.release();
    expect(held()).toBe(1);
    launcher.last.exit();
    await ended;
    await flush();
    expect(held()).toBe(0);
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

  it('[LEASE-3] its end, asked for while its client learns of it, is the end of the process', async () => {
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
    expect(pool.releaseServer(lease.id)).toBe(false);
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

  it.each(['exclusive', 'shared', 'dedicated'] as const)(
    '[LEASE-3] %s, released with an open request: its client learns why, unless it closes by itself',
    async (sharing) => {
      const { pool, launcher } = setUp({ servers: { a: { ...server, sharing } } });
      const open = async () => {
        const lease = await pool.getServer('a', { owner: 'o' });
        const client = await RawClient.connect(lease.transport);
        launcher.last.auto = { ...launcher.last.auto, answer: false };
        return { lease, client, called: client.request('tools/call', { name: 'slow' }) };
      };
      const one = await open();
      expect(pool.releaseOwner('o')).toBe(1);
      expect(await rejection(one.called)).toMatchObject({
        code: -32_000,
        data: { reason: 'LEASE_RELEASED', mayHaveRun: true },
      });
      expect(one.client.errors).toEqual([]);
      const two = await open();
      await two.client.transport.close();
      expect(await outcome(two.called)).toBe('pending');
      expect(two.client.closeCount).toBe(1);
    },
  );
});
