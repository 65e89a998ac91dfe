import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { PoolEvents, ServerDefinition } from '../../src/index.js';
import { MCPServerPool } from '../../src/index.js';
import type { FakeLauncher, FakeServer } from '../helpers/fake-launcher.js';
import { codeOf, leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake' };
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const SLOW = { spawn: false, initialize: false };

const serversOf = (definition: ServerDefinition) => Object.fromEntries(NAMES.map((name) => [name, definition]));
const launched = (launcher: FakeLauncher) => launcher.servers.map(({ definition }) => definition.name);
const becomeReady = (one: FakeServer | undefined) => {
  one?.spawned();
  one?.initialize();
  return flush();
};

describe('starts take turns', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)('[TURN-1] first come, first served: %s', async (sharing) => {
    const { pool, launcher } = setUp(
      { servers: serversOf({ ...server, sharing }), limits: { concurrentStarts: 2 } },
      SLOW,
    );
    const calls = NAMES.map((name) => pool.getServer(name));
    expect(launched(launcher)).toEqual(['a', 'b']);
    await becomeReady(launcher.servers[1]);
    expect(launched(launcher)).toEqual(['a', 'b', 'c']);
    for (let at = 0; at < NAMES.length; at++) await becomeReady(launcher.servers[at]);
    expect(launched(launcher)).toEqual(NAMES);
    for (const call of calls) expect((await call).pid).toBeGreaterThan(0);
  });

  it('[TURN-1] a turn is over after 3 s: a server that downloads does not delay the others', async () => {
    const { clock, pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } }, SLOW);
    const calls = NAMES.slice(0, 3).map((name) => pool.getServer(name));
    await clock.advanceAndFlush(2_999);
    expect(launched(launcher)).toEqual(['a']);
    await clock.advanceAndFlush(1);
    expect(launched(launcher)).toEqual(['a', 'b']);
    // What it gives back when it is ready is not the turn of another.
    await becomeReady(launcher.servers[0]);
    expect(launched(launcher)).toEqual(['a', 'b']);
    await clock.advanceAndFlush(3_000);
    for (const one of launcher.servers) await becomeReady(one);
    expect((await Promise.all(calls)).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  const FAILURES: [string, (one: FakeServer) => void, string][] = [
    ['exits', (one) => one.exit({ exitCode: 1 }), 'SERVER_EXITED'],
    ['is refused', (one) => one.refuse(new PoolError('SPAWN_FAILED', 'refused')), 'SPAWN_FAILED'],
  ];
  it.each(FAILURES)('[TURN-1] a start that %s gives its turn back', async (_what, fail, code) => {
    const { pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } }, SLOW);
    const first = codeOf(pool.getServer('a'));
    const second = pool.getServer('b');
    fail(launcher.last);
    expect(await first).toBe(code);
    await flush();
    await becomeReady(launcher.last);
    expect((await second).name).toBe('b');
  });

  it('[TURN-1] a start that cannot be spawned when its turn comes fails its caller, and the next one follows', async () => {
    const { pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } }, SLOW);
    launcher.onLaunch = ({ name }) => {
      if (name === 'b') throw new PoolError('COMMAND_NOT_FOUND', 'there is none');
    };
    const calls = [pool.getServer('a'), codeOf(pool.getServer('b')), pool.getServer('c')];
    await becomeReady(launcher.last);
    expect(await calls[1]).toBe('COMMAND_NOT_FOUND');
    expect(launched(launcher)).toEqual(['a', 'c']);
    await becomeReady(launcher.last);
    expect(await Promise.all([calls[0], calls[2]])).toMatchObject([{ name: 'a' }, { name: 'c' }]);
    expect(pool.status().servers.b).toMatchObject({ instances: [], lastFailure: 'there is none' });
  });

  it('[TURN-1] also those of minIdle and warm(), which resolves when all are over', async () => {
    const { pool, launcher } = setUp(
      { servers: { a: { ...server, minIdle: 2 }, b: server }, limits: { concurrentStarts: 1 } },
      SLOW,
    );
    const warm = pool.warm('b', { count: 2 });
    expect(launched(launcher)).toEqual(['a']);
    for (let at = 0; at < 4; at++) await becomeReady(launcher.servers[at]);
    expect(launched(launcher)).toEqual(['a', 'a', 'b', 'b']);
    expect(await warm).toBe(2);
    expect(pool.status()).toMatchObject({ idle: 4, startsWaiting: 0 });
  });

  it('[TURN-1] also restarts: the leases go on when it is their turn', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared, b: server }, limits: { concurrentStarts: 1 } });
    const [one] = await leases(pool, 1);
    const old = launcher.last;
    launcher.auto = { ...launcher.auto, ...SLOW };
    const other = pool.getServer('b');
    old.exit({ exitCode: 1 });
    await flush();
    expect(launched(launcher)).toEqual(['a', 'b']);
    expect(pool.status().servers.a?.instances).toMatchObject([{ state: 'starting', waitsForTurn: true, leases: 1 }]);
    await becomeReady(launcher.last);
    expect(launched(launcher)).toEqual(['a', 'b', 'a']);
    await becomeReady(launcher.last);
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(await one?.client.request('tools/list')).toBeDefined();
    expect((await other).name).toBe('b');
  });

  it('[TURN-1] [FAIL-5] also replacements: the old process serves on until then', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared, b: server }, limits: { concurrentStarts: 1 } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, ...SLOW };
    const other = pool.getServer('b');
    const restarted = pool.restart('a');
    await flush();
    expect(await one?.client.request('tools/list')).toBeDefined();
    await becomeReady(launcher.last);
    await becomeReady(launcher.last);
    await restarted;
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(launched(launcher)).toEqual(['a', 'b', 'a']);
    expect((await other).name).toBe('b');
  });

  it('[TURN-1] [OPT-5] two for each core, at least 4, or as many as the host says', async () => {
    const { pool, launcher } = setUp({ servers: serversOf({ ...server, maxInstances: 15 }) }, SLOW);
    const calls = Array.from({ length: 15 }, () => rejection(pool.getServer('a')));
    expect(launcher.servers).toHaveLength(Math.min(15, Math.max(4, availableParallelism() * 2)));
    await pool.shutdown();
    await Promise.all(calls);
    const open = setUp(
      { servers: { a: { ...server, maxInstances: 15 } }, limits: { concurrentStarts: Infinity } },
      SLOW,
    );
    const more = Array.from({ length: 15 }, () => rejection(open.pool.getServer('a')));
    expect(open.launcher.servers).toHaveLength(15);
    await open.pool.shutdown();
    await Promise.all(more);
    expect(() => new MCPServerPool({ limits: { concurrentStarts: 0 } })).toThrow(/limits\.concurrentStarts must be/);
  });
});

