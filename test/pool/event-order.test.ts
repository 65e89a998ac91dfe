import { describe, expect, it, onTestFinished } from 'vitest';
import { type MCPServerPool, POOL_EVENTS, type PooledServer } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { leases, setUp, shared } from '../helpers/fake-pool.js';
import { assertServed } from '../helpers/settled.js';
import { flush, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

/** What a pool emits from now on, with its registry and its cleanup queue, as `what name`. Checks the state at each event. */
function record(pool: MCPServerPool) {
  const events: string[] = [];
  const failures: unknown[] = [];
  const heard = (event: string, payload: object) => {
    const { name } = ('entry' in payload ? payload.entry : payload) as { name?: string };
    events.push(name === undefined ? event : `${event} ${name}`);
    try {
      assertServed(pool);
    } catch (failure) {
      failures.push(failure);
    }
  };
  for (const event of POOL_EVENTS) pool.on(event, (payload) => heard(event, payload as object));
  for (const event of ['registry:added', 'registry:removed'] as const)
    pool.registry.on(event, (payload) => heard(event, payload));
  for (const event of ['cleanup:started', 'cleanup:escalated', 'cleanup:finished', 'cleanup:failed'] as const)
    pool.cleanup.on(event, (payload: object) => heard(`queue's ${event}`, payload));
  onTestFinished(() => expect(failures).toEqual([]));
  return { take: () => events.splice(0) };
}

/** Pools with a record of their events. */
function recorded(...options: Parameters<typeof setUp>) {
  const all = setUp(...options);
  return { ...all, ...record(all.pool) };
}

describe('events', () => {
  it('[EVENT-3] [EVENT-4] of a cold call come in the tick of each of its steps', async () => {
    const { pool, launcher, take } = recorded({ servers: { a: server } }, { spawn: false, initialize: false });
    const call = pool.getServer('a');
    expect(take()).toEqual(['registry:added a', 'server:starting a', 'queue:waiting a']);
    await flush();
    launcher.last.spawned();
    await flush();
    expect(take()).toEqual([]);
    launcher.last.initialize();
    await call;
    expect(take()).toEqual(['server:ready a', 'queue:served a', 'lease:acquired a']);
  });

  it('[EVENT-3] [EVENT-4] of a warm call and of its release come before these return', async () => {
    const { pool, take } = recorded({ servers: { a: server } });
    (await pool.getServer('a')).release();
    take();
    const call = pool.getServer('a');
    expect(take()).toEqual(['lease:acquired a']);
    const lease = await call;
    lease.release();
    expect(take()).toEqual(['lease:released a']);
  });

  it('[EVENT-3] [EVENT-4] of a release that serves the next caller come when it has been served', async () => {
    const { pool, take } = recorded({ servers: { a: { ...server, maxInstances: 1 } } });
    const lease = await pool.getServer('a');
    take();
    const next = pool.getServer('a');
    expect(take()).toEqual(['queue:waiting a', 'limit:reached a']);
    lease.release();
    expect(take()).toEqual(['lease:released a', 'queue:served a', 'lease:acquired a']);
    (await next).release();
  });

  it('[EVENT-3] [EVENT-4] of a release that ends its process come in order, up to the proof of its death', async () => {
    const { pool, launcher, take } = recorded(
      { servers: { a: { ...server, maxInstances: 1, reuse: 'never' } } },
      { end: false },
    );
    const lease = await pool.getServer('a');
    const next = pool.getServer('a');
    take();
    lease.release();
    expect(take()).toEqual(['lease:released a', 'server:stopping a', 'cleanup:started a', "queue's cleanup:started a"]);
    await flush();
    launcher.servers[0]?.exit();
    expect(take()).toEqual([]);
    await flush();
    expect(take()).toEqual([
      'signal:sent a',
      'cleanup:finished a',
      "queue's cleanup:finished a",
      'server:exited a',
      'registry:removed a',
      'server:stopped a',
      'registry:added a',
      'server:starting a',
      'server:ready a',
      'queue:served a',
      'lease:acquired a',
    ]);
    launcher.last.auto = { ...launcher.last.auto, end: true };
    (await next).release();
  });

  it('[EVENT-3] [EVENT-4] of several trees that end in one operation are not sorted by emitter', async () => {
    const { pool, take } = recorded({ servers: { a: server, b: server } });
    for (const name of ['a', 'b']) (await pool.getServer(name, { tenant: 't' })).release();
    const held = await pool.getServer('a', { tenant: 't' });
    take();
    expect(pool.releaseTenant('t')).toBe(1);
    expect(take()).toEqual([
      'lease:released a',
      'server:stopping a',
      'cleanup:started a',
      "queue's cleanup:started a",
      'server:stopping b',
      'cleanup:started b',
      "queue's cleanup:started b",
    ]);
    expect(held.release()).toBe(false);
  });

  it('[EVENT-3] [EVENT-4] of an eviction come before those of the start that it makes room for', async () => {
    const { pool, take } = recorded({ servers: { a: server, b: server }, limits: { maxProcesses: 1 } });
    (await pool.getServer('a')).release();
    take();
    const call = pool.getServer('b');
    expect(take()).toEqual(['server:stopping a', 'cleanup:started a', "queue's cleanup:started a", 'queue:waiting b']);
    await call;
    expect(take()).toEqual([
      'signal:sent a',
      'cleanup:finished a',
      "queue's cleanup:finished a",
      'server:exited a',
      'registry:removed a',
      'server:stopped a',
      'registry:added b',
      'server:starting b',
      'server:ready b',
      'queue:served b',
      'lease:acquired b',
    ]);
  });

  it('[EVENT-3] [EVENT-4] [FAIL-4] of a crash and of the restart come in order', async () => {
    const { pool, launcher, take } = recorded({ servers: { a: shared } });
    await leases(pool, 1);
    take();
    launcher.last.exit({ exitCode: 1 });
    expect(take()).toEqual(['server:stopping a', 'cleanup:started a', "queue's cleanup:started a"]);
    await flush(6);
    expect(take()).toEqual([
      'signal:sent a',
      'cleanup:finished a',
      "queue's cleanup:finished a",
      'server:exited a',
      'server:restarting a',
      'registry:removed a',
      'server:stopped a',
      'registry:added a',
      'server:starting a',
      'server:ready a',
      'server:restarted a',
      'lease:moved a',
    ]);
  });

  it('[EVENT-3] [EVENT-4] [START-1] of a start that fails come before the next start', async () => {
    const { pool, launcher, take } = recorded(
      { servers: { a: { ...server, maxInstances: 1 } } },
      { initialize: false },
    );
    const calls = [pool.getServer('a'), pool.getServer('a')];
    await flush();
    take();
    launcher.last.exit({ exitCode: 1 });
    await rejection(calls[0] as Promise<PooledServer>);
    calls[1]?.catch(() => {});
    await flush();
    expect(take()).toEqual([
      'server:stopping a',
      'cleanup:started a',
      "queue's cleanup:started a",
      'signal:sent a',
      'cleanup:finished a',
      "queue's cleanup:finished a",
      'server:exited a',
      'server:failed a',
      'queue:rejected a',
      'registry:removed a',
      'server:stopped a',
      'registry:added a',
      'server:starting a',
    ]);
  });

  it('[EVENT-3] [EVENT-4] of an idle time that is over, and of the next spare, come in order', async () => {
    const { pool, clock, take } = recorded({ servers: { a: { ...server, idleTimeout: 100, minIdle: 1 } } });
    await flush();
    take();
    // The spare that takes its place is started in the same operation.
    let processes = 0;
    pool.once('lease:acquired', () => {
      ({ processes } = pool.status());
    });
    const lease = await pool.getServer('a');
    expect(processes).toBe(2);
    expect(take()).toEqual(['lease:acquired a', 'registry:added a', 'server:starting a']);
    await flush();
    expect(take()).toEqual(['server:ready a']);
    lease.release();
    expect(take()).toEqual(['lease:released a']);
    clock.advance(100);
    expect(take()).toEqual(['server:stopping a', 'cleanup:started a', "queue's cleanup:started a"]);
  });

  it('[EVENT-3] [EVENT-4] [LEASE-1] of a lease that is taken back come before those of the caller that gets its server', async () => {
    const { pool, clock, take } = recorded({ servers: { a: { ...server, maxInstances: 1, leaseIdleTimeout: 100 } } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    clock.advance(100);
    take();
    void pool.getServer('a');
    expect(take()).toEqual(['lease:reclaimed a', 'lease:released a', 'lease:acquired a']);
    expect(client.closeCount).toBe(1);
  });

  it('[EVENT-3] [EVENT-4] of a shutdown come from pool:draining to pool:closed', async () => {
    const { pool, take } = recorded({ servers: { a: { ...server, maxInstances: 1 } } });
    await pool.getServer('a');
    const waiting = rejection(pool.getServer('a'));
    take();
    const closed = pool.shutdown();
    expect(take()).toEqual(['pool:draining', 'queue:rejected a', 'lease:released a']);
    await Promise.all([closed, waiting]);
    expect(take()).toEqual([
      'server:stopping a',
      'cleanup:started a',
      "queue's cleanup:started a",
      'signal:sent a',
      'cleanup:finished a',
      "queue's cleanup:finished a",
      'server:exited a',
      'registry:removed a',
      'server:stopped a',
      'pool:closed',
    ]);
  });

  it('[EVENT-3] [EVENT-4] of an emergency come tree by tree', async () => {
    const { pool, take } = recorded({ servers: { a: server, b: server } }, {});
    await pool.getServer('a');
    await pool.getServer('b');
    take();
    const closed = pool.shutdown({ mode: 'emergency' });
    expect(take()).toEqual([
      'pool:draining',
      'lease:released a',
      'lease:released b',
      'server:stopping a',
      'cleanup:started a',
      "queue's cleanup:started a",
      'server:stopping b',
      'cleanup:started b',
      "queue's cleanup:started b",
    ]);
    await closed;
  });
});
