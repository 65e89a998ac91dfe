import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

describe('replacement of a shared server', () => {
  it('[FAIL-5] starts the new process first, moves the leases, and lets the old one finish', async () => {
    const { pool, launcher, emitted } = setUp({ servers: { a: shared } }, { answer: false });
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
    expect(emitted.filter(({ event }) => event === 'server:restarted')).toHaveLength(1);
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

  it('[DEF-1] [FAIL-5] of a changed definition serves the callers that come after it by the new process only', async () => {
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

  it('[FAIL-5] [DEF-2] of a server that is removed meanwhile ends it with its last lease, though no other could be started', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    let removed: Promise<void> | undefined;
    pool.once('server:failed', () => {
      removed = pool.removeServer('a');
    });
    const restarting = rejection(pool.restart('a'));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    expect(await restarting).toMatchObject({ code: 'SERVER_EXITED' });
    expect(await outcome(removed as Promise<void>)).toBe('pending');
    one?.lease.release();
    await removed;
    expect(launcher.living).toEqual([]);
  });

  it('[FAIL-5] [QUEUE-6] goes on when a caller that counted on the new one gives up', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...shared, maxSessions: 1 } } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarted = pool.restart('a');
    await flush();
    const abort = new AbortController();
    const given = rejection(pool.getServer('a', { signal: abort.signal }));
    await flush();
    abort.abort();
    await given;
    launcher.servers[1]?.initialize();
    await restarted;
    expect(one?.lease.pid).toBe(launcher.servers[1]?.pid);
    expect(reasons()).not.toContain('unwanted');
  });

  it('[FAIL-5] starts no other where a fresh one starts already, since the last one crashed', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush(6);
    expect(launcher.servers).toHaveLength(2);
    await pool.restart('a');
    launcher.last.initialize();
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(one?.lease.pid).toBe(launcher.last.pid);
  });

  it('[DEF-1] [FAIL-5] of a changed definition also replaces the one that starts since the last one crashed', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush(6);
    const fresh = launcher.last;
    launcher.auto = { ...launcher.auto, initialize: true };
    const updated = pool.updateServer('a', { ...shared, args: ['new'] });
    fresh.initialize();
    await updated;
    expect(fresh.alive).toBe(false);
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(launcher.last.definition.args).toEqual(['new']);
  });

  it('[FAIL-5] starts the new one in the tick of the call, so that callers that come now count on it', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxSessions: 1 } } });
    await leases(pool, 1);
    const restarted = pool.restart('a');
    expect(launcher.servers).toHaveLength(2);
    await restarted;
  });

  it('[FAIL-5] [START-1] that fails has the old one serve those that wait, at once', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxSessions: 2, maxInstances: 2 } } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarting = rejection(pool.restart('a'));
    await flush();
    const calls = Array.from({ length: 3 }, () => pool.getServer('a'));
    const failed = calls.slice(0, 2).map(rejection);
    launcher.last.exit({ exitCode: 1 });
    await restarting;
    // As many as it had seats for get its error.
    expect(await Promise.all(failed)).toMatchObject([{ code: 'SERVER_EXITED' }, { code: 'SERVER_EXITED' }]);
    expect((await calls[2])?.pid).toBe(one?.lease.pid);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[FAIL-5] that is done before its time is over leaves no timer', async () => {
    const { pool, clock } = setUp({ servers: { a: shared, b: { command: 'fake' } } });
    await leases(pool, 1);
    await pool.getServer('b');
    const pending = clock.pending;
    await pool.restart('a', { timeout: 60_000 });
    expect(clock.pending).toBe(pending);
  });

  it('[FAIL-5] [RESTART-1] that failed does not hide how long the next restart of the old one waits', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
    onTestFinished(() => void random.mockRestore());
    const { pool, launcher, clock, emitted } = setUp({ servers: { a: { ...shared, restart: { minDelay: 100 } } } });
    await leases(pool, 1);
    const [old] = launcher.servers;
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarting = rejection(pool.restart('a'));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await restarting;
    old?.exit({ exitCode: 1 });
    await flush(6);
    const restarts = emitted.flatMap(({ event, payload }) => (event === 'server:restarting' ? [payload.delay] : []));
    expect(restarts).toEqual([50]);
    await clock.advanceAndFlush(49);
    expect(launcher.servers).toHaveLength(2);
    await clock.advanceAndFlush(1);
    expect(launcher.servers).toHaveLength(3);
  });
});
