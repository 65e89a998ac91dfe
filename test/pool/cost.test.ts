import { describe, expect, it, vi } from 'vitest';
import type { AcquireOptions, MCPServerPool, PooledServer, PoolOptions, ServerDefinition } from '../../src/index.js';
import type { ManualClock } from '../helpers/clock.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';
import type { Work } from '../helpers/work.js';

// Before the sources: see there.
const { workOf, workUntil } = await vi.hoisted(() => import('../helpers/work.js'));

const EXCLUSIVE = { command: 'fake', maxInstances: 1 } as const;
const SHARED = { command: 'fake', sharing: 'shared', maxInstances: 1, maxSessions: 20_000 } as const;
const FEW = 10;
const MANY = 5_000;
const SERVERS = 200;

interface Scene {
  readonly pool: MCPServerPool;
  readonly clock: ManualClock;
}

function open(servers: Record<string, ServerDefinition>, options: Partial<PoolOptions> = {}): Scene {
  return setUp({ servers, maxWaiting: 1_000_000, acquireTimeout: 1_000_000_000, ...options });
}

/** Calls that wait; what becomes of them at the end of the test does not matter. */
function wait(pool: MCPServerPool, name: string, options: AcquireOptions = {}): void {
  pool.getServer(name, options).catch(() => {});
}

/** Where callers wait: each makes a pool in which `count` of them do, and returns a lease of it. */
const QUEUES: Record<string, (count: number) => Promise<Scene & { lease: PooledServer }>> = {
  'for one server': async (count) => {
    const scene = open({ a: EXCLUSIVE });
    const lease = await scene.pool.getServer('a');
    for (let index = 0; index < count; index++) wait(scene.pool, 'a');
    return { ...scene, lease };
  },
  'for a seat on a shared server': async (count) => {
    const scene = open({ a: { ...SHARED, maxSessions: 2 } });
    const lease = await scene.pool.getServer('a');
    await scene.pool.getServer('a');
    for (let index = 0; index < count; index++) wait(scene.pool, 'a');
    return { ...scene, lease };
  },
  'for one server, each of another tenant': async (count) => {
    const scene = open({ a: EXCLUSIVE });
    const lease = await scene.pool.getServer('a');
    for (let index = 0; index < count; index++) wait(scene.pool, 'a', { tenant: `tenant ${index}` });
    return { ...scene, lease };
  },
  'for one tenant that has all it may have, each of another owner': async (count) => {
    const scene = open({ a: { command: 'fake', maxInstances: 10, maxInstancesPerTenant: 2 } });
    const lease = await scene.pool.getServer('a', { tenant: 't' });
    await scene.pool.getServer('a', { tenant: 't' });
    for (let index = 0; index < count; index++) wait(scene.pool, 'a', { tenant: 't', owner: `owner ${index}` });
    return { ...scene, lease };
  },
  'for a slot, each of another tenant': async (count) => {
    const scene = open({ a: { command: 'fake', maxInstances: 2 } }, { limits: { maxProcesses: 2 } });
    const lease = await scene.pool.getServer('a');
    await scene.pool.getServer('a');
    for (let index = 0; index < count; index++) wait(scene.pool, 'a', { tenant: `tenant ${index}` });
    return { ...scene, lease };
  },
  'each for another server': async (count) => {
    const names = Array.from({ length: count }, (_, index) => `server ${index}`);
    const servers = Object.fromEntries(names.map((name) => [name, { command: 'fake' }]));
    const scene = open({ a: EXCLUSIVE, ...servers }, { limits: { maxProcesses: 1 } });
    const lease = await scene.pool.getServer('a');
    for (const name of names) wait(scene.pool, name);
    return { ...scene, lease };
  },
  'for 100 servers, of which each is full': async (count) => {
    const names = Array.from({ length: 100 }, (_, index) => `server ${index}`);
    const servers = Object.fromEntries(names.map((name) => [name, EXCLUSIVE]));
    const scene = open(servers, { limits: { maxProcesses: 200 } });
    const [lease] = await Promise.all(names.map((name) => scene.pool.getServer(name)));
    for (let index = 0; index < count; index++) wait(scene.pool, `server ${index % 100}`);
    return { ...scene, lease: lease as PooledServer };
  },
};

