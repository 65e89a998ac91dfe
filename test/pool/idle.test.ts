import { describe, expect, it } from 'vitest';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';

const server = { command: 'fake' };
const oneSession = { ...server, sharing: 'shared', maxSessions: 1 } as const;

describe('idle instances', () => {
  it('[LIFE-1] end after idleTimeout, counted from their last use', async () => {
    const { clock, pool, launcher, reasons } = setUp({ servers: { a: { ...server, idleTimeout: 100 } } });
    (await pool.getServer('a')).release();
    await clock.advanceAndFlush(99);
    (await pool.getServer('a')).release();
    await clock.advanceAndFlush(99);
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(1);
    expect(launcher.living).toHaveLength(0);
    expect(reasons()).toEqual(['idle']);
  });

  it('[LIFE-2] minIdle of them stay, are replaced when one is leased, and are never more than the budgets allow', async () => {
    const { clock, pool, launcher } = setUp({
      servers: { a: { ...server, minIdle: 2, idleTimeout: 100, maxInstances: 3 } },
    });
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    await clock.advanceAndFlush(1_000);
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    const first = await pool.getServer('a');
    const second = await pool.getServer('a');
    await flush();
    expect(pool.status()).toMatchObject({ processes: 3, idle: 1 });
    first.release();
    second.release();
    await clock.advanceAndFlush(1_000);
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    expect(launcher.maximum).toBe(3);
  });

  it('[LIFE-1] [LIFE-2] end after idleTimeout when a younger one takes their place in the minimum', async () => {
    const { clock, pool, reasons } = setUp({
      servers: { a: { ...oneSession, maxInstances: 2, minIdle: 1, idleTimeout: 1_000 } },
    });
    const one = await pool.getServer('a');
    const two = await pool.getServer('a');
    one.release();
    await clock.advanceAndFlush(1_500);
    two.release();
    await clock.advanceAndFlush(1_000);
    expect(reasons()).toEqual(['idle']);
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1 });
  });

  it('[LIFE-1] [LIFE-2] end as soon as others have taken their place among the minIdle that stay', async () => {
    const { clock, pool, launcher, reasons } = setUp({
      servers: { a: { ...oneSession, minIdle: 1, idleTimeout: 100, maxInstances: 2 } },
    });
    await flush();
    const lease = await pool.getServer('a');
    await flush();
    const spare = launcher.last;
    // It was looked at while it was the one that stays.
    await clock.advanceAndFlush(200);
    lease.release();
    await clock.advanceAndFlush(0);
    expect(reasons()).toEqual(['idle']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([lease.pid]);
    expect(spare.alive).toBe(false);
    await clock.advanceAndFlush(1_000);
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1 });
  });

  it('[LIFE-2] a minIdle start that fails is tried again later and later', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, minIdle: 1 } } }, { spawn: false });
    for (const delay of [1_000, 2_000, 4_000]) {
      launcher.last.exit({ exitCode: 1 });
      await flush();
      const launched = launcher.servers.length;
      await clock.advanceAndFlush(delay - 1);
      expect(launcher.servers).toHaveLength(launched);
      await clock.advanceAndFlush(1);
      expect(launcher.servers).toHaveLength(launched + 1);
    }
    expect(pool.metrics().startFailures).toBe(3);
  });

  it('[LIFE-2] a spare instance that ends before its first use is replaced later and later, a used one at once', async () => {
    const { clock, launcher, pool } = setUp({ servers: { a: { ...server, minIdle: 1, maxInstances: 1 } } });
    await flush();
    for (const delay of [1_000, 2_000]) {
      const launched = launcher.servers.length;
      launcher.last.exit({ exitCode: 1 });
      await clock.advanceAndFlush(delay - 1);
      expect(launcher.servers).toHaveLength(launched);
      await clock.advanceAndFlush(1);
      expect(launcher.servers).toHaveLength(launched + 1);
    }
    // One that served a caller proves that the server works: what failed before does not count.
    (await pool.getServer('a')).release();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.living).toHaveLength(1);
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(999);
    expect(launcher.living).toHaveLength(0);
    await clock.advanceAndFlush(1);
    expect(launcher.living).toHaveLength(1);
  });

  it('[LIFE-3] warm starts them ahead, says how many are ready, and why none is', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server }, limits: { maxProcesses: 3 } });
    expect(await pool.warm('a', { count: 2 })).toBe(2);
    expect(await pool.warm('b', { count: 2 })).toBe(1);
    const lease = await pool.getServer('a');
    expect(launcher.servers).toHaveLength(3);
    lease.release();
    launcher.auto = { ...launcher.auto, initialize: false };
    const { pool: other, launcher: broken } = setUp({ servers: { a: server } }, { initialize: false });
    const warming = other.warm('a');
    await flush();
    broken.last.exit({ exitCode: 7 });
    expect(await codeOf(warming)).toBe('SERVER_EXITED');
  });
});

