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

  it('[START-4] [TENANT-2] ends when only the owner or the tenant that was released could use it', async () => {
    const { pool, reasons } = setUp({ servers: { a: { ...server, reuse: 'owner' } } }, { initialize: false });
    const abort = new AbortController();
    const scopes = [{ owner: 'mine' }, { owner: "another's" }, { tenant: 't' }];
    const calls = scopes.map((scope) => codeOf(pool.getServer('a', { ...scope, signal: abort.signal })));
    await flush();
    abort.abort();
    await Promise.all(calls);
    expect(reasons()).toEqual([]);
    pool.releaseOwner('mine');
    pool.releaseTenant('t');
    expect(reasons()).toEqual(['unwanted', 'tenant-released']);
    await flush();
    expect(pool.status().processes).toBe(1);
  });
});
