import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../../src/index.js';
import { setUp } from '../../helpers/fake-pool.js';
import { instancesOf, launched, living } from '../../helpers/order.js';
import { flush, outcome, rejection } from '../../helpers/until.js';

const server = (options: object = {}) => ({ command: 'fake', ...options });

/** Time passes, and all that follows from it is done, until `ms` are over. */
async function pass(clock: { advance(ms: number): unknown }, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    clock.advance(50);
    await flush();
  }
}

const TWO = { app: server({ dependsOn: ['db'] }), db: server() };

describe('slots', () => {
  it('[SEQ-26] no tenants keep one another waiting: each holds a dependency, none gets its server', async () => {
    const { clock, launcher, pool } = setUp({ servers: TWO, limits: { maxProcesses: 4 } });
    const calls = [1, 2, 3, 4].map((number) => pool.getServer('app', { tenant: `T${number}` }));
    const served: number[] = [];
    for (const [index, call] of calls.entries()) {
      void call.then(async (lease) => {
        served.push(index + 1);
        lease.release();
      });
    }
    await pass(clock, 1_000);
    expect([served.slice(0, 2), served.toSorted()]).toEqual([
      [1, 2],
      [1, 2, 3, 4],
    ]);
    expect(launcher.maximum).toBeLessThanOrEqual(4);
    for (const name of instancesOf(pool)) expect(name).toMatch(/^(app|db) T/);
  });

  it('[SEQ-26] nor with a chain of three', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { app: server({ dependsOn: ['api'] }), api: server({ dependsOn: ['db'] }), db: server() },
      limits: { maxProcesses: 3 },
    });
    const served: string[] = [];
    for (const tenant of ['A', 'B', 'C']) {
      void pool.getServer('app', { tenant }).then((lease) => {
        served.push(tenant);
        lease.release();
      });
    }
    await pass(clock, 3_000);
    expect([served[0], served.toSorted()]).toEqual(['A', ['A', 'B', 'C']]);
    expect(launcher.maximum).toBeLessThanOrEqual(3);
  });

  it('[SEQ-26] a full dependency is freed when what it is kept for becomes idle', async () => {
    const { clock, pool } = setUp({ servers: { ...TWO, db: server({ maxInstances: 1 }) } });
    const first = await pool.getServer('app', { tenant: 'A' });
    const call = pool.getServer('app', { tenant: 'B' });
    await pass(clock, 500);
    expect(instancesOf(pool)).toEqual(['app A', 'db A']);
    first.release();
    await pass(clock, 500);
    (await call).release();
    expect(instancesOf(pool)).toEqual(['app B', 'db B']);
  });

  it('[SEQ-26] a full dependency is freed by those that only idle on it', async () => {
    const { clock, pool } = setUp({ servers: { ...TWO, db: server({ maxInstances: 1 }) } });
    (await pool.getServer('app', { tenant: 'A' })).release();
    const call = pool.getServer('app', { tenant: 'B' });
    await pass(clock, 500);
    (await call).release();
    expect(instancesOf(pool)).toEqual(['app B', 'db B']);
  });

  it('[SEQ-26] a dependency that is needed and idle serves any owner of its tenant', async () => {
    const { launcher, pool } = setUp({ servers: { ...TWO, db: server({ maxInstances: 1 }) } });
    const app = await pool.getServer('app', { tenant: 'A', owner: 'O' });
    (await pool.getServer('db', { tenant: 'A', owner: 'P' })).release();
    expect(launcher.servers).toHaveLength(2);
    app.release();
  });
});

describe('a dependency that is optional', () => {
  it('[SEQ-26] and cannot be started does not fail the call', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { api: server({ dependsOn: { cache: { required: false } } }), cache: server() },
    });
    launcher.onLaunch = ({ name }) => {
      if (name === 'cache') throw new Error('broken');
    };
    const call = pool.getServer('api');
    await pass(clock, 1_000);
    (await call).release();
    expect(await pool.warm('api')).toBe(1);
  });
});

describe('a restart with cascade', () => {
  it('[SEQ-26] during which the pool is shut down, or the tenant released, ends', async () => {
    for (const how of ['shutdown', 'releaseTenant'] as const) {
      const { clock, launcher, pool } = setUp({ servers: TWO });
      const lease = await pool.getServer('app', { tenant: 'T' });
      for (const one of launcher.living) one.auto = { ...one.auto, end: false };
      const restarted = rejection(pool.restart('db', { cascade: true }));
      await flush();
      const closing = how === 'shutdown' ? pool.shutdown() : undefined;
      if (how === 'releaseTenant') pool.releaseTenant('T');
      for (const one of launcher.living) one.exit();
      await pass(clock, 500);
      expect(await outcome(restarted)).toBe('resolved');
      await closing;
      expect(living(launcher)).toEqual([]);
      lease.release();
    }
  });
});

