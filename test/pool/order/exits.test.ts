import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../../src/index.js';
import { setUp } from '../../helpers/fake-pool.js';
import { launched, living } from '../../helpers/order.js';
import { flush, rejection } from '../../helpers/until.js';

const server = (options: object = {}) => ({ command: 'fake', ...options });

/** Time passes until nothing is due any more within `ms`. */
async function pass(clock: { advance(ms: number): unknown }, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    clock.advance(50);
    await flush();
  }
}

/** Two servers, of which one depends on the other; both are up, and a lease is held. */
async function running(app: object, db: object = {}) {
  const made = setUp({
    servers: { app: server({ dependsOn: ['db'], eofGrace: 0, ...app }), db: server({ sharing: 'exclusive', ...db }) },
  });
  const lease = await made.pool.getServer('app');
  const [oldDb, oldApp] = made.launcher.servers;
  if (oldDb === undefined || oldApp === undefined) throw new Error('two were to be launched');
  return { ...made, lease, oldDb, oldApp };
}

describe('a server on which others depend ends by itself', () => {
  it('[SEQ-20] restart: they end before it is started again, and start after it', async () => {
    const { clock, launcher, lease, oldDb, oldApp } = await running({ sharing: 'exclusive' });
    oldApp.auto = { ...oldApp.auto, end: false };
    const ended = lease.ended;
    oldDb.exit({ exitCode: 1 });
    await pass(clock, 200);
    expect([oldApp.ending, launched(launcher)]).toEqual([true, ['db', 'app']]);
    oldApp.exit();
    await pass(clock, 500);
    await ended;
    expect(launched(launcher)).toEqual(['db', 'app', 'db', 'app']);
    expect(living(launcher)).toEqual(['app', 'db']);
  });

  it('[SEQ-20] restart: leases on a shared one move', async () => {
    const { clock, launcher, lease, oldDb, pool } = await running({ sharing: 'shared' });
    const before = lease.instanceId;
    oldDb.exit({ exitCode: 1 });
    await pass(clock, 1_000);
    expect(launched(launcher)).toEqual(['db', 'app', 'db', 'app']);
    expect([lease.instanceId === before, pool.status().leases]).toEqual([false, 1]);
    lease.release();
  });

  it('[SEQ-20] hold: they go on, and no new one is started until it is there again', async () => {
    const { clock, launcher, oldDb, pool } = await running({ sharing: 'exclusive', onDependencyExit: 'hold' });
    launcher.auto = { ...launcher.auto, initialize: false };
    oldDb.exit({ exitCode: 1 });
    const second = pool.getServer('app');
    await pass(clock, 500);
    expect([launched(launcher), living(launcher)]).toEqual([
      ['db', 'app', 'db'],
      ['app', 'db'],
    ]);
    launcher.auto = { ...launcher.auto, initialize: true };
    launcher.last.initialize();
    (await second).release();
    expect(living(launcher)).toEqual(['app', 'app', 'db']);
  });

  it('[SEQ-20] stop: they end, and the next call starts all again', async () => {
    const { clock, launcher, lease, oldDb, pool } = await running({ sharing: 'shared', onDependencyExit: 'stop' });
    oldDb.exit({ exitCode: 1 });
    await lease.ended;
    await pass(clock, 1_000);
    expect(living(launcher)).not.toContain('app');
    (await pool.getServer('app')).release();
    expect(living(launcher)).toEqual(['app', 'db']);
  });

  it('[SEQ-20] ignore, the default for one that is restarted under its leases: they go on', async () => {
    for (const [app, db] of [
      [{ onDependencyExit: 'ignore' }, {}],
      [{}, { sharing: 'shared' }],
    ]) {
      const { clock, launcher, lease, oldApp, oldDb } = await running({ sharing: 'exclusive', ...app }, db);
      oldDb.exit({ exitCode: 1 });
      await pass(clock, 1_000);
      expect([launched(launcher), oldApp.alive]).toEqual([['db', 'app', 'db'], true]);
      lease.release();
    }
  });

  it('[SEQ-20] and cannot be started again: their callers learn why', async () => {
    const { clock, launcher, oldDb, pool } = await running({ sharing: 'shared' });
    launcher.onLaunch = ({ name }) => {
      if (name === 'db') throw new Error('gone');
    };
    oldDb.exit({ exitCode: 1 });
    const failed = rejection(pool.getServer('app', { owner: 'another', timeout: 20_000 }));
    await pass(clock, 3_000);
    const error = (await failed) as PoolError;
    expect([error.code, error.data.name]).toEqual(['DEPENDENCY_FAILED', 'db']);
    expect(living(launcher)).toEqual([]);
    expect(pool.status().leases).toBe(0);
  });

  it('[SEQ-20] once per incident: a chain is restarted once, in order', async () => {
    const { clock, launcher, pool } = setUp({
      servers: {
        app: server({ dependsOn: ['api', 'db'] }),
        api: server({ dependsOn: ['db'] }),
        db: server({ sharing: 'exclusive' }),
      },
    });
    await pool.start();
    launcher.servers[0]?.exit({ exitCode: 1 });
    await pass(clock, 1_000);
    expect(launched(launcher)).toEqual(['db', 'api', 'app', 'db', 'api', 'app']);
    expect(living(launcher)).toEqual(['api', 'app', 'db']);
  });
});