describe('spare instances', () => {
  it.each([
    ['an owner', { owner: 's1' }],
    ['a tenant', { tenant: 't' }],
    ['neither', {}],
  ])('[LIFE-2] [SAME-2] of an exclusive server are clean, whatever its last caller was: %s', async (_who, last) => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, minIdle: 1, idleTimeout: 1_000 } } });
    await flush();
    const used = await pool.getServer('a', last);
    used.release();
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, idle: 2 });
    // It is there for any caller at once, and is replaced.
    const spare = launcher.last;
    launcher.auto = { ...launcher.auto, initialize: false };
    const other = await pool.getServer('a', { owner: 's2' });
    expect(other.pid).toBe(spare.pid);
    other.release();
    await flush();
    launcher.last.initialize();
    await clock.advanceAndFlush(60_000);
    // The used ones have ended, the clean one stays.
    expect(launcher.living.map(({ pid }) => pid)).toEqual([launcher.last.pid]);
    expect(launcher.servers).toHaveLength(3);
  });

  it.each([
    ['an owner', { owner: 's1' }],
    ['a tenant', { tenant: 't' }],
    ['neither', {}],
  ])("[LIFE-2] [SAME-2] of a shared server with reuse: 'owner' are clean, too: %s", async (_who, last) => {
    const policy = { sharing: 'shared', reuse: 'owner', minIdle: 1, idleTimeout: 1_000 } as const;
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, ...policy } } });
    await flush();
    const used = await pool.getServer('a', last);
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, idle: 1 });
    // It is there for any owner at once, and is replaced.
    const spare = launcher.last;
    const other = await pool.getServer('a', { owner: 's2' });
    expect(other.pid).toBe(spare.pid);
    await flush();
    expect(pool.status()).toMatchObject({ processes: 3, idle: 1 });
    used.release();
    other.release();
    await clock.advanceAndFlush(60_000);
    // The used ones have ended, the clean one stays.
    expect(launcher.living.map(({ pid }) => pid)).toEqual([launcher.last.pid]);
    expect(launcher.servers).toHaveLength(3);
  });

  it('[LIFE-2] come back once the last waiter was served', async () => {
    const { pool } = setUp({ servers: { a: { ...server, minIdle: 1, maxInstances: 2 } } });
    await flush();
    const [first, second] = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    const third = pool.getServer('a');
    first.release();
    await third;
    second.release();
    (await third).release();
    await pool.getServer('a');
    await flush();
    expect(pool.status()).toMatchObject({ processes: 2, idle: 1 });
  });

  it('[LIFE-2] do not shield what a tenant left idle, nor end for it', async () => {
    const { clock, pool, launcher, reasons } = setUp({
      servers: { a: { ...server, minIdle: 1, idleTimeout: 100, maxInstances: 3 } },
    });
    await flush();
    const first = launcher.last.pid;
    const lease = await pool.getServer('a', { tenant: 't' });
    expect(lease.pid).toBe(first);
    await flush();
    const spare = launcher.last.pid;
    expect(spare).not.toBe(first);
    lease.release();
    await clock.advanceAndFlush(1_000);
    expect(reasons()).toEqual(['idle']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([spare]);
  });
});

describe('instances that may not be used for ever', () => {
  it('[LIFE-4] end after maxUses leases', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...server, maxUses: 2 } } });
    for (let use = 0; use < 4; use++) (await pool.getServer('a')).release();
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(reasons()).toEqual(['max-uses', 'max-uses']);
  });

  it('[LIFE-4] end after maxLifetime, up to a tenth earlier: when idle at once, when leased with the lease', async () => {
    const { clock, pool, reasons } = setUp({
      servers: { a: { ...server, maxLifetime: 1_000, idleTimeout: Infinity } },
    });
    const lease = await pool.getServer('a');
    const idle = await pool.getServer('a');
    idle.release();
    await clock.advanceAndFlush(899);
    expect(reasons()).toEqual([]);
    await clock.advanceAndFlush(101);
    expect(reasons()).toEqual(['max-lifetime']);
    lease.release();
    await flush();
    expect(reasons()).toEqual(['max-lifetime', 'max-lifetime']);
  });

  it.each([
    ['shorter than a start', 1_000, 1],
    ['0', 0, 3],
  ])('[LIFE-4] serve their caller first, also when maxLifetime is %s', async (_, maxLifetime, starts) => {
    const { clock, launcher, pool } = setUp({ servers: { a: { ...server, maxLifetime } } }, { initialize: false });
    const call = pool.getServer('a');
    await clock.advanceAndFlush(5_000);
    launcher.auto = { ...launcher.auto, initialize: true };
    launcher.last.initialize();
    (await call).release();
    await flush();
    for (let use = 0; use < 2; use++) (await pool.getServer('a')).release();
    expect(launcher.servers).toHaveLength(starts);
  });

  it('[LIFE-4] [LIFE-2] are not started again and again without a pause when they are too old at once', async () => {
    const { clock, launcher } = setUp({ servers: { a: { ...server, minIdle: 1, maxLifetime: 1 } } });
    for (let time = 0; time < 2_500; time += 10) await clock.advanceAndFlush(10);
    expect(launcher.servers.length).toBeLessThanOrEqual(3);
  });
});
