import { describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../../src/index.js';
import { partsOf } from '../../../src/pool/parts-of.js';
import { codeOf, setUp } from '../../helpers/fake-pool.js';
import { assertInsides } from '../../helpers/insides.js';
import { living } from '../../helpers/order.js';
import { flush, outcome } from '../../helpers/until.js';

const server = (options: object = {}) => ({ command: 'fake', ...options });
const alice = { tenant: 'alice' };
const own = { ...alice, env: { KEY: 'one' } };

function poolOf(app: object = {}, db: object = {}, options: PoolOptions = {}) {
  return setUp({ servers: { app: server({ dependsOn: ['db'], ...app }), db: server(db) }, ...options });
}

/** The variable of each living instance of a server; `-` without it. */
const keysOf = ({ living: all }: ReturnType<typeof setUp>['launcher'], name: string) =>
  all.filter(({ definition }) => definition.name === name).map(({ definition }) => definition.resolvedEnv.KEY ?? '-');

/** A step that has failed is tried once more, after a pause. */
const retried = (clock: ReturnType<typeof setUp>['clock']) => clock.advanceAndFlush(5_000);

describe('warm() with values, of a server whose dependencies are down', () => {
  it('[TENANT-8] starts what it depends on, and one with these values alone', async () => {
    const { launcher, pool } = poolOf();
    expect(await pool.warm('app', own)).toBe(1);
    expect(keysOf(launcher, 'app')).toEqual(['one']);
    expect(living(launcher)).toEqual(['app', 'db']);
    const lease = await pool.getServer('app', own);
    expect(launcher.servers).toHaveLength(2);
    lease.release();
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] starts one for the owner, and as many as are asked for', async () => {
    const { launcher, pool } = poolOf();
    expect(await pool.warm('app', { ...own, owner: 'o', count: 2 })).toBe(2);
    expect(keysOf(launcher, 'app')).toEqual(['one', 'one']);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] asks perTenant once, and two calls with other values get one each', async () => {
    const asked: unknown[] = [];
    const perTenant = (tenant: unknown) => {
      asked.push(tenant);
      return { env: { KEY: String(tenant) } };
    };
    const { launcher, pool } = poolOf({ perTenant });
    const warmed = [pool.warm('app', alice), pool.warm('app', { ...alice, env: { KEY: 'two' } })];
    expect(await Promise.all(warmed)).toEqual([1, 1]);
    expect(keysOf(launcher, 'app').sort()).toEqual(['alice', 'two']);
    expect(asked).toEqual(['alice', 'alice']);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] tells the error of the start', async () => {
    const { clock, launcher, pool } = poolOf();
    let failing = 'app';
    launcher.onLaunch = ({ name }) => {
      if (name === failing) throw new Error('not today');
    };
    const first = codeOf(pool.warm('app', own));
    await retried(clock);
    expect(await first).toBe('SPAWN_FAILED');
    failing = 'db';
    const second = codeOf(pool.warm('app', { ...own, tenant: 'bob' }));
    await retried(clock);
    expect(await second).toBe('DEPENDENCY_FAILED');
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] with values that fail, it is no failure of others', async () => {
    const { clock, launcher, pool } = poolOf();
    launcher.onLaunch = ({ resolvedEnv }) => {
      if (resolvedEnv.KEY === 'wrong') throw new Error('not today');
    };
    const wrong = codeOf(pool.warm('app', { ...alice, env: { KEY: 'wrong' } }));
    const right = pool.warm('app', own);
    await retried(clock);
    expect(await wrong).toBe('SPAWN_FAILED');
    expect(await right).toBe(1);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-10] minIdle asks perTenant for nothing', async () => {
    const { launcher, pool } = poolOf({
      minIdle: 1,
      perTenant: (tenant: unknown) => ({ env: { KEY: String(tenant) } }),
    });
    await flush(20);
    expect(keysOf(launcher, 'app')).toEqual(['-']);
    assertInsides(partsOf(pool));
  });
});

describe('maxInstancesPerTenant of a server that others depend on', () => {
  it('[TENANT-13] an idle instance that is kept for idle ones makes room, with these', async () => {
    const { launcher, pool } = poolOf({}, { maxInstancesPerTenant: 1 });
    (await pool.getServer('app', alice)).release();
    await (await pool.getServer('app', { tenant: 'bob' })).release();
    const lease = await pool.getServer('db', own);
    expect(keysOf(launcher, 'db').sort()).toEqual(['-', 'one']);
    // Those of another tenant are not touched.
    expect(living(launcher)).toEqual(['app', 'db', 'db']);
    lease.release();
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] one that is kept for a server in use does not', async () => {
    const { launcher, pool, clock } = poolOf({}, { maxInstancesPerTenant: 1 });
    const app = await pool.getServer('app', alice);
    const waiting = pool.getServer('db', { ...own, timeout: 1_000 });
    expect(await outcome(waiting)).toBe('pending');
    expect(living(launcher)).toEqual(['app', 'db']);
    const code = codeOf(waiting);
    await clock.advanceAndFlush(1_000);
    expect(await code).toBe('ACQUIRE_TIMEOUT');
    const again = pool.getServer('db', own);
    await flush();
    app.release();
    await again;
    expect(keysOf(launcher, 'db')).toEqual(['one']);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] an instance with other values that the tenant uses is what it depends on', async () => {
    const { launcher, pool } = poolOf({}, { maxInstancesPerTenant: 1 });
    await pool.getServer('db', own);
    await pool.getServer('app', alice);
    expect(keysOf(launcher, 'db')).toEqual(['one']);
    assertInsides(partsOf(pool));
  });
});
