import { queryObjects } from 'node:v8';
import { describe, expect, it } from 'vitest';
import type { MCPServerPool } from '../../src/index.js';
import { Waiter } from '../../src/pool/acquire/waiter.js';
import { PooledInstance } from '../../src/pool/instances/pooled-instance.js';
import { LeaseClass, ServerEntry } from '../../src/pool/instances/server-entry.js';
import { Lease } from '../../src/pool/leases/lease.js';
import { Breaker } from '../../src/pool/supervision/breaker.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { runningTimers } from '../helpers/timers.js';
import { flush, rejection } from '../helpers/until.js';

const CLASSES = { Waiter, LeaseClass, ServerEntry, Lease, PooledInstance };

/** How many objects of each class there are, once what nothing refers to was collected. */
function objects(): Record<string, number> {
  // Forgets timers that have ended, with the stacks that refer to instances.
  runningTimers();
  return Object.fromEntries(Object.entries(CLASSES).map(([name, type]) => [name, Number(queryObjects(type))]));
}

const LONG = 86_400_000;
const server = { command: 'fake', idleTimeout: LONG, leaseIdleTimeout: LONG } as const;
let sequence = 0;
const tenants = (count: number) => Array.from({ length: count }, () => `tenant ${++sequence}`);

/** Everything that tenants and owners do, none of which comes back. */
const LIVES: Record<string, (pool: MCPServerPool, tenant: string) => Promise<void>> = {
  'lease and release': async (pool, tenant) => {
    for (const name of ['x', 's']) (await pool.getServer(name, { tenant, owner: tenant })).release();
  },
  'have clients': async (pool, tenant) => {
    const lease = await pool.getServer('s', { tenant });
    await RawClient.connect(lease.transport);
    lease.release();
  },
  'give up': async (pool, tenant) => {
    const abort = new AbortController();
    const [one, two] = [await pool.getServer('x', { tenant }), await pool.getServer('x', { tenant })];
    const calls = [
      pool.getServer('x', { tenant, owner: tenant, signal: abort.signal }),
      pool.getServer('x', { tenant, owner: `${tenant}'s` }),
    ];
    for (const call of calls) call.catch(() => {});
    abort.abort();
    pool.releaseOwner(`${tenant}'s`);
    one.release();
    two.release();
  },
  'are released as a whole': async (pool, tenant) => {
    await pool.getServer('s', { tenant });
    pool.getServer('s', { tenant, owner: 'waits' }).catch(() => {});
    pool.releaseTenant(tenant);
  },
  'use servers that come and go': async (pool, tenant) => {
    pool.addServer(tenant, server);
    (await pool.getServer(tenant)).release();
    await pool.removeServer(tenant);
  },
};

describe('a pool in which many tenants', () => {
  it.each(Object.entries(LIVES))('[COST-3] %s keeps nothing of them', async (_what, live) => {
    const { pool, clock, launcher } = setUp({
      servers: { x: { ...server, maxInstances: 2 }, s: { ...server, sharing: 'shared', reuse: 'owner' } },
      limits: { maxProcesses: 4 },
      acquireTimeout: LONG,
    });
    const all = async (each: readonly string[]) => {
      for (const tenant of each) await live(pool, tenant);
      for (const tenant of each) pool.releaseTenant(tenant);
      await flush();
      expect(pool.status()).toMatchObject({ leases: 0, waiting: 0 });
      // A start that a caller left has become an instance that belongs to no tenant.
      const left = Object.values(pool.status().servers).flatMap(({ instances }) => instances);
      expect(left.filter(({ tenant }) => tenant !== undefined)).toEqual([]);
      await pool.restart('s');
      expect(pool.status().processes).toBe(0);
      launcher.servers.length = 0;
      await clock.advanceAndFlush(1_000);
    };
    await all(tenants(3));
    const before = objects();
    await all(tenants(20));
    expect(objects()).toEqual(before);
  });

  it('[COST-3] [BREAKER-1] had failing servers forgets them once their failures are long ago', async () => {
    const { pool, clock, launcher } = setUp(
      { servers: { x: { ...server, restart: { maxRestarts: 0, cooldown: 1_000, window: 1_000 } } } },
      { spawn: false },
    );
    const all = async (each: readonly string[]) => {
      for (const tenant of each) {
        const call = rejection(pool.getServer('x', { tenant }));
        launcher.last.exit({ exitCode: 1 });
        expect(await call).toMatchObject({ code: 'SERVER_EXITED' });
      }
    };
    await all(tenants(20));
    expect(queryObjects(Breaker)).toBe(20);
    await clock.advanceAndFlush(1_000 + 1_000 + 1_000 + 1);
    await all(tenants(1));
    expect(queryObjects(Breaker)).toBe(1);
  });
});
