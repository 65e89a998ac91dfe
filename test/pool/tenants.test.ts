import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

describe('tenants and owners', () => {
  it('[TENANT-1] the failed start of one is never reported to another', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } }, { initialize: false });
    const alice = codeOf(pool.getServer('a', { tenant: 'alice' }));
    await flush();
    launcher.last.complain("alice's secret");
    launcher.last.exit({ exitCode: 1 });
    expect(await alice).toBe('SERVER_EXITED');
    const bob = rejection(pool.getServer('a', { tenant: 'bob', timeout: 100 }));
    await clock.advanceAndFlush(100);
    expect(inspect(await bob, { depth: 9 })).not.toContain('secret');
  });

  it('[TENANT-2] [START-4] releaseOwner rejects its waiting call; the start goes on for the next owner', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } }, { initialize: false });
    const waiting = codeOf(pool.getServer('a', { owner: 'me' }));
    await flush();
    pool.releaseOwner('me');
    expect(await waiting).toBe('ACQUIRE_ABORTED');
    const next = pool.getServer('a', { owner: 'you' });
    await flush();
    launcher.last.initialize();
    expect((await next).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(1);
    expect(reasons()).toEqual([]);
  });

  it('[TENANT-1] no instance is ever used by two tenants; without room the idle one of the other ends', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    (await pool.getServer('a', { tenant: 'alice' })).release();
    const again = await pool.getServer('a', { tenant: 'alice' });
    expect(launcher.servers).toHaveLength(1);
    again.release();
    const bob = await pool.getServer('a', { tenant: 'bob' });
    expect(bob.pid).not.toBe(again.pid);
    expect(reasons()).toEqual(['evicted']);
  });

  it('[TENANT-1] with reuse: owner, only the same owner gets it; with never, no owner', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { ...server, reuse: 'owner' }, b: { ...server, reuse: 'never' } },
    });
    const pids: (number | undefined)[] = [];
    for (const owner of ['one', 'two', 'one']) {
      const lease = await pool.getServer('a', { tenant: 't', owner });
      pids.push(lease.pid);
      lease.release();
    }
    expect(pids[2]).toBe(pids[0]);
    expect(pids[1]).not.toBe(pids[0]);
    for (let use = 0; use < 2; use++) (await pool.getServer('b')).release();
    expect(launcher.servers.filter(({ definition }) => definition.name === 'b')).toHaveLength(2);
  });

  it('[TENANT-2] releaseOwner releases its leases and gives its waiting calls up, and nothing of another owner', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    const mine = await pool.getServer('a', { owner: 'me' });
    const waiting = pool.getServer('a', { owner: 'me' });
    const other = pool.getServer('a', { owner: 'you' });
    expect(pool.releaseOwner('me')).toBe(1);
    expect(await codeOf(waiting)).toBe('ACQUIRE_ABORTED');
    expect(mine.release()).toBe(false);
    expect((await other).owner).toBe('you');
  });

  it('[TENANT-2] releaseTenant also ends what its tenant left idle', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } });
    await pool.getServer('a', { tenant: 'alice' });
    (await pool.getServer('a', { tenant: 'alice' })).release();
    const bob = await pool.getServer('a', { tenant: 'bob' });
    expect(pool.releaseTenant('alice')).toBe(1);
    await flush();
    expect(reasons()).toEqual(['tenant-released', 'tenant-released']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([bob.pid]);
  });
});
