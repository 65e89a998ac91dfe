import { describe, expect, it } from 'vitest';
import { RawClient } from '../helpers/client.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

describe('the end of a pool', () => {
  it('[END-1] rejects the callers that wait, lets requests finish, closes leases, and proves each end', async () => {
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
      let launched = 0;
      pool.once('server:starting', () => {
        launched = launcher.servers.length;
        void pool.shutdown();
      });
      if (start === 'warm') await pool.warm('a', { count: 3 }).catch(() => {});
      else await pool.updateServer('a', { ...server, minIdle: 3, maxInstances: 3 });
      await pool.shutdown();
      // All that one operation starts is started before the first listener is called.
      expect(launcher.servers).toHaveLength(launched);
      expect(launched).toBe(start === 'warm' ? 1 : 3);
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

  it('[END-3] an emergency leaves alone what is proven dead by then', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server } }, { end: false });
    await pool.getServer('a');
    await pool.getServer('b');
    const closing = pool.shutdown();
    await flush();
    launcher.servers[0]?.exit();
    await flush();
    void pool.shutdown({ mode: 'emergency' });
    expect(launcher.servers.map(({ kills }) => kills)).toEqual([0, 1]);
    expect(launcher.servers[0]?.ends).toHaveLength(1);
    launcher.last.exit({ signal: 'SIGKILL' });
    expect((await closing).servers).toHaveLength(2);
  });

  it('[END-3] a graceful end that takes longer than its timeout becomes an emergency', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } }, { end: false });
    await pool.getServer('a');
    const closing = pool.shutdown({ timeout: 1_000 });
    await clock.advanceAndFlush(1_000);
    expect(launcher.last.kills).toBe(1);
    launcher.last.exit({ signal: 'SIGKILL' });
    expect((await closing).mode).toBe('emergency');
  });

  it('[PROOF-1] what survives is quarantined: its slot stays taken until it is dead', async () => {
    const { pool, launcher, clock, emitted } = setUp(
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
    expect(emitted.some(({ event }) => event === 'server:quarantined')).toBe(true);
    expect(pool.status()).toMatchObject({ processes: 1, waiting: 1 });
    last.auto = { ...last.auto, end: true };
    await clock.advanceAndFlush(29_999);
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(1);
    await waiting;
    expect(pool.status().processes).toBe(1);
  });

  it('[SPAWN-1] [END-3] kills what a launcher returns that has shut the pool down', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    let closed: Promise<unknown> | undefined;
    launcher.onLaunch = () => {
      closed = pool.shutdown({ mode: 'emergency' });
    };
    expect(await codeOf(pool.getServer('a'))).toBe('POOL_CLOSED');
    await closed;
    expect(launcher.servers).toHaveLength(1);
    expect(launcher.living).toEqual([]);
    expect(pool.registry.size).toBe(0);
  });

  it('[PROOF-1] what is dead is looked at no more', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server }, cleanup: { retries: 0 } }, { end: false });
    (await pool.getServer('a')).release();
    void pool.restart('a');
    await flush();
    launcher.last.survive();
    await flush();
    expect(pool.metrics().quarantined).toBe(1);
    await clock.advanceAndFlush(30_000);
    launcher.last.exit();
    await flush();
    const { length } = launcher.last.ends;
    await clock.advanceAndFlush(90_000);
    expect(launcher.last.ends).toHaveLength(length);
    expect(pool.status().processes).toBe(0);
  });
});
