import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import { failStart, leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

describe('a listener', () => {
  it('[FAIL-4] that releases the leases when it hears of the crash has no server started for them', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    pool.once('server:restarting', () => void one?.lease.release());
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(1);
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-5] that ends the old process when it hears of the new one loses no lease', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    pool.once('server:starting', () => launcher.servers[0]?.exit({ exitCode: 1 }));
    await pool.restart('a');
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[FAIL-5] [DEF-2] that removes the server while it is replaced leaves its leases on the old process', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    let removed: Promise<void> | undefined;
    pool.once('server:starting', () => {
      removed = pool.removeServer('a');
    });
    const restarted = pool.restart('a');
    await flush();
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(one?.lease.release()).toBe(true);
    await Promise.all([restarted, removed]);
    expect(launcher.living).toHaveLength(0);
  });

  it('[FAIL-5] [SPAWN-2] a definition that cannot be spawned leaves the old one in service', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.onLaunch = () => {
      throw new PoolError('COMMAND_NOT_FOUND', 'there is none');
    };
    expect(await rejection(pool.updateServer('a', { ...shared, command: 'gone' }))).toMatchObject({
      code: 'COMMAND_NOT_FOUND',
    });
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
  });

  it('[FAIL-6] a server that cannot be spawned again closes its leases when the breaker opens', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...shared, restart: { maxRestarts: 2 } } } });
    const [one] = await leases(pool, 1);
    launcher.onLaunch = () => {
      throw new PoolError('COMMAND_NOT_FOUND', 'there is none');
    };
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(1_000);
    await one?.client.closed;
    expect(one?.client.errors[0]).toMatchObject({ code: 'BREAKER_OPEN' });
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-4] [TENANT-1] that releases a lease as soon as it moved gives its server to one caller, not to two', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', onCrash: 'restart' } } });
    const [one] = await leases(pool, 1);
    pool.once('lease:moved', () => void one?.lease.release());
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1, leases: 0 });
    const [first, second] = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    expect(first?.pid).not.toBe(second?.pid);
  });

  it('[FAIL-4] that releases the last lease when its server is ready again parks it once', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    pool.once('server:ready', () => void one?.lease.release());
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1, leases: 0 });
  });

  it('[FAIL-4] [DEF-2] that removes the server when it hears of the crash ends its leases with why', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { answer: false });
    const [one] = await leases(pool, 1);
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    await flush();
    let removed: Promise<void> | undefined;
    pool.once('server:restarting', () => {
      removed = pool.removeServer('a');
    });
    launcher.last.exit({ exitCode: 1 });
    expect(await rejection(list)).toMatchObject({ data: { reason: 'SERVER_EXITED' } });
    await one?.client.closed;
    await removed;
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  it('[FAIL-4] [DEF-2] a server that is removed while it waits for its restart ends its leases', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    const first = launcher.last;
    first.auto = { ...first.auto, end: false };
    first.stdout.end();
    await flush();
    const list = one?.client.request('tools/list') ?? Promise.resolve();
    const removed = pool.removeServer('a');
    first.exit();
    expect(await rejection(list)).toMatchObject({ code: -32_000 });
    await one?.client.closed;
    await removed;
    expect(launcher.servers).toHaveLength(1);
  });

  it('[FAIL-6] [END-2] that shuts the pool down when a probe is let through leaves nothing behind', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...shared, restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    let closed: Promise<unknown> | undefined;
    pool.once('breaker:half-opened', () => {
      closed = pool.shutdown();
    });
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'POOL_CLOSED' });
    await closed;
    expect(launcher.living).toHaveLength(0);
    expect(pool.status()).toMatchObject({ state: 'closed', processes: 0 });
  });

  it('[FAIL-5] [DEF-2] that removes the server when its replacement is ready leaves no lease without one', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    let removed: Promise<void> | undefined;
    pool.once('server:ready', () => {
      removed = pool.removeServer('a');
    });
    const restarted = pool.restart('a');
    await flush();
    expect(await one?.client.request('tools/list')).toEqual({ echo: undefined });
    one?.lease.release();
    await Promise.all([restarted, removed]);
    expect(pool.status().processes).toBe(0);
  });

  it('[EVENT-5] [DEF-2] that removes the server when a lease of it is given out takes that lease from no caller', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake' } } });
    (await pool.getServer('a')).release();
    let removed: Promise<void> | undefined;
    pool.once('lease:acquired', () => {
      removed = pool.removeServer('a');
    });
    const lease = await pool.getServer('a');
    expect(launcher.living.map(({ pid }) => pid)).toEqual([lease.pid]);
    lease.release();
    await removed;
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
  });

  describe('of an instance that ended because it was too old when a caller came', () => {
    const tooOld = async () => {
      const all = setUp({ servers: { a: { command: 'fake', maxLifetime: 1_000 } } });
      (await all.pool.getServer('a')).release();
      // The host was busy: the timer that would have ended it is late.
      all.clock.lag(1_000);
      return all;
    };

    it('[EVENT-3] [LIFE-4] hears of that when the call is complete', async () => {
      const { pool, reasons } = await tooOld();
      const processes: number[] = [];
      pool.once('server:stopping', () => processes.push(pool.status().processes));
      await pool.getServer('a');
      expect(processes).toEqual([2]);
      expect(reasons()).toEqual(['max-lifetime']);
    });

    it('[EVENT-5] [END-2] may shut the pool down: the caller is rejected', async () => {
      const { pool } = await tooOld();
      let closed: Promise<unknown> | undefined;
      pool.once('server:stopping', () => {
        closed = pool.shutdown();
      });
      expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'POOL_CLOSED' });
      await closed;
    });

    it('[EVENT-5] [DEF-2] may remove the server: the caller is rejected', async () => {
      const { pool } = await tooOld();
      let removed: Promise<unknown> | undefined;
      pool.once('server:stopping', () => {
        removed = pool.removeServer('a');
      });
      expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'UNKNOWN_SERVER' });
      await removed;
    });
  });
});
