import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../src/index.js';
import { setUp, shared } from '../helpers/fake-pool.js';
import { runningTimers } from '../helpers/timers.js';
import { flush, until } from '../helpers/until.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A pool after its last server was used once; after that only the pool could keep it in memory. */
async function use(server: NonNullable<PoolOptions['servers']>[string]) {
  const { pool, launcher, clock } = setUp({ servers: { a: server } });
  const lease = await pool.getServer('a', { tenant: 'one' });
  await lease.transport.start();
  lease.release();
  await flush();
  const last = new WeakRef(launcher.last);
  return { pool, clock, launcher, last };
}

/** Whether an object is collected soon, although the pool lives. */
async function isCollected(ref: WeakRef<object>): Promise<boolean> {
  return until('it is collected', async () => {
    await flush();
    // The record of timers of the tests keeps stacks, and so what is on them, until it is read.
    runningTimers();
    collect();
    return ref.deref() === undefined;
  });
}

describe('a server that has ended', () => {
  it.each([
    ['idle', { command: 'fake', idleTimeout: 3_600_000 }],
    ['shared', { ...shared, idleTimeout: 3_600_000 }],
  ])('[MEM-1] is not kept in memory by the pool: %s', async (_, server) => {
    const { pool, launcher, last } = await use(server);
    pool.releaseTenant('one');
    await until('it has ended', () => pool.status().processes === 0);
    launcher.servers.length = 0;
    expect(await isCollected(last)).toBe(true);
    expect(pool.cleanup.list()).toMatchObject([{ state: 'finished' }]);
  });
});
