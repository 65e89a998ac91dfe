import { describe, expect, it } from 'vitest';
import { codeOf, leases, setUp, shared } from '../../helpers/fake-pool.js';
import { flush, outcome } from '../../helpers/until.js';

const server = { command: 'fake' };

describe('restartAll()', () => {
  it('[RESTARTALL-1] [RESTARTALL-2] replaces the processes of all servers, one after the other; shared leases stay', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: shared, idle: server, none: server } }, { end: false });
    const [one] = await leases(pool, 1);
    (await pool.getServer('idle')).release();
    const [first, second] = launcher.servers;
    const restarted = pool.restartAll();
    await flush(10);
    // The second server waits for the first one, of which the old process has not ended yet.
    expect([first?.ending, second?.ending]).toEqual([true, false]);
    expect(one?.lease.pid).toBe(launcher.last.pid);
    clock.advance(40);
    first?.exit();
    await flush(10);
    expect(second?.ending).toBe(true);
    clock.advance(2);
    second?.exit();
    expect(await restarted).toEqual({
      ok: true,
      duration: 42,
      servers: [
        { name: 'a', label: undefined, ok: true, error: undefined, duration: 40 },
        { name: 'idle', label: undefined, ok: true, error: undefined, duration: 2 },
        { name: 'none', label: undefined, ok: true, error: undefined, duration: 0 },
      ],
    });
    expect(one?.client.closeCount).toBe(0);
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
  });

  it('[RESTARTALL-2] restarts a few at a time when asked to', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server, c: server } }, { end: false });
    for (const name of ['a', 'b', 'c']) (await pool.getServer(name)).release();
    const restarted = pool.restartAll({ concurrency: 2 });
    await flush(10);
    expect(launcher.servers.map(({ ending }) => ending)).toEqual([true, true, false]);
    launcher.servers[1]?.exit();
    await flush(10);
    expect(launcher.servers[2]?.ending).toBe(true);
    for (const one of launcher.living) one.exit();
    // In the order of the definitions.
    expect((await restarted).servers.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('[RESTARTALL-1] an error of one server is in the report, and the others are restarted', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, label: 'Bad' }, good: server } });
    const [one] = await leases(pool, 1);
    (await pool.getServer('good')).release();
    const old = launcher.last;
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarted = pool.restartAll();
    await flush(10);
    launcher.last.exit({ exitCode: 7 });
    const report = await restarted;
    expect(report).toMatchObject({
      ok: false,
      servers: [
        { name: 'a', label: 'Bad', ok: false, error: { code: 'SERVER_EXITED', data: { exitCode: 7 } } },
        { name: 'good', ok: true },
      ],
    });
    expect(old.alive).toBe(false);
    // The old process of the other serves on.
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(JSON.parse(JSON.stringify(report)).servers[0].error.code).toBe('SERVER_EXITED');
  });

  it('[RESTARTALL-1] leases that cannot move are waited for, and keep no other server from being restarted', async () => {
    const { pool, launcher } = setUp({ servers: { held: server, other: server } });
    const held = await pool.getServer('held');
    (await pool.getServer('held', { owner: 'o' })).release();
    (await pool.getServer('other')).release();
    const [, idle, other] = launcher.servers;
    const restarted = pool.restartAll();
    await flush(10);
    expect([idle?.alive, other?.alive]).toEqual([false, false]);
    expect(await outcome(restarted)).toBe('pending');
    held.release();
    expect(await restarted).toMatchObject({ ok: true, servers: [{ name: 'held' }, { name: 'other' }] });
    expect(launcher.living).toEqual([]);
  });

  it('[RESTARTALL-1] takes such leases back after the timeout of each server', async () => {
    const { pool, clock, emitted } = setUp({ servers: { held: server } });
    const held = await pool.getServer('held');
    const restarted = pool.restartAll({ timeout: 1_000 });
    await clock.advanceAndFlush(1_000);
    expect(await restarted).toMatchObject({ ok: true });
    expect(emitted.filter(({ event }) => event === 'lease:reclaimed')).toHaveLength(1);
    expect(held.release()).toBe(false);
  });

  it('[RESTARTALL-1] a server that is removed meanwhile, and a pool that is shut down, are errors of servers', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server, c: server } }, { end: false });
    (await pool.getServer('a')).release();
    const restarted = pool.restartAll();
    await flush(10);
    await pool.removeServer('b');
    const closed = pool.shutdown();
    launcher.last.exit();
    await closed;
    const { ok, servers } = await restarted;
    expect([ok, servers.map(({ error }) => error?.code)]).toEqual([false, [undefined, 'POOL_CLOSED', 'POOL_CLOSED']]);
    expect(await codeOf(pool.restartAll())).toBe('POOL_CLOSED');
  });

  it.each([{ concurrency: 0 }, { concurrency: Infinity }, { timeout: -1 }, { dryRun: true }, null])(
    '[OPT-1] refuses %o',
    async (options) => {
      const { pool } = setUp({ servers: { a: server } });
      expect(await codeOf(pool.restartAll(options as never))).toBe('INVALID_OPTIONS');
    },
  );
});