/** Most work for many, by that for few: what is found in a heap costs a little more. */
function assertAlike(few: Work, many: Work): void {
  const what = `${few.runs} and ${many.runs} runs, of these ${many.busiest.join(', ')}`;
  expect(many.runs, what).toBeLessThanOrEqual(2 * few.runs);
  expect(many.elements, what).toBeLessThanOrEqual(2 * few.elements + 8);
}

describe.each(Object.entries(QUEUES))('with callers that wait %s', (_where, queue) => {
  /** What is counted is done with few and with many of them. */
  async function compare(task: (scene: Scene & { lease: PooledServer }) => () => void): Promise<[Work, Work]> {
    const [few, many] = [await queue(FEW), await queue(MANY)].map((scene) => workOf(task(scene)));
    return [few as Work, many as Work];
  }

  it('[COST-1] a release costs the same for few and for many', async () => {
    assertAlike(
      ...(await compare(
        ({ lease }) =>
          () =>
            lease.release(),
      )),
    );
  });

  it('[COST-1] another call costs the same', async () => {
    assertAlike(
      ...(await compare(
        ({ pool, lease }) =>
          () =>
            void wait(pool, lease.name),
      )),
    );
  });

  it('[COST-1] a call that is given up costs the same', async () => {
    const results = await compare(({ pool, lease }) => {
      const abort = new AbortController();
      wait(pool, lease.name, { signal: abort.signal });
      wait(pool, lease.name);
      return () => abort.abort();
    });
    assertAlike(...results);
  });

  it('[COST-1] a call that has run out of time costs the same', async () => {
    const results = await compare(({ pool, clock, lease }) => {
      wait(pool, lease.name, { timeout: 1_000 });
      wait(pool, lease.name);
      return () => clock.advance(1_000);
    });
    assertAlike(...results);
  });

  it('[COST-1] a call of a server that is free, and its release, cost the same', async () => {
    const results = await compare(({ pool }) => {
      pool.addServer('free', SHARED);
      return () => {
        wait(pool, 'free', { timeout: 1 });
        pool.releaseOwner('of none');
      };
    });
    assertAlike(...results);
  });

  it('[COST-1] the end of a process and the start of the next one cost the same', async () => {
    const works: Work[] = [];
    for (const count of [FEW, MANY]) {
      const { pool, lease } = await queue(count);
      const { started } = pool.metrics();
      const work = await workUntil(async () => {
        void pool.restart(lease.name);
        lease.release();
        await flush(10);
      });
      works.push(work);
      expect(pool.metrics()).toMatchObject({ started: started + 1 });
    }
    assertAlike(...(works as [Work, Work]));
  });
});

describe('callers of one server', () => {
  it('[COST-1] are served one after the other, each for the same', async () => {
    const { pool } = open({ a: EXCLUSIVE });
    let lease = await pool.getServer('a');
    const calls = Array.from({ length: 50 }, () => pool.getServer('a'));
    const works: number[] = [];
    for (const call of calls) {
      const held = lease;
      works.push(workOf(() => held.release()).runs);
      lease = await call;
    }
    // The last one leaves no caller behind.
    expect(Math.max(...works)).toBeLessThanOrEqual(Math.min(...works.slice(0, -1)));
  });

  it('[COST-1] that all time out at once cost each the same', async () => {
    const works = await Promise.all(
      [FEW, 10 * FEW].map(async (count) => {
        const { pool, clock } = open({ a: EXCLUSIVE });
        await pool.getServer('a');
        for (let index = 0; index < count; index++) wait(pool, 'a', { timeout: 1_000 });
        return workOf(() => clock.advance(1_000)).runs / count;
      }),
    );
    expect(works[1]).toBeLessThanOrEqual(works[0] as number);
  });

  it('[COST-1] with one signal cost each the same when it is aborted', async () => {
    const works = await Promise.all(
      [FEW, 10 * FEW].map(async (count) => {
        const { pool } = open({ a: EXCLUSIVE });
        await pool.getServer('a');
        const abort = new AbortController();
        for (let index = 0; index < count; index++) wait(pool, 'a', { signal: abort.signal });
        return workOf(() => abort.abort()).runs / count;
      }),
    );
    // The last of all costs less, and is one of fewer with few.
    expect(works[1]).toBeLessThanOrEqual(1.1 * (works[0] as number));
  });
});

