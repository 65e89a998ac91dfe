import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { MCPServerPool, ServerDefinition } from '../../src/index.js';
import { codeOf, scopeOf, setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

/** The pid that a lease of this tenant and owner has; it is given back. */
async function pidOf(pool: MCPServerPool, owner?: string, tenant?: string): Promise<number | undefined> {
  const lease = await pool.getServer('a', scopeOf({ owner, tenant }));
  const { pid } = lease;
  lease.release();
  return pid;
}

function poolOf(policy: Partial<ServerDefinition> = {}, auto = {}) {
  return setUp({ servers: { a: { ...server, ...policy } } }, auto);
}

describe('which lease gets an instance that was used', () => {
  it('[TENANT-4] that of the same owner, by default', async () => {
    const { pool, launcher } = poolOf();
    const one = await pidOf(pool, 'one');
    const two = await pidOf(pool, 'two');
    expect(two).not.toBe(one);
    expect(await pidOf(pool, 'one')).toBe(one);
    expect(await pidOf(pool, 'two')).toBe(two);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[TENANT-4] calls without an owner see no difference, with a tenant or without', async () => {
    const { pool } = poolOf();
    for (const tenant of [undefined, 't']) {
      const first = await pidOf(pool, undefined, tenant);
      expect(await pidOf(pool, undefined, tenant)).toBe(first);
      expect(await pidOf(pool, 'one', tenant)).not.toBe(first);
    }
  });

  it('[TENANT-4] the same owner of another tenant does not', async () => {
    const { pool } = poolOf();
    expect(await pidOf(pool, 'one', 't')).not.toBe(await pidOf(pool, 'one', 'u'));
    expect(await pidOf(pool, 'one', 't')).not.toBe(await pidOf(pool, 'one'));
  });

  it("[TENANT-4] with reuse: 'tenant' any owner of the tenant", async () => {
    const { pool } = poolOf({ reuse: 'tenant' });
    expect(await pidOf(pool, 'one')).toBe(await pidOf(pool, 'two'));
    expect(await pidOf(pool, 'one', 't')).not.toBe(await pidOf(pool, 'one'));
  });

  it("[TENANT-4] owners use a shared instance together, unless reuse is 'owner'", async () => {
    for (const [reuse, processes] of [
      [undefined, 1],
      ['tenant', 1],
      ['owner', 2],
    ] as const) {
      const { pool, launcher } = poolOf({ sharing: 'shared', reuse });
      await Promise.all([pool.getServer('a', { owner: 'one' }), pool.getServer('a', { owner: 'two' })]);
      expect(launcher.living).toHaveLength(processes);
    }
  });

  it('[TENANT-4] of a dedicated server none', async () => {
    const { pool } = poolOf({ sharing: 'dedicated' });
    expect(await pidOf(pool, 'one')).not.toBe(await pidOf(pool, 'one'));
  });

  it('[TENANT-4] [QUEUE-3] an idle instance of another owner makes room', async () => {
    const { pool, reasons } = poolOf({ maxInstances: 1 });
    const one = await pidOf(pool, 'one');
    expect(await pidOf(pool, 'two')).not.toBe(one);
    expect(reasons()).toEqual(['evicted']);
  });

  it('[TENANT-4] status() says which owner an instance belongs to', async () => {
    const { pool } = poolOf();
    await pidOf(pool, 'one', 't');
    await pidOf(pool);
    expect(pool.status().servers.a?.instances).toMatchObject([
      { owner: 'one', tenant: 't', uses: 1 },
      { owner: undefined, tenant: undefined, uses: 1 },
    ]);
  });
});

describe('an instance that has served no lease', () => {
  it.each(['exclusive', 'shared', 'dedicated'] as const)('[TENANT-5] %s: a spare serves any owner', async (sharing) => {
    const { pool, launcher } = poolOf({ sharing, minIdle: 1, maxInstances: 2 });
    await flush();
    const [spare] = launcher.servers;
    const lease = await pool.getServer('a', { owner: 'one', tenant: 't' });
    expect(lease.pid).toBe(spare?.pid);
    await flush();
    // The next one is ready before the next session comes.
    expect(launcher.servers).toHaveLength(2);
    expect((await pool.getServer('a', { owner: 'two', tenant: 'u' })).pid).toBe(launcher.servers[1]?.pid);
  });

  it('[TENANT-5] what was warmed for one tenant serves the next caller of another', async () => {
    const { pool, launcher } = poolOf();
    expect(await pool.warm('a', { tenant: 't', owner: 'one' })).toBe(1);
    expect(await pool.warm('a', { tenant: 'u' })).toBe(1);
    expect(await pool.warm('a')).toBe(1);
    expect(pool.status().servers.a?.instances).toMatchObject([{ tenant: undefined, owner: undefined, uses: 0 }]);
    const pid = await pidOf(pool, 'two', 'u');
    expect(launcher.servers.map((each) => each.pid)).toEqual([pid]);
    expect(await pidOf(pool, 'one', 't')).not.toBe(pid);
  });

  it('[TENANT-5] [QUEUE-6] a start on its way serves the next caller, and is not ended for it', async () => {
    const { pool, launcher, reasons } = poolOf({ minIdle: 1, maxInstances: 1 }, { initialize: false });
    await flush();
    const call = pool.getServer('a', { tenant: 't', owner: 'one' });
    await flush();
    launcher.last.initialize();
    expect((await call).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(1);
    expect(reasons()).toEqual([]);
  });

  it('[TENANT-5] [START-1] a start that another caller took over fails for that caller', async () => {
    const { pool, launcher } = poolOf({ maxInstances: 1 }, { initialize: false });
    const warming = pool.warm('a', { tenant: 't' });
    await flush();
    const call = rejection(pool.getServer('a', { tenant: 'u' }));
    await flush();
    launcher.last.exit({ exitCode: 7 });
    expect(await call).toMatchObject({ code: 'SERVER_EXITED', data: { exitCode: 7 } });
    expect(await warming).toBe(0);
  });

  it('[TENANT-5] [QUEUE-1] one that its own caller does not need any more serves the oldest of all owners', async () => {
    const { pool, launcher } = poolOf({ maxInstances: 4 }, { initialize: false });
    const [first, second, third] = ['one', 'two', 'three'].map((owner) => pool.getServer('a', { owner }));
    void pool.warm('a', { tenant: 't' });
    await flush();
    const [, , ofThird, spare] = launcher.servers;
    ofThird?.initialize();
    expect((await third)?.pid).toBe(ofThird?.pid);
    spare?.initialize();
    expect((await first)?.pid).toBe(spare?.pid);
    // The start of the first caller is not needed any more: it is ready before that of the second, and serves it.
    launcher.servers[0]?.initialize();
    expect((await second)?.pid).toBe(launcher.servers[0]?.pid);
    launcher.servers[1]?.initialize();
  });

  it('[TENANT-5] [QUEUE-4] counts for a caller that may not wait', async () => {
    const { pool } = setUp({ servers: { a: { ...server, minIdle: 1, maxInstances: 1 } }, maxWaiting: 0 });
    await flush();
    expect(await outcome(pool.getServer('a', { owner: 'one' }))).toBe('resolved');
    expect(await codeOf(pool.getServer('a', { owner: 'two' }))).toBe('QUEUE_FULL');
  });

  it('[TENANT-5] [LIFE-1] ends when it is idle for too long', async () => {
    const { clock, pool, reasons } = poolOf({ idleTimeout: 100 });
    await pool.warm('a', { tenant: 't', owner: 'one' });
    await clock.advanceAndFlush(100);
    expect(reasons()).toEqual(['idle']);
  });

  it('[TENANT-5] a successor is not one: it has the sessions of the lost process', async () => {
    const { pool, launcher } = poolOf({ onCrash: 'restart', maxInstances: 1 });
    const lease = await pool.getServer('a', { owner: 'one' });
    launcher.last.exit();
    lease.release();
    await flush();
    const next = await pool.getServer('a', { owner: 'two' });
    expect(next.instanceId).not.toBe(lease.instanceId);
  });
});

describe('releaseOwner', () => {
  it('[TENANT-6] also ends what its owner left idle', async () => {
    const { pool, launcher, reasons } = poolOf();
    const held = await pool.getServer('a', { owner: 'one' });
    await pidOf(pool, 'one');
    const other = await pidOf(pool, 'two');
    expect(pool.releaseOwner('one')).toBe(1);
    expect(held.release()).toBe(false);
    expect(await held.ended).toMatchObject({ confirmed: true });
    await flush();
    expect(reasons()).toEqual(['owner-released', 'owner-released']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([other]);
  });

  it('[TENANT-6] of all tenants and servers', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server } });
    for (const name of ['a', 'b']) (await pool.getServer(name, { owner: 'one', tenant: name })).release();
    expect(pool.releaseOwner('one')).toBe(0);
    await flush();
    expect(launcher.living).toEqual([]);
  });

  it.each([{ reuse: 'tenant' }, { sharing: 'shared' }] as const)(
    '[TENANT-6] ends nothing that others may use: %o',
    async (policy) => {
      const { pool, launcher } = poolOf(policy);
      await pidOf(pool, 'one');
      await pool.getServer('a', { owner: 'one' });
      expect(pool.releaseOwner('one')).toBe(1);
      await flush();
      expect(launcher.living).toHaveLength(1);
      expect(pool.status()).toMatchObject({ idle: 1, leases: 0 });
    },
  );

  it('[TENANT-6] ends no spare', async () => {
    const { pool, launcher } = poolOf();
    await pool.warm('a', { owner: 'one' });
    pool.releaseOwner('one');
    await flush();
    expect(launcher.living).toHaveLength(1);
  });
});