describe('a dependency that fails again and again', () => {
  it('[SEQ-26] under one that ignores that is tried again, and nothing is started without it meanwhile', async () => {
    const { clock, launcher, pool } = setUp({
      servers: {
        app: server({ dependsOn: ['db'], sharing: 'exclusive' }),
        db: server({ sharing: 'shared', restart: { cooldown: 5_000 } }),
      },
    });
    const lease = await pool.getServer('app');
    let isBroken = true;
    launcher.onLaunch = ({ name }) => {
      if (name === 'db' && isBroken) throw new Error('broken');
    };
    launcher.servers[0]?.exit({ exitCode: 1 });
    await pass(clock, 2_000);
    expect(living(launcher)).toEqual(['app']);
    const refused = rejection(pool.getServer('app', { owner: 'another' }));
    await pass(clock, 2_000);
    expect(((await refused) as PoolError).code).toBe('DEPENDENCY_FAILED');
    isBroken = false;
    await pass(clock, 8_000);
    expect(living(launcher)).toEqual(['app', 'db']);
    lease.release();
  });

  it('[SEQ-26] is started again before a server that was up is used without it', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { web: server({ dependsOn: ['api'] }), api: server({ dependsOn: ['db'] }), db: server() },
    });
    (await pool.getServer('web')).release();
    for (let times = 0; times < 2; times++) {
      launcher.livingOf('api')[0]?.exit({ exitCode: 1 });
      await pass(clock, 500);
    }
    await pool.endAll();
    const before = launcher.servers.length;
    (await pool.getServer('api')).release();
    expect(launched(launcher).slice(before)).toEqual(['db', 'api']);
  });
});

describe('a start that fails', () => {
  it('[SEQ-26] leaves what has leases, and what that depends on', async () => {
    const { clock, launcher, pool } = setUp({ servers: { ...TWO, x: server() } }, { initialize: false });
    const starting = pool.start();
    await flush();
    for (const one of launcher.livingOf('db')) one.initialize();
    await flush();
    for (const one of launcher.livingOf('app')) one.initialize();
    await flush();
    const lease = await pool.getServer('app');
    for (const one of launcher.livingOf('x')) one.exit({ exitCode: 1 });
    await pass(clock, 200);
    for (const one of launcher.livingOf('x')) one.exit({ exitCode: 1 });
    await pass(clock, 500);
    expect((await starting).state).toBe('failed');
    expect(living(launcher)).toEqual(['app', 'db']);
    await pass(clock, 600_000);
    expect(living(launcher)).toEqual(['app', 'db']);
    lease.release();
  });

  it('[SEQ-26] of a caller that has given up leaves pool.start() its server', async () => {
    const { clock, launcher, pool } = setUp({ servers: TWO }, { initialize: false });
    const failed = rejection(pool.getServer('app', { timeout: 100 }));
    await flush();
    clock.advance(100);
    await failed;
    const starting = pool.start();
    launcher.auto = { ...launcher.auto, initialize: true };
    for (const one of launcher.living) one.initialize();
    expect((await starting).state).toBe('ready');
    expect(living(launcher)).toEqual(['app', 'db']);
  });
});

describe('an instance that is replaced', () => {
  it('[SEQ-26] keeps what depends on it waiting, and nothing is started meanwhile', async () => {
    const { clock, launcher, pool } = setUp({ servers: TWO });
    const lease = await pool.getServer('app');
    launcher.auto = { ...launcher.auto, initialize: false };
    void pool.restart('db');
    await flush(20);
    const call = pool.getServer('app', { owner: 'another' });
    await pass(clock, 500);
    expect(launched(launcher)).toEqual(['db', 'app', 'db']);
    launcher.auto = { ...launcher.auto, initialize: true };
    launcher.last.initialize();
    (await call).release();
    expect(launched(launcher)).toEqual(['db', 'app', 'db', 'app']);
    lease.release();
  });

  it('[SEQ-26] idles out, and what comes to need it in that moment waits for another one', async () => {
    const { clock, launcher, pool } = setUp({
      servers: {
        web: server({ dependsOn: ['app'] }),
        app: server({ dependsOn: ['db'], idleTimeout: 1_000 }),
        db: server(),
      },
    });
    (await pool.getServer('app')).release();
    const [, app] = launcher.servers;
    if (app) app.auto = { ...app.auto, end: false };
    clock.advance(1_000);
    await flush(20);
    expect(app?.ending).toBe(true);
    const call = pool.getServer('web');
    await pass(clock, 200);
    expect(launched(launcher)).toEqual(['db', 'app', 'app', 'web']);
    app?.exit();
    (await call).release();
  });
});

describe('a process that dies together with what it depends on', () => {
  it('[SEQ-26] keeps its leases where they can move', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { app: server({ dependsOn: ['db'], sharing: 'shared' }), db: server({ sharing: 'exclusive' }) },
    });
    const lease = await pool.getServer('app');
    const [db, app] = launcher.servers;
    app?.exit({ signal: 'SIGKILL' });
    db?.exit({ signal: 'SIGKILL' });
    await pass(clock, 2_000);
    expect([living(launcher), pool.status().leases]).toEqual([['app', 'db'], 1]);
    lease.release();
  });
});

describe('endAll()', () => {
  it('[SEQ-26] leaves what was started meanwhile; two at a time end all the same', async () => {
    const { clock, launcher, pool } = setUp({ servers: TWO }, { end: false });
    launcher.auto = { ...launcher.auto, end: false };
    (await pool.getServer('app')).release();
    const [first, second] = [pool.endAll(), pool.endAll()];
    await flush(20);
    const call = pool.getServer('db', { tenant: 'other' });
    const lease = await call;
    for (const one of launcher.livingOf('app')) one.exit();
    await pass(clock, 100);
    for (const one of launcher.living) if (one.ending) one.exit();
    await pass(clock, 100);
    expect([(await first).survivors, (await second).survivors]).toEqual([[], []]);
    expect(living(launcher)).toEqual(['db']);
    lease.release();
  });
});
