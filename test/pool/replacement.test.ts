import { describe, expect, it } from 'vitest';
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
