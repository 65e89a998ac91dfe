import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { AcquireOptions, MCPServerPool, PooledServer, ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake', maxInstances: 3 };
const mine = { owner: 'session', reuseLease: true } as const;

function poolOf(policy: Partial<ServerDefinition> = {}, auto = {}) {
  return setUp({ servers: { a: { ...server, ...policy } } }, auto);
}

/** As many calls as a gateway makes at once for one session: tools, prompts, resources. */
const three = (pool: MCPServerPool, options: AcquireOptions = mine) =>
  Promise.all(Array.from({ length: 3 }, () => pool.getServer('a', options)));

describe('calls with reuseLease', () => {
  it.each(['exclusive', 'shared', 'dedicated'] as const)(
    '[LEASE-4] %s: cold calls of one session share one start and one lease',
    async (sharing) => {
      const { pool, launcher } = poolOf({ sharing });
      const all = await three(pool);
      expect(launcher.servers).toHaveLength(1);
      expect(new Set(all)).toHaveProperty('size', 3);
      expect(new Set(all.map(({ id }) => id)).size).toBe(1);
      expect(new Set(all.map(({ transport }) => transport)).size).toBe(1);
      expect(pool.status()).toMatchObject({ leases: 1, waiting: 0 });
      const later = await pool.getServer('a', mine);
      expect(later).toMatchObject({ id: all[0]?.id, pid: all[0]?.pid, owner: 'session', name: 'a' });
      expect(pool.metrics().acquired).toBe(1);
    },
  );

  it.each(['exclusive', 'dedicated'] as const)(
    '[LEASE-4] %s: a lease is not handed out again when its process is taken out of service',
    async (sharing) => {
      const { pool, launcher } = poolOf({ sharing });
      const held = await pool.getServer('a', mine);
      pool.setServer('a', { ...server, sharing, args: ['new'] });
      const [one, two] = [await pool.getServer('a', mine), await pool.getServer('a', mine)];
      expect(one.id).not.toBe(held.id);
      expect(two.id).toBe(one.id);
      expect(one.pid).toBe(launcher.last.pid);
      expect(launcher.servers).toHaveLength(2);
    },
  );

  it('[LEASE-4] shared: one that moves to the next process is handed out, also after a crash', async () => {
    const { pool, launcher } = poolOf({ sharing: 'shared' });
    const held = await pool.getServer('a', mine);
    pool.setServer('a', { ...server, sharing: 'shared', args: ['new'] });
    expect((await pool.getServer('a', mine)).id).toBe(held.id);
    await flush();
    launcher.last.exit({ exitCode: 1 });
    expect((await pool.getServer('a', mine)).id).toBe(held.id);
    await flush();
    expect((await pool.getServer('a', mine)).id).toBe(held.id);
  });

  it('[LEASE-4] release() counts once for each holder; the last one ends the lease', async () => {
    const { pool } = poolOf();
    const [one, two, three_] = (await three(pool)) as [PooledServer, PooledServer, PooledServer];
    const client = await RawClient.connect(one.transport);
    expect([one.release(), one.release(), one.release()]).toEqual([true, false, false]);
    expect(two.release()).toBe(true);
    expect(await client.request('tools/call', { name: 'x' })).toBeDefined();
    expect([client.closeCount, pool.status().leases]).toEqual([0, 1]);
    expect(three_.release()).toBe(true);
    expect([client.closeCount, pool.status().leases]).toEqual([1, 0]);
    expect([two.release(), three_.release()]).toEqual([false, false]);
    expect(await three_.ended).toBeUndefined();
  });

  it('[LEASE-4] that wait with one signal add one listener and one timer, and leave none', async () => {
    const { pool, clock } = poolOf({}, { initialize: false });
    const abort = new AbortController();
    const listeners = () => getEventListeners(abort.signal, 'abort').length;
    const options = { ...mine, signal: abort.signal, timeout: 1_000 };
    const calls = [rejection(pool.getServer('a', options))];
    const timers = clock.pending;
    calls.push(...Array.from({ length: 50 }, () => rejection(pool.getServer('a', options))));
    expect([listeners(), clock.pending - timers]).toEqual([1, 0]);
    const late = pool.getServer('a', { ...options, timeout: 2_000 });
    const soon = rejection(pool.getServer('a', { ...options, timeout: 10 }));
    await clock.advanceAndFlush(10);
    expect(await soon).toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    expect(listeners()).toBe(1);
    await clock.advanceAndFlush(990);
    for (const call of calls) expect(await call).toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    expect([listeners(), await outcome(late)]).toEqual([1, 'pending']);
    abort.abort('enough');
    expect(await rejection(late)).toMatchObject({ code: 'ACQUIRE_ABORTED', cause: 'enough' });
    expect([listeners(), pool.status().waiting]).toEqual([0, 0]);
  });

  it.each<[string, (pool: MCPServerPool, lease: PooledServer) => unknown]>([
    ['releaseServer', (pool, { id }) => pool.releaseServer(id)],
    ['transport.close', (_pool, { transport }) => transport.close()],
    ['releaseOwner', (pool) => pool.releaseOwner('session')],
  ])('[LEASE-4] %s ends it for all', async (_what, end) => {
    const { pool } = poolOf();
    const all = await three(pool);
    await end(pool, all[2] as PooledServer);
    expect(pool.status().leases).toBe(0);
    expect(all.map((lease) => lease.release())).toEqual([false, false, false]);
    expect((await pool.getServer('a', mine)).id).not.toBe(all[0]?.id);
  });

  it('[LEASE-4] of another owner, tenant or server has another lease', async () => {
    const { pool } = setUp({ servers: { a: server, b: server } });
    const all = await Promise.all([
      pool.getServer('a', mine),
      pool.getServer('a', { ...mine, owner: 'other' }),
      pool.getServer('a', { ...mine, tenant: 't' }),
      pool.getServer('b', mine),
    ]);
    expect(new Set(all.map(({ id }) => id)).size).toBe(4);
  });

  it('[LEASE-4] joins a lease that the owner holds already, which then has two holders', async () => {
    const { pool } = poolOf({ maxInstances: 1 });
    const plain = await pool.getServer('a', { owner: 'session' });
    const joined = await pool.getServer('a', mine);
    expect(joined.id).toBe(plain.id);
    expect(plain.release()).toBe(true);
    expect(pool.status().leases).toBe(1);
    await joined[Symbol.asyncDispose]();
    expect(pool.status().leases).toBe(0);
  });

  it('[LEASE-4] disposing of one holder does not wait for the others', async () => {
    const { pool } = poolOf();
    const [one, two] = await three(pool);
    await one?.[Symbol.asyncDispose]();
    await two?.[Symbol.asyncDispose]();
    expect(pool.status().leases).toBe(1);
  });

  it('[LEASE-4] each has a deadline and a signal of its own', async () => {
    const { clock, pool, launcher, emitted } = poolOf({}, { initialize: false });
    const abort = new AbortController();
    const hasty = rejection(pool.getServer('a', { ...mine, timeout: 100 }));
    const fickle = rejection(pool.getServer('a', { ...mine, signal: abort.signal }));
    const patient = pool.getServer('a', { ...mine, timeout: 60_000 });
    await clock.advanceAndFlush(100);
    expect(await hasty).toMatchObject({ code: 'ACQUIRE_TIMEOUT', data: { after: 100, phase: 'start' } });
    abort.abort('why not');
    expect(await fickle).toMatchObject({ code: 'ACQUIRE_ABORTED', cause: 'why not' });
    expect(await outcome(patient)).toBe('pending');
    launcher.last.initialize();
    expect((await patient).release()).toBe(true);
    expect(launcher.servers).toHaveLength(1);
    const rejected = emitted.flatMap(({ event, payload }) => (event === 'queue:rejected' ? [payload.code] : []));
    expect(rejected).toEqual(['ACQUIRE_TIMEOUT', 'ACQUIRE_ABORTED']);
  });

  it('[LEASE-4] when all have given up, no caller is left', async () => {
    const { clock, pool, emitted } = poolOf({}, { initialize: false });
    const calls = [50, 100].map((timeout) => codeOf(pool.getServer('a', { ...mine, timeout })));
    await clock.advanceAndFlush(100);
    expect(await Promise.all(calls)).toEqual(['ACQUIRE_TIMEOUT', 'ACQUIRE_TIMEOUT']);
    expect(pool.status()).toMatchObject({ waiting: 0, leases: 0 });
    expect(emitted.filter(({ event }) => event === 'queue:rejected')).toHaveLength(2);
  });

  it('[LEASE-4] [START-1] all learn that the start failed, and the next call starts anew', async () => {
    const { pool, launcher } = poolOf({}, { initialize: false });
    const calls = three(pool).catch((error: unknown) => error);
    const other = rejection(pool.getServer('a', mine));
    await flush();
    launcher.last.exit({ exitCode: 3 });
    expect(await calls).toMatchObject({ code: 'SERVER_EXITED' });
    expect(await other).toMatchObject({ code: 'SERVER_EXITED', data: { exitCode: 3 } });
    launcher.auto = { ...launcher.auto, initialize: true };
    expect((await three(pool)).length).toBe(3);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[LEASE-4] a call that ends in the turn in which the lease is given out takes it with it', async () => {
    const { pool, launcher } = poolOf({}, { initialize: false });
    const abort = new AbortController();
    const call = rejection(pool.getServer('a', { ...mine, signal: abort.signal }));
    await flush();
    pool.on('lease:acquired', () => abort.abort());
    launcher.last.initialize();
    expect(await call).toMatchObject({ code: 'ACQUIRE_ABORTED' });
    await flush();
    expect(pool.status()).toMatchObject({ leases: 0, waiting: 0 });
  });

  it('[LEASE-4] shutdown and releaseOwner reject all', async () => {
    const { pool } = poolOf({}, { initialize: false });
    const first = [codeOf(pool.getServer('a', mine)), codeOf(pool.getServer('a', mine))];
    pool.releaseOwner('session');
    expect(await Promise.all(first)).toEqual(['ACQUIRE_ABORTED', 'ACQUIRE_ABORTED']);
    const second = [codeOf(pool.getServer('a', mine)), codeOf(pool.getServer('a', mine))];
    void pool.shutdown({ mode: 'emergency' });
    expect(await Promise.all(second)).toEqual(['POOL_CLOSED', 'POOL_CLOSED']);
  });

  it('[LEASE-4] without an owner is refused: it would be the lease of a stranger', async () => {
    const { pool } = poolOf();
    expect(await codeOf(pool.getServer('a', { reuseLease: true }))).toBe('INVALID_OPTIONS');
    expect(await codeOf(pool.getServer('a', { tenant: 't', reuseLease: true }))).toBe('INVALID_OPTIONS');
  });

  it('[LEASE-4] [LEASE-1] a lease that was silent is not taken back from a new holder', async () => {
    const { clock, pool } = poolOf({ maxInstances: 1, leaseIdleTimeout: 1_000 });
    const lease = await pool.getServer('a', mine);
    await clock.advanceAndFlush(999);
    const joined = await pool.getServer('a', mine);
    await clock.advanceAndFlush(500);
    const waiting = pool.getServer('a', { owner: 'other' });
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(500);
    expect(await outcome(waiting)).toBe('resolved');
    expect([lease.release(), joined.release()]).toEqual([false, false]);
  });

  it('[LEASE-4] a holder shows what its lease is', async () => {
    const { pool } = poolOf();
    const all = await three(pool);
    expect(JSON.parse(JSON.stringify(all[2]))).toMatchObject({ id: all[0]?.id, name: 'a', owner: 'session' });
  });

  it('[LEASE-4] [QUEUE-4] at most 1,000 wait together', async () => {
    const { pool } = poolOf({}, { initialize: false });
    const calls = Array.from({ length: 1_000 }, () => codeOf(pool.getServer('a', mine)));
    expect(await codeOf(pool.getServer('a', mine))).toBe('QUEUE_FULL');
    pool.releaseOwner('session');
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['ACQUIRE_ABORTED']));
  });

  it.each(['server:starting', 'queue:waiting'] as const)(
    '[LEASE-4] [EVENT-5] a listener to %s that calls, too, gets the same lease, also when the first call is aborted there',
    async (event) => {
      const { pool, launcher } = poolOf({}, { initialize: false });
      const first = new AbortController();
      let second: Promise<PooledServer> | undefined;
      pool.once(event, () => {
        second = pool.getServer('a', mine);
        first.abort();
      });
      const aborted = rejection(pool.getServer('a', { ...mine, signal: first.signal }));
      expect(await aborted).toMatchObject({ code: 'ACQUIRE_ABORTED' });
      expect(pool.status()).toMatchObject({ waiting: 1, processes: 1 });
      launcher.last.initialize();
      expect(await second).toMatchObject({ pid: launcher.last.pid });
      expect(pool.status()).toMatchObject({ waiting: 0, leases: 1, processes: 1 });
    },
  );
});
