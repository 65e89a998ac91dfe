import { getEventListeners } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

describe('waiting', () => {
  it('[QUEUE-3] the oldest waiter goes first, whatever its server: a busy name starves no other', async () => {
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

  it('[QUEUE-3] a free seat serves a caller also while an older one waits for a slot of the pool', async () => {
    const shared = { ...server, sharing: 'shared', maxSessions: 2 } as const;
    const { pool } = setUp({ servers: { a: server, b: server, s: shared }, limits: { maxProcesses: 2 } });
    const slot = await pool.getServer('a');
    const seat = await pool.getServer('s');
    const other = await pool.getServer('s');
    const older = pool.getServer('b');
    const younger = [pool.getServer('s'), pool.getServer('s')];
    expect(await outcome(Promise.race(younger))).toBe('pending');
    seat.release();
    expect((await younger[0])?.pid).toBe(seat.pid);
    expect(await outcome(older)).toBe('pending');
    // The slot is for the older one, not for another instance of the shared server.
    slot.release();
    expect((await older).name).toBe('b');
    other.release();
    expect((await younger[1])?.pid).toBe(seat.pid);
  });

  it('[QUEUE-3] a free seat serves a caller also while an older one waits for an instance of the same server', async () => {
    const { pool } = setUp({ servers: { s: { ...server, sharing: 'shared', maxSessions: 2, maxInstances: 2 } } });
    const [t1, t2, u1, u2] = await Promise.all(['t', 't', 'u', 'u'].map((tenant) => pool.getServer('s', { tenant })));
    const older = pool.getServer('s', { tenant: 'v' });
    const younger = pool.getServer('s', { tenant: 't' });
    expect(await outcome(younger)).toBe('pending');
    t1?.release();
    expect((await younger).pid).toBe(t2?.pid);
    expect(await outcome(older)).toBe('pending');
    u1?.release();
    u2?.release();
    expect((await older).tenant).toBe('v');
  });

  it('[QUEUE-3] an instance that becomes idle ends for a caller that came while its server had nothing for any caller', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 2 } } });
    const first = await pool.getServer('a', { tenant: 't' });
    launcher.auto = { ...launcher.auto, initialize: false };
    void pool.getServer('a', { tenant: 'u' }).catch(() => {});
    const second = pool.getServer('a', { tenant: 't' });
    void pool.getServer('a', { tenant: 'u' }).catch(() => {});
    first.release();
    (await second).release();
    await flush();
    // Its first caller has a start, the second one gets another in the place of what is idle.
    expect(launcher.servers).toHaveLength(3);
    expect(first.pid).not.toBe(launcher.living[0]?.pid);
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
    const { pool, emitted } = setUp({ servers: { a: { ...server, maxInstances: 1 } }, maxWaiting: 1 });
    const lease = await pool.getServer('a');
    const waiting = pool.getServer('a');
    const refused = (await rejection(pool.getServer('a'))) as PoolError;
    expect(refused.code).toBe('QUEUE_FULL');
    expect(refused.message).toContain('maxWaiting');
    lease.release();
    (await waiting).release();
    expect(emitted.map(({ event }) => event)).toEqual([
      'queue:waiting',
      'queue:served',
      'queue:waiting',
      'limit:reached',
      'queue:rejected',
      'queue:served',
    ]);
  });

  it('[QUEUE-4] with maxWaiting: 0 no caller waits for a release, and nothing ends for one that is refused', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { ...server, maxInstances: 1 }, b: { ...server, minIdle: 1 } },
      maxWaiting: 0,
    });
    await flush();
    (await pool.getServer('a', { tenant: 'alice' })).release();
    const lease = await pool.getServer('a', { tenant: 'alice' });
    expect(await codeOf(pool.getServer('a', { tenant: 'bob' }))).toBe('QUEUE_FULL');
    expect(launcher.livingOf('a')).toHaveLength(1);
    const other = pool.getServer('b', { tenant: 'alice' });
    expect(await codeOf(pool.getServer('a', { tenant: 'alice' }))).toBe('QUEUE_FULL');
    expect((await other).name).toBe('b');
    lease.release();
  });

  it('[QUEUE-1] learn of their leases in that order, also one that calls while another starts to wait', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 2 } } });
    const learnt: string[] = [];
    const call = (caller: string) => pool.getServer('a').then(() => learnt.push(caller));
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

  it('[QUEUE-1] learn in that order also when an earlier one is rejected', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    const lease = await pool.getServer('a');
    const learnt: string[] = [];
    const abort = new AbortController();
    const first = pool.getServer('a', { signal: abort.signal }).catch(() => learnt.push('first'));
    const second = pool.getServer('a').then(() => learnt.push('second'));
    abort.abort();
    lease.release();
    await Promise.all([first, second]);
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
    launcher.last.initialize();
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

  it('[QUEUE-6] a start that lost its caller serves the next; without one it goes on, for a caller of any tenant', async () => {
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
    expect(reasons()).toEqual(['evicted']);
    // It has served no lease, so it serves a caller of whatever tenant.
    const fourth = pool.getServer('a');
    await flush();
    expect(reasons()).toEqual(['evicted']);
    launcher.last.initialize();
    expect((await fourth).pid).toBe(launcher.last.pid);
    expect(launcher.maximum).toBe(1);
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

  it('[START-1] a start that fails rejects the caller that waits longest; the others go on', async () => {
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