describe('the breaker of a tenant', () => {
  const restart = { maxRestarts: 1, cooldown: 1_000 };

  it('[BREAKER-2] counts the failures of all its owners, and refuses all of them', async () => {
    const { clock, pool, launcher } = poolOf({ restart }, { initialize: false });
    for (const owner of ['one', 'two']) {
      const call = rejection(pool.getServer('a', { tenant: 't', owner }));
      await flush();
      launcher.last.exit({ exitCode: 1 });
      await call;
    }
    expect(await codeOf(pool.getServer('a', { tenant: 't', owner: 'three' }))).toBe('BREAKER_OPEN');
    launcher.auto = { ...launcher.auto, initialize: true };
    expect(await pidOf(pool, 'three', 'u')).toBeDefined();
    await clock.advanceAndFlush(1_000);
    expect(await pidOf(pool, 'four', 't')).toBeDefined();
  });

  it('[BREAKER-2] [QUEUE-2] a caller that waits behind it learns that the probe of another owner succeeded', async () => {
    const { clock, pool, launcher } = poolOf({ restart, maxInstances: 3 });
    const held = await pool.getServer('a', { owner: 'one' });
    launcher.auto = { ...launcher.auto, initialize: false };
    for (let start = 0; start < 2; start++) {
      const call = rejection(pool.getServer('a', { owner: 'two' }));
      await flush();
      launcher.last.exit({ exitCode: 1 });
      await call;
    }
    // Its own instance may come free, so this one is not refused.
    const behind = pool.getServer('a', { owner: 'one' });
    expect(await outcome(behind)).toBe('pending');
    await clock.advanceAndFlush(999);
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(1);
    launcher.last.initialize();
    expect((await behind).pid).toBe(launcher.last.pid);
    held.release();
  });

  it('[BREAKER-2] [QUEUE-2] callers of other owners that wait are refused when it opens', async () => {
    const { pool, launcher } = poolOf({ restart: { maxRestarts: 0 }, maxInstances: 1 }, { initialize: false });
    const calls = ['one', 'two', 'three'].map((owner) => rejection(pool.getServer('a', { owner })));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    const errors = (await Promise.all(calls)) as PoolError[];
    expect(errors.map(({ code }) => code)).toEqual(['SERVER_EXITED', 'BREAKER_OPEN', 'BREAKER_OPEN']);
    expect(launcher.servers).toHaveLength(1);
  });
});