describe('leases', () => {
  /** A pool in which others hold so many shared leases. */
  async function held(count: number, options: Partial<ServerDefinition> = {}): Promise<Scene> {
    const scene = open({ a: EXCLUSIVE, b: EXCLUSIVE, s: { ...SHARED, ...options } }, { limits: { maxProcesses: 3 } });
    await scene.pool.getServer('s', { owner: 'other' });
    for (let index = 1; index < count; index++) void scene.pool.getServer('s', { owner: 'other' });
    await flush();
    expect(scene.pool.status().leases).toBe(count);
    return scene;
  }

  async function compare(
    task: (scene: Scene) => Promise<() => void>,
    options: Partial<ServerDefinition> = {},
  ): Promise<[Work, Work]> {
    const works: Work[] = [];
    for (const count of [FEW, 2 * MANY]) works.push(workOf(await task(await held(count, options))));
    return works as [Work, Work];
  }

  it('[COST-2] releaseOwner() costs the same beside few and beside many of others', async () => {
    const results = await compare(async ({ pool }) => {
      for (let index = 0; index < 3; index++) await pool.getServer('s', { owner: 'mine' });
      return () => expect(pool.releaseOwner('mine')).toBe(3);
    });
    assertAlike(...results);
  });

  it('[COST-2] a call and its release cost the same on the same server, and on another', async () => {
    for (const name of ['s', 'a']) {
      const results = await compare(async ({ pool }) => {
        (await pool.getServer(name)).release();
        const lease = await pool.getServer(name);
        return () => {
          wait(pool, name);
          pool.releaseServer(lease.id);
        };
      });
      assertAlike(...results);
    }
  });

  it('[COST-2] that are silent cost others nothing, while callers wait for something else', async () => {
    const results = await compare(
      async ({ pool, clock }) => {
        const lease = await pool.getServer('a');
        await clock.advanceAndFlush(1_000);
        wait(pool, 'a');
        return () => lease.release();
      },
      { leaseIdleTimeout: 1_000 },
    );
    assertAlike(...results);
  });

  it('[COST-2] of which one is not silent cost others nothing, while a caller waits for their slot', async () => {
    const results = await compare(
      async ({ pool, clock }) => {
        const [a, b] = [await pool.getServer('a'), await pool.getServer('b')];
        await clock.advanceAndFlush(1_000);
        await pool.getServer('s');
        pool.addServer('c', EXCLUSIVE);
        wait(pool, 'c');
        wait(pool, 'a');
        expect(pool.status().waiting).toBe(2);
        b.transport;
        return () => wait(pool, a.name, { timeout: 1 });
      },
      { leaseIdleTimeout: 1_000 },
    );
    assertAlike(...results);
  });

  it('[COST-2] that are silent are taken back for a slot, each for the same', async () => {
    const works: number[] = [];
    for (const count of [FEW, 10 * FEW]) {
      const { pool, clock } = await held(count, { leaseIdleTimeout: 1_000 });
      await Promise.all(['a', 'b'].map((name) => pool.getServer(name)));
      await clock.advanceAndFlush(1_000);
      pool.addServer('c', EXCLUSIVE);
      works.push(workOf(() => wait(pool, 'c')).runs / count);
      expect(pool.metrics().reclaimed).toBe(count);
    }
    expect(works[1]).toBeLessThanOrEqual(works[0] as number);
  });

  it('[COST-2] that are silent are taken back for their seats, each for the same', async () => {
    const works: number[] = [];
    for (const count of [FEW, 10 * FEW]) {
      const { pool, clock } = await held(count, { leaseIdleTimeout: 1_000, maxSessions: count });
      await clock.advanceAndFlush(1_000);
      works.push(workOf(() => wait(pool, 's')).runs);
      expect(pool.metrics().reclaimed).toBe(1);
    }
    expect(works[1]).toBeLessThanOrEqual(works[0] as number);
  });
});

