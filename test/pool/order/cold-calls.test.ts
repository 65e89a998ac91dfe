import { describe, expect, it } from 'vitest';
import type { PoolError, PoolOptions } from '../../../src/index.js';
import { codeOf, setUp } from '../../helpers/fake-pool.js';
import { instancesOf } from '../../helpers/order.js';
import { flush, rejection } from '../../helpers/until.js';

const server = (options: object = {}) => ({ command: 'fake', ...options });

/** app → api → db, and app → cache. */
const CHAIN: PoolOptions['servers'] = {
  app: server({ dependsOn: ['api', 'cache'] }),
  api: server({ dependsOn: ['db'] }),
  cache: server(),
  db: server(),
};

describe('a call for a server that depends on others', () => {
  it('[SEQ-16] starts these first, each after what it needs', async () => {
    const { launcher, pool } = setUp({ servers: CHAIN }, { initialize: false });
    const call = pool.getServer('app', { tenant: 'T' });
    await flush();
    const names = () => launcher.servers.map(({ definition }) => definition.name);
    expect(names().sort()).toEqual(['cache', 'db']);
    for (const one of launcher.living) one.initialize();
    await flush();
    expect(names().slice(2)).toEqual(['api']);
    launcher.last.initialize();
    await flush();
    expect(names().slice(3)).toEqual(['app']);
    launcher.last.initialize();
    const lease = await call;
    expect(instancesOf(pool)).toEqual(['api T', 'app T', 'cache T', 'db T']);
    lease.release();
  });

  it('[SEQ-16] leaves alone a server without dependencies', async () => {
    const { launcher, pool } = setUp({ servers: CHAIN });
    (await pool.getServer('db')).release();
    expect(launcher.servers).toHaveLength(1);
  });

  it('[SEQ-16] gets DEPENDENCY_FAILED with the name and the cause, and nothing else is left', async () => {
    const { clock, launcher, pool } = setUp({ servers: CHAIN });
    launcher.onLaunch = ({ name }) => {
      if (name === 'db') throw new Error('no such file');
    };
    const failed = rejection(pool.getServer('app'));
    await flush();
    clock.advance(10_000);
    const error = (await failed) as PoolError;
    expect([error.code, error.data.name, error.message]).toEqual([
      'DEPENDENCY_FAILED',
      'db',
      expect.stringContaining("getServer('app') failed: it depends on server 'db', which cannot be used"),
    ]);
    expect((error.cause as PoolError).code).toBe('SPAWN_FAILED');
    expect(launcher.servers.map(({ definition }) => definition.name)).toEqual(['cache']);
  });

  it('[SEQ-16] has its own deadline', async () => {
    const { clock, pool } = setUp({ servers: CHAIN }, { initialize: false });
    const failed = rejection(pool.getServer('app', { timeout: 500 }));
    await flush();
    clock.advance(500);
    const error = (await failed) as PoolError;
    expect([error.code, error.message]).toEqual([
      'ACQUIRE_TIMEOUT',
      expect.stringContaining("it depends on 'api', 'cache', which were still being started"),
    ]);
  });

  it('[SEQ-16] serves all callers in their order when these are there', async () => {
    const { pool } = setUp({ servers: { app: server({ dependsOn: ['db'], maxInstances: 1 }), db: server() } });
    const got: number[] = [];
    const calls = [1, 2, 3].map(async (number) => {
      const lease = await pool.getServer('app');
      got.push(number);
      lease.release();
    });
    await Promise.all(calls);
    expect(got).toEqual([1, 2, 3]);
  });
});

describe('what a server depends on', () => {
  const TWO: PoolOptions = {
    servers: {
      app: server({ dependsOn: ['db'], idleTimeout: 5_000 }),
      db: server({ idleTimeout: 1_000 }),
      other: server(),
    },
    limits: { maxProcesses: 3 },
  };

  it('[SEQ-17] is an instance of its tenant, and is not idled out while that lives', async () => {
    const { clock, launcher, pool, reasons } = setUp(TWO);
    const lease = await pool.getServer('app', { tenant: 'T' });
    expect(instancesOf(pool)).toEqual(['app T', 'db T']);
    clock.advance(60_000);
    expect(launcher.living).toHaveLength(2);
    lease.release();
    clock.advance(4_999);
    await flush();
    expect(reasons()).toEqual([]);
    clock.advance(1);
    await flush();
    expect([reasons(), launcher.living.map(({ definition }) => definition.name)]).toEqual([['idle'], ['db']]);
    // Its idle time begins when nothing needs it any more.
    clock.advance(999);
    await flush();
    expect(launcher.living).toHaveLength(1);
    clock.advance(1);
    await flush();
    expect(launcher.living).toHaveLength(0);
  });

  it('[SEQ-17] is not evicted while that lives; that is', async () => {
    const { launcher, pool, reasons } = setUp(TWO);
    const lease = await pool.getServer('app');
    (await pool.getServer('other')).release();
    const waiting = pool.getServer('other', { tenant: 'X' });
    await waiting;
    expect(reasons()).toEqual(['evicted']);
    expect(launcher.living.map(({ definition }) => definition.name).sort()).toEqual(['app', 'db', 'other']);
    lease.release();
    const third = await pool.getServer('other', { tenant: 'Y' });
    const fourth = await pool.getServer('other', { tenant: 'Z' });
    expect(launcher.living.map(({ definition }) => definition.name).sort()).toEqual(['other', 'other', 'other']);
    for (const one of [await waiting, third, fourth]) one.release();
  });

  it('[SEQ-17] still serves callers of its tenant, and no others', async () => {
    const { launcher, pool } = setUp({
      servers: { app: server({ dependsOn: ['db'] }), db: server({ reuse: 'tenant' }) },
    });
    const app = await pool.getServer('app', { tenant: 'T' });
    const db = await pool.getServer('db', { tenant: 'T' });
    expect(launcher.servers).toHaveLength(2);
    db.release();
    (await pool.getServer('db', { tenant: 'U' })).release();
    expect(launcher.servers).toHaveLength(3);
    app.release();
  });

  it('[SEQ-17] is one that runs already, also while a caller uses it', async () => {
    const { launcher, pool } = setUp({
      servers: { app: server({ dependsOn: ['db'] }), db: server({ maxInstances: 1 }) },
    });
    const db = await pool.getServer('db');
    const app = await pool.getServer('app');
    expect(launcher.servers).toHaveLength(2);
    db.release();
    app.release();
  });

  it('[SEQ-17] cannot be removed before that', async () => {
    const { pool } = setUp(TWO);
    expect(await codeOf(pool.removeServer('db'))).toBe('INVALID_OPTIONS');
    await pool.removeServer('app');
    await pool.removeServer('db');
    expect(pool.hasServer('db')).toBe(false);
  });
});
