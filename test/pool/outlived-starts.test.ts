import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { ServerDefinition } from '../../src/index.js';
import { codeOf, leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const server = { command: 'fake' };
/** None of them is ready by itself: a dedicated one is when its process runs. */
const SLOW = { spawn: false, initialize: false };

const MODES: [string, ServerDefinition][] = [
  ['shared', { ...server, sharing: 'shared' }],
  ['exclusive', { ...server, sharing: 'exclusive' }],
  ['dedicated', { ...server, sharing: 'dedicated' }],
];

describe('a start that outlives its caller', () => {
  it.each(MODES)('[START-4] serves the next one: %s', async (_mode, definition) => {
    const { clock, pool, launcher } = setUp({ servers: { a: definition } }, SLOW);
    const first = rejection(pool.getServer('a'));
    await clock.advanceAndFlush(30_000);
    const error = (await first) as PoolError;
    expect(error).toMatchObject({ code: 'ACQUIRE_TIMEOUT', data: { phase: 'start', after: 30_000 } });
    expect(error.message).toContain('goes on');
    const second = pool.getServer('a');
    await clock.advanceAndFlush(8_000);
    launcher.last.spawned();
    launcher.last.initialize();
    expect((await second).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(1);
  });

  it.each(MODES)('[START-4] becomes idle when no caller came meanwhile: %s', async (_mode, definition) => {
    const { pool, launcher } = setUp({ servers: { a: definition } }, SLOW);
    const abort = new AbortController();
    const call = codeOf(pool.getServer('a', { signal: abort.signal, tenant: 't' }));
    await flush();
    abort.abort();
    expect(await call).toBe('ACQUIRE_ABORTED');
    launcher.last.spawned();
    launcher.last.initialize();
    await flush();
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1, waiting: 0 });
    expect((await pool.getServer('a', { tenant: 't' })).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[START-4] ends when a caller of another server needs its slot', async () => {
    const { pool, launcher, reasons } = setUp(
      { servers: { a: server, b: server }, limits: { maxProcesses: 1 } },
      { initialize: false },
    );
    const abort = new AbortController();
    const call = codeOf(pool.getServer('a', { signal: abort.signal }));
    await flush();
    const other = pool.getServer('b');
    await flush();
    expect(reasons()).toEqual([]);
    abort.abort();
    expect(await call).toBe('ACQUIRE_ABORTED');
    await flush();
    expect(reasons()).toEqual(['evicted']);
    launcher.last.initialize();
    expect((await other).pid).toBe(launcher.last.pid);
    expect(launcher.maximum).toBe(1);
  });

  it('[START-4] serves a caller of another tenant, since it has served none', async () => {
    const { pool, launcher, reasons } = setUp(
      { servers: { a: { ...server, maxInstances: 1 } } },
      { initialize: false },
    );
    const abort = new AbortController();
    const call = codeOf(pool.getServer('a', { signal: abort.signal, tenant: 't' }));
    const other = pool.getServer('a', { tenant: 'other' });
    await flush();
    abort.abort();
    expect(await call).toBe('ACQUIRE_ABORTED');
    launcher.last.initialize();
    expect((await other).tenant).toBe('other');
    expect(reasons()).toEqual([]);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[START-4] has its startTimeout and no more, and its failure is emitted', async () => {
    const { clock, pool, emitted } = setUp({ servers: { a: server } }, { initialize: false });
    const call = codeOf(pool.getServer('a'));
    await clock.advanceAndFlush(30_000);
    expect(await call).toBe('ACQUIRE_TIMEOUT');
    await clock.advanceAndFlush(29_999);
    expect(pool.status().processes).toBe(1);
    await clock.advanceAndFlush(1);
    expect(pool.status().processes).toBe(0);
    const failed = emitted.flatMap(({ event, payload }) => (event === 'server:failed' ? [payload.error.code] : []));
    expect(failed).toEqual(['START_TIMEOUT']);
  });

  it('[START-4] serves the caller of another start that has failed', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } }, { initialize: false });
    const abort = new AbortController();
    const first = pool.getServer('a');
    const second = codeOf(pool.getServer('a', { signal: abort.signal }));
    await flush();
    const [failing, other] = launcher.servers;
    abort.abort();
    expect(await second).toBe('ACQUIRE_ABORTED');
    failing?.exit({ exitCode: 1 });
    await flush();
    other?.initialize();
    expect((await first).pid).toBe(other?.pid);
    expect(reasons()).toEqual(['crashed']);
  });

  it('[START-4] goes on when the lease that waited for a restart is released', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(2);
    one?.lease.release();
    await flush();
    launcher.last.initialize();
    await flush();
    expect(reasons()).toEqual(['crashed']);
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1 });
    expect((await pool.getServer('a')).pid).toBe(launcher.last.pid);
  });

  it('[START-4] is not made when its lease is released before there is a process', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...shared, restart: { minDelay: 30_000 } } } });
    const [one] = await leases(pool, 1);
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    one?.lease.release();
    await clock.advanceAndFlush(60_000);
    expect(launcher.servers).toHaveLength(2);
    expect(pool.status().processes).toBe(0);
  });

  it.each(MODES)('[START-4] [TENANT-2] survives the release of its owner or tenant: %s', async (_mode, definition) => {
    const { clock, pool, launcher, reasons } = setUp({ servers: { a: { ...definition, reuse: 'owner' } } }, SLOW);
    const abort = new AbortController();
    const scopes = [{ owner: 'mine' }, { owner: "another's" }, { tenant: 't' }];
    const calls = scopes.map((scope) => codeOf(pool.getServer('a', { ...scope, signal: abort.signal })));
    await clock.advanceAndFlush(20_000);
    abort.abort();
    await Promise.all(calls);
    pool.releaseOwner('mine');
    pool.releaseTenant('t');
    await clock.advanceAndFlush(18_000);
    const next = [{ owner: 'new' }, { tenant: 'u' }, {}].map((scope) => pool.getServer('a', scope));
    await flush();
    for (const started of launcher.servers) {
      started.spawned();
      started.initialize();
    }
    expect(new Set((await Promise.all(next)).map(({ pid }) => pid)).size).toBe(3);
    expect(launcher.servers).toHaveLength(3);
    expect(reasons()).toEqual([]);
  });

  it.each(['owner', 'tenant'] as const)('[TENANT-2] one that follows a crash ends with its %s', async (by) => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...shared, reuse: 'owner' } } });
    await pool.getServer('a', { owner: 'x', tenant: 'x' });
    launcher.auto = { ...launcher.auto, initialize: false };
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(by === 'owner' ? pool.releaseOwner('x') : pool.releaseTenant('x')).toBe(1);
    await flush();
    expect(reasons()).toEqual(['crashed', `${by}-released`]);
    expect(pool.status().processes).toBe(0);
  });

  it('[START-4] [TENANT-2] is not made when it waits for its turn and its owner is released', async () => {
    const { pool, launcher } = setUp({ servers: { a: server }, limits: { concurrentStarts: 1 } }, SLOW);
    const calls = [codeOf(pool.getServer('a', { owner: 'you' })), codeOf(pool.getServer('a', { owner: 'me' }))];
    await flush();
    expect(pool.status().processes).toBe(2);
    pool.releaseOwner('me');
    expect(await calls[1]).toBe('ACQUIRE_ABORTED');
    await flush();
    expect(pool.status().processes).toBe(1);
    expect(launcher.servers).toHaveLength(1);
    pool.releaseOwner('you');
    expect(await calls[0]).toBe('ACQUIRE_ABORTED');
  });
});