describe('a server on which others depend is ended by the pool', () => {
  it('[SEQ-20] another one takes its place, and they go on', async () => {
    const { clock, launcher, lease, oldApp, pool } = await running({ sharing: 'exclusive' }, { maxUses: 1 });
    (await pool.getServer('db')).release();
    await pass(clock, 500);
    expect([launched(launcher), oldApp.alive]).toEqual([['db', 'app', 'db'], true]);
    lease.release();
  });
});

describe('restart()', () => {
  it('[SEQ-21] concerns one server', async () => {
    const { launcher, lease, oldApp, pool } = await running({ sharing: 'exclusive' });
    await pool.restart('db');
    await flush(20);
    expect([launched(launcher), oldApp.alive]).toEqual([['db', 'app', 'db'], true]);
    lease.release();
  });

  it('[SEQ-21] with cascade: what depends on it ends before, and starts after it', async () => {
    const { clock, launcher, lease, pool } = await running({ sharing: 'shared' });
    const order: string[] = [];
    for (const event of ['server:stopped', 'server:ready'] as const)
      pool.on(event, ({ name }) => order.push(`${event} ${name}`));
    const restarted = pool.restart('db', { cascade: true });
    await pass(clock, 1_000);
    await restarted;
    expect(order).toEqual(['server:stopped app', 'server:stopped db', 'server:ready db', 'server:ready app']);
    expect([living(launcher), pool.status().leases]).toEqual([['app', 'db'], 1]);
    lease.release();
  });
});

describe('a changed definition', () => {
  it('[SEQ-21] its new order holds at once, and what is up stays', async () => {
    const { launcher, lease, pool } = await running({ sharing: 'exclusive' });
    pool.addServer('cache', server());
    await pool.updateServer('app', server({ dependsOn: ['db', 'cache'], sharing: 'exclusive', eofGrace: 0 }));
    expect(living(launcher)).toEqual(['app', 'cache', 'db']);
    (await pool.getServer('app', { owner: 'another' })).release();
    expect(launched(launcher)).toEqual(['db', 'app', 'cache', 'app']);
    expect((await rejection(pool.updateServer('db', server({ dependsOn: ['app'] })))) as PoolError).toMatchObject({
      code: 'INVALID_OPTIONS',
      data: { problems: [expect.stringContaining("dependsOn must not lead in a circle: 'app' → 'db' → 'app'")] },
    });
    lease.release();
  });

  it('[SEQ-17] releaseTenant() ends what a tenant has, and starts nothing', async () => {
    const { clock, launcher, pool } = setUp({ servers: { app: server({ dependsOn: ['db'] }), db: server() } });
    await pool.getServer('app', { tenant: 'T' });
    pool.releaseTenant('T');
    await pass(clock, 500);
    expect([launched(launcher), living(launcher)]).toEqual([['db', 'app'], []]);
  });
});