describe('servers that have the spare instances of their minIdle', () => {
  it('[COST-5] make a call and a release of another server cost no more', async () => {
    const works: Work[] = [];
    for (const count of [FEW, SERVERS]) {
      const spared = Array.from({ length: count }, (_, index) => [`spared ${index}`, { ...EXCLUSIVE, minIdle: 1 }]);
      const servers = { a: EXCLUSIVE, ...Object.fromEntries(spared) };
      const { pool } = open(servers, { limits: { maxProcesses: SERVERS + 1, concurrentStarts: SERVERS } });
      const lease = await pool.getServer('a');
      await flush(10);
      expect(pool.status().processes).toBe(count + 1);
      works.push(
        workOf(() => {
          lease.release();
          wait(pool, 'a');
        }),
      );
    }
    assertAlike(...(works as [Work, Work]));
  });
});

describe('successors that wait', () => {
  const TENANTS = 400;
  const BACKOFF = { minDelay: 1_000_000, maxDelay: 1_000_000, maxRestarts: 1_000 };

  /** A pool in which `count` successors wait: for their backoff, or for the death of their predecessors. */
  async function waiting(count: number, what: 'backoff' | 'death') {
    const limits = { maxProcesses: TENANTS + 2, concurrentStarts: TENANTS };
    const restarted = { ...SHARED, maxInstances: TENANTS, restart: BACKOFF };
    const servers = { a: restarted, b: restarted, free: SHARED };
    const { pool, clock, launcher } = setUp({ servers, limits, cleanup: { concurrency: TENANTS } });
    await pool.getServer('free');
    await pool.getServer('b');
    // Its breaker is made here: that searches the other breakers for old ones.
    launcher.last.exit({ exitCode: 1 });
    await flush(10);
    const other = launcher.last;
    for (let index = 0; index < count; index++) await pool.getServer('a', { tenant: `tenant ${index}` });
    const crashes = what === 'backoff' ? 2 : 1;
    for (let crash = 0; crash < crashes; crash++) {
      const end = what === 'backoff';
      launcher.auto = { ...launcher.auto, end };
      for (const server of launcher.living.slice(-count)) {
        server.auto = launcher.auto;
        if (end) server.exit({ exitCode: 1 });
        else server.stdout.end();
      }
      // A process with a broken channel gets time to exit by itself.
      await (end ? flush(10) : clock.advanceAndFlush(1_000));
      launcher.auto = { ...launcher.auto, end: true };
    }
    const states = pool.status().servers.a?.instances.map(({ state, leases }) => `${state} ${leases}`) ?? [];
    expect(states.filter((state) => state === 'starting 1')).toHaveLength(count);
    return { pool, other };
  }

  for (const what of ['backoff', 'death'] as const) {
    it(`[COST-4] for ${what} cost other operations nothing`, async () => {
      const works: Work[] = [];
      for (const count of [FEW, TENANTS]) {
        const { pool } = await waiting(count, what);
        works.push(
          workOf(() => {
            wait(pool, 'free', { timeout: 1 });
            pool.releaseOwner('of none');
          }),
        );
      }
      assertAlike(...(works as [Work, Work]));
    });

    it(`[COST-4] for ${what} do not make the end of another process cost more`, async () => {
      const works: Work[] = [];
      for (const count of [FEW, TENANTS]) {
        const { other } = await waiting(count, what);
        works.push(
          await workUntil(async () => {
            other.exit({ exitCode: 1 });
            await flush(10);
          }),
        );
      }
      assertAlike(...(works as [Work, Work]));
    });
  }
});