describe('a start that waits for its turn', () => {
  it('[TURN-2] has the whole startTimeout when its turn comes', async () => {
    const servers = { a: server, b: { ...server, startTimeout: 2_000 } };
    const { clock, pool, launcher } = setUp({ servers, limits: { concurrentStarts: 1 } }, SLOW);
    const first = rejection(pool.getServer('a'));
    const second = codeOf(pool.getServer('b'));
    await clock.advanceAndFlush(3_000);
    expect(launched(launcher)).toEqual(['a', 'b']);
    await clock.advanceAndFlush(1_999);
    expect(await outcome(second)).toBe('pending');
    await clock.advanceAndFlush(1);
    expect(await second).toBe('START_TIMEOUT');
    await pool.shutdown({ mode: 'emergency' });
    await first;
  });

  it('[TURN-2] [QUEUE-5] is shown by status(), and named by the error of a caller that has run out of time', async () => {
    const { clock, pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } }, SLOW);
    const first = pool.getServer('a');
    const second = rejection(pool.getServer('b', { timeout: 100 }));
    expect(pool.status()).toMatchObject({ processes: 2, startsWaiting: 1 });
    expect(pool.status().servers.a?.instances).toMatchObject([{ state: 'starting', waitsForTurn: false }]);
    expect(pool.status().servers.b?.instances).toMatchObject([
      { state: 'starting', waitsForTurn: true, pid: undefined },
    ]);
    await clock.advanceAndFlush(100);
    const error = (await second) as PoolError;
    expect(error).toMatchObject({ code: 'ACQUIRE_TIMEOUT', data: { name: 'b', after: 100, phase: 'queue' } });
    expect(error.message).toMatch(/waited for its turn, since 1 starts \(limits\.concurrentStarts\)/);
    // Nothing was started, so nothing is lost.
    expect(pool.status()).toMatchObject({ processes: 1, startsWaiting: 0 });
    await becomeReady(launcher.last);
    expect((await first).name).toBe('a');
  });

  const ENDS: [string, (pool: MCPServerPool) => unknown, string][] = [
    ['removeServer()', (pool) => pool.removeServer('b'), 'UNKNOWN_SERVER'],
    ['releaseTenant()', (pool) => pool.releaseTenant('t'), 'ACQUIRE_ABORTED'],
    ['releaseOwner()', (pool) => pool.releaseOwner('o'), 'ACQUIRE_ABORTED'],
    ['shutdown()', (pool) => pool.shutdown(), 'POOL_CLOSED'],
  ];
  it.each(ENDS)('[TURN-2] ends at once, without a process: %s', async (_what, end, code) => {
    const { pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } }, SLOW);
    const events: string[] = [];
    for (const event of ['server:starting', 'server:stopping', 'server:stopped', 'server:failed'] as const) {
      pool.on(event, ({ name }: PoolEvents[typeof event]) => void (name === 'b' && events.push(event)));
    }
    const first = outcome(pool.getServer('a').catch(() => {}));
    const second = codeOf(pool.getServer('b', { tenant: 't', owner: 'o' }));
    await flush();
    void end(pool);
    expect(await second).toBe(code);
    await flush();
    expect(launched(launcher)).toEqual(['a']);
    expect(pool.status().servers.b?.instances ?? []).toEqual([]);
    expect(events).toEqual([]);
    await first;
  });

  it('[TURN-2] gives its slot to a caller that needs it, when no caller needs the start', async () => {
    const { pool, launcher, reasons } = setUp(
      { servers: { a: server, b: { ...server, minIdle: 1 } }, limits: { concurrentStarts: 1, maxProcesses: 3 } },
      SLOW,
    );
    const warm = pool.warm('b', { count: 2 });
    const calls = [pool.getServer('a', { tenant: 't' }), pool.getServer('a', { tenant: 'u' })];
    await flush();
    expect(pool.status()).toMatchObject({ processes: 3, startsWaiting: 2 });
    for (let at = 0; at < 3; at++) await becomeReady(launcher.servers[at]);
    expect((await Promise.all(calls)).map(({ tenant }) => tenant)).toEqual(['t', 'u']);
    expect(launched(launcher)).toEqual(['b', 'a', 'a']);
    expect(reasons()).toEqual([]);
    expect(await warm).toBe(1);
  });

  it('[TURN-2] is not made when its caller is served by a release', async () => {
    const { pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } });
    const held = await pool.getServer('a');
    launcher.auto = { ...launcher.auto, ...SLOW };
    const first = pool.getServer('b');
    const second = pool.getServer('a');
    await flush();
    expect(pool.status()).toMatchObject({ processes: 3, startsWaiting: 1 });
    held.release();
    expect((await second).pid).toBe(held.pid);
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, startsWaiting: 0 });
    await becomeReady(launcher.last);
    await first;
    expect(launched(launcher)).toEqual(['a', 'b']);
  });

  it('[TURN-2] is not made when the lease that waits for it is released', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared, b: server }, limits: { concurrentStarts: 1 } });
    const [one] = await leases(pool, 1);
    const old = launcher.last;
    launcher.auto = { ...launcher.auto, ...SLOW };
    const other = pool.getServer('b');
    old.exit({ exitCode: 1 });
    await flush();
    one?.lease.release();
    await flush();
    expect(pool.status().servers.a?.instances).toEqual([]);
    await becomeReady(launcher.last);
    expect((await other).name).toBe('b');
    expect(launched(launcher)).toEqual(['a', 'b']);
  });

  it('[TURN-2] keeps its place when restart() is called: it is as new as it can be', async () => {
    const { pool, launcher } = setUp({ servers: serversOf(server), limits: { concurrentStarts: 1 } }, SLOW);
    const calls = ['a', 'b', 'c'].map((name) => pool.getServer(name));
    await pool.restart('b');
    for (let at = 0; at < 3; at++) await becomeReady(launcher.servers[at]);
    await Promise.all(calls);
    expect(launched(launcher)).toEqual(['a', 'b', 'c']);
  });
});
