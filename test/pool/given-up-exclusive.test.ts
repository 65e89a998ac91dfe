import { describe, expect, it } from 'vitest';
import type { PooledServer, ServerDefinition } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';
import { ANSWERS, connect, giveUp, pings } from '../helpers/give-up.js';
import { flush, rejection } from '../helpers/until.js';

const GRACE = 5_000;

function exclusive(definition: Partial<ServerDefinition> = {}) {
  const scene = setUp({ servers: { a: { command: 'fake', ...definition } } });
  const serverOf = ({ pid }: PooledServer, answers: keyof typeof ANSWERS = 'pings') => {
    const found = scene.launcher.servers.find((server) => server.pid === pid);
    if (found === undefined) throw new Error('no server has this pid');
    found.onRequest = ANSWERS[answers];
    return found;
  };
  /** Calls a tool, and says whether its server has got the call. */
  const isSent = async (client: Awaited<ReturnType<typeof connect>>['client'], lease: PooledServer, name: string) => {
    void client.request('tools/call', { name }, name);
    await flush();
    return serverOf(lease).received.some(({ params }) => (params as { name?: string } | undefined)?.name === name);
  };
  return { ...scene, serverOf, isSent };
}

describe('a request that was given up and keeps its place (maxInFlight), when the lease on an exclusive server ends', () => {
  const SCOPES = [
    ['no owner', undefined],
    ['an owner', { owner: 'x' }],
    ['a tenant and an owner', { tenant: 't', owner: 'x' }],
  ] as const;

  it.each(SCOPES)('[GIVEUP-5] must be answered: an answer to a ping is not enough (%s)', async (_scope, options) => {
    for (const [count, maxInFlight] of [
      [1, 1],
      [1, 3],
      [2, 2],
    ] as const) {
      const { pool, clock, serverOf, reasons, launcher } = exclusive({ maxInFlight });
      const first = await connect(pool, 'a', options);
      const server = serverOf(first.lease);
      for (let id = 0; id < count; id++) await giveUp(first.client, server, id);
      first.lease.release();
      const second = connect(pool, 'a', options);
      await clock.advanceAndFlush(GRACE - 1);
      expect([pings(server).length, reasons(), launcher.servers.length]).toEqual([1, [], 1]);
      // Its work was not cut short before, and no other ran beside it.
      expect(server.received.filter(({ method }) => method === 'notifications/cancelled')).toEqual([]);
      expect(server.received.filter(({ method }) => method === 'tools/call')).toHaveLength(count);
      await clock.advanceAndFlush(1);
      expect(reasons()).toEqual(['unfinished']);
      expect(await first.lease.ended).toMatchObject({ confirmed: true, pid: server.pid });
      expect((await second).lease.pid).not.toBe(server.pid);
    }
  });

  it.each(SCOPES)(
    '[GIVEUP-5] gives the process to the next lease when it is answered in time (%s)',
    async (_scope, options) => {
      const { pool, clock, serverOf, isSent, emitted } = exclusive({ maxInFlight: 2 });
      const first = await connect(pool, 'a', options);
      const server = serverOf(first.lease);
      const given = [await giveUp(first.client, server, 'one'), await giveUp(first.client, server, 'two')];
      expect(await isSent(first.client, first.lease, 'third')).toBe(false);
      await first.client.notify('notifications/cancelled', { requestId: 'third' });
      first.lease.release();
      const second = connect(pool, 'a', options);
      server.answer(given[1] as number, 'late');
      await clock.advanceAndFlush(GRACE - 1);
      server.answer(given[0] as number, 'late');
      const next = await second;
      expect(next.lease.pid).toBe(first.lease.pid);
      const sent: boolean[] = [];
      for (const name of ['n1', 'n2', 'n3']) sent.push(await isSent(next.client, next.lease, name));
      expect(sent).toEqual([true, true, false]);
      expect(emitted.filter(({ event }) => event === 'server:noise' || event === 'server:stopping')).toEqual([]);
    },
  );

  it('[GIVEUP-5] also when a ping was answered within its lease already', async () => {
    for (const answers of [true, false]) {
      const { pool, clock, serverOf, reasons } = exclusive({ maxInFlight: 1 });
      const first = await connect(pool, 'a');
      const server = serverOf(first.lease);
      const id = await giveUp(first.client, server);
      await clock.advanceAndFlush(GRACE);
      expect(pings(server)).toHaveLength(1);
      first.lease.release();
      expect(pool.status().idle).toBe(0);
      if (answers) server.answer(id, 'late');
      await clock.advanceAndFlush(GRACE);
      expect(reasons()).toEqual(answers ? [] : ['unfinished']);
      expect(pool.status().idle).toBe(answers ? 1 : 0);
    }
  });

  it('[GIVEUP-5] also when giveUpGrace is longer than it keeps its place within a lease', async () => {
    const { pool, clock, serverOf, reasons } = exclusive({ maxInFlight: 1, giveUpGrace: 100_000 });
    const first = await connect(pool, 'a');
    const server = serverOf(first.lease);
    await giveUp(first.client, server);
    first.lease.release();
    await clock.advanceAndFlush(99_999);
    expect([pool.status().idle, reasons()]).toEqual([0, []]);
    await clock.advanceAndFlush(1);
    expect(reasons()).toEqual(['unfinished']);
  });

  it('[GIVEUP-5] one that changes nothing is cancelled, and keeps no place', async () => {
    const { pool, serverOf, isSent } = exclusive({ maxInFlight: 1 });
    const first = await connect(pool, 'a');
    const server = serverOf(first.lease);
    server.onRequest = ({ method }) => (method === 'ping' ? {} : undefined);
    void first.client.request('resources/read', { uri: 'u' }, 'read');
    await flush();
    await first.client.notify('notifications/cancelled', { requestId: 'read' });
    first.lease.release();
    const next = await connect(pool, 'a');
    expect(next.lease.pid).toBe(first.lease.pid);
    expect(await isSent(next.client, next.lease, 'next')).toBe(true);
  });

  it.each([1, Infinity])(
    '[GIVEUP-5] one that the pool sent for a session, a subscription (maxInFlight: %s)',
    async (maxInFlight) => {
      const { pool, clock, serverOf, isSent, reasons } = exclusive({ maxInFlight });
      const first = await connect(pool, 'a');
      const server = serverOf(first.lease);
      server.onRequest = ({ method }) => (method === 'ping' ? {} : undefined);
      void first.client.request('resources/subscribe', { uri: 'u' }, 'subscribe');
      await flush();
      expect(server.received.some(({ method }) => method === 'resources/subscribe')).toBe(true);
      await first.client.notify('notifications/cancelled', { requestId: 'subscribe' });
      first.lease.release();
      const second = connect(pool, 'a');
      await clock.advanceAndFlush(GRACE);
      const next = await second;
      expect(reasons()).toEqual(maxInFlight === 1 ? ['unfinished'] : []);
      // Its own subscription does not wait for the answer to the other.
      serverOf(next.lease).onRequest = undefined;
      for (const { id, method } of server.received)
        if (method === 'resources/unsubscribe') server.answer(id as number, {});
      await next.client.request('resources/subscribe', { uri: 'u' });
      expect(await isSent(next.client, next.lease, 'next')).toBe(true);
    },
  );

  it('[GIVEUP-5] of a server that answers neither is replaced, and the next lease need not wait for it', async () => {
    const { pool, clock, serverOf, reasons } = exclusive({ maxInFlight: 1 });
    const first = await connect(pool, 'a');
    await giveUp(first.client, serverOf(first.lease, 'nothing'));
    first.lease.release();
    const second = pool.getServer('a');
    await clock.advanceAndFlush(GRACE);
    expect((await second).pid).not.toBe(first.lease.pid);
    expect(reasons()).toEqual(['unfinished']);
  });
});

describe.each(['shared', 'exclusive'] as const)(
  'a request of the pool that was given up, on a server that is %s',
  (sharing) => {
    it('[GIVEUP-4] does not make the process doubtful a second time when it expires', async () => {
      const { pool, clock, serverOf, reasons } = exclusive({ sharing });
      const { lease, client } = await connect(pool, 'a');
      const server = serverOf(lease);
      server.onRequest = ({ method }) => (method === 'ping' ? {} : undefined);
      void client.request('resources/subscribe', { uri: 'u' }, 'subscribe');
      await flush();
      await client.notify('notifications/cancelled', { requestId: 'subscribe' });
      await clock.advanceAndFlush(GRACE);
      expect(pings(server)).toHaveLength(1);
      // It expires after 60 s. From now on nothing is answered, which shows only what was asked after that.
      server.onRequest = () => undefined;
      await clock.advanceAndFlush(60_000);
      await clock.advanceAndFlush(10 * GRACE);
      expect([pings(server).length, reasons()]).toEqual([1, []]);
    });

    it.runIf(sharing === 'exclusive')(
      '[GIVEUP-4] nor does the end of a task, when the next lease gets the process',
      async () => {
        const { pool, clock, serverOf, reasons } = exclusive();
        const { lease, client } = await connect(pool, 'a');
        const server = serverOf(lease);
        server.onRequest = ({ method }) =>
          method === 'tools/call' ? { task: { taskId: 'one', status: 'working' } } : method === 'ping' ? {} : undefined;
        await client.request('tools/call', { name: 'x', task: {} });
        lease.release();
        const next = await connect(pool, 'a');
        expect(next.lease.pid).toBe(lease.pid);
        expect([server.received.some(({ method }) => method === 'tasks/cancel'), pings(server).length]).toEqual([
          true,
          1,
        ]);
        server.onRequest = () => undefined;
        await clock.advanceAndFlush(10 * GRACE);
        expect([pings(server).length, reasons(), next.client.closeCount]).toEqual([1, [], 0]);
      },
    );
  },
);

describe('an exclusive server that answers nothing in the middle of a lease', () => {
  it("[GIVEUP-6] is pinged past maxInFlight; its lease ends as after a crash (onCrash: 'close')", async () => {
    for (const maxInFlight of [1, Infinity]) {
      const { pool, clock, serverOf, reasons } = exclusive({ maxInFlight });
      const { lease, client } = await connect(pool, 'a', { owner: 'x' });
      const server = serverOf(lease, 'nothing');
      const stopping: unknown[] = [];
      pool.on('server:stopping', (event) => stopping.push(event));
      await giveUp(client, server);
      const waits = client.request('tools/call', { name: 'waits' }, 'waits');
      await clock.advanceAndFlush(GRACE);
      expect([pings(server).length, reasons()]).toEqual([1, []]);
      await clock.advanceAndFlush(GRACE);
      expect(reasons()).toEqual(['stuck']);
      expect(stopping).toMatchObject([{ pid: lease.pid, leases: [{ leaseId: lease.id, owner: 'x' }] }]);
      expect(server.kills).toBe(1);
      expect(await rejection(waits)).toMatchObject({ data: { reason: 'SERVER_UNRESPONSIVE' } });
      expect(client.closeCount).toBe(1);
      expect(await lease.ended).toMatchObject({ confirmed: true });
      await expect(lease.transport.send({ jsonrpc: '2.0', method: 'x' })).rejects.toMatchObject({
        code: 'SERVER_UNRESPONSIVE',
        message: expect.stringContaining('giveUpGrace'),
      });
      expect((await pool.getServer('a', { owner: 'x' })).pid).not.toBe(lease.pid);
    }
  });

  it("[GIVEUP-6] is replaced under its lease with onCrash: 'restart'", async () => {
    const { pool, clock, launcher, serverOf, reasons, emitted } = exclusive({ onCrash: 'restart' });
    const { lease, client } = await connect(pool, 'a', { owner: 'x' });
    const { pid } = lease;
    await giveUp(client, serverOf(lease, 'nothing'));
    const read = client.request('resources/read', { uri: 'u' });
    await clock.advanceAndFlush(2 * GRACE);
    expect(reasons()).toEqual(['stuck']);
    expect(await read).toMatchObject({ echo: { uri: 'u' } });
    expect([client.closeCount, launcher.servers.length]).toEqual([0, 2]);
    expect(lease.pid).not.toBe(pid);
    expect(emitted.filter(({ event }) => event === 'lease:moved')).toHaveLength(1);
    await clock.advanceAndFlush(3 * GRACE);
    expect(reasons()).toEqual(['stuck']);
  });

  it('[GIVEUP-6] is left alone when it answers the ping, another request, or that one late', async () => {
    for (const sign of ['ping', 'other', 'late']) {
      const { pool, clock, serverOf, reasons } = exclusive();
      const { lease, client } = await connect(pool, 'a');
      const server = serverOf(lease, 'pings');
      const id = await giveUp(client, server);
      await clock.advanceAndFlush(GRACE / 2);
      if (sign === 'late') server.answer(id, 'late');
      if (sign === 'other') await client.request('tools/list');
      await clock.advanceAndFlush(10 * GRACE);
      expect([pings(server).length, reasons(), client.closeCount]).toEqual([sign === 'ping' ? 1 : 0, [], 0]);
    }
  });

  it('[GIVEUP-6] [GIVEUP-2] is tested once more, and ended as unfinished, when its lease ends meanwhile', async () => {
    for (const when of [GRACE / 2, GRACE + 1]) {
      const { pool, clock, serverOf, reasons } = exclusive();
      const { lease, client } = await connect(pool, 'a');
      await giveUp(client, serverOf(lease, 'nothing'));
      await clock.advanceAndFlush(when);
      lease.release();
      await clock.advanceAndFlush(GRACE - 1);
      expect(reasons()).toEqual([]);
      await clock.advanceAndFlush(1);
      expect(reasons()).toEqual(['unfinished']);
      await clock.advanceAndFlush(3 * GRACE);
      expect(reasons()).toEqual(['unfinished']);
    }
  });

  it('[GIVEUP-6] is its own client’s concern when it is dedicated: it gets no ping, and is not ended', async () => {
    const { pool, clock, serverOf, reasons } = exclusive({ sharing: 'dedicated' });
    const { lease, client } = await connect(pool, 'a');
    const server = serverOf(lease, 'nothing');
    void client.request('tools/call', { name: 'slow' }, 'slow');
    await client.notify('notifications/cancelled', { requestId: 'slow' });
    await clock.advanceAndFlush(10 * GRACE);
    expect([pings(server).length, reasons(), client.closeCount]).toEqual([0, [], 0]);
  });
});

describe("several idle processes of one tenant (reuse: 'tenant')", () => {
  /** Two idle processes; that of `x` has left a call without an answer. */
  async function two(last: 'fine' | 'given up', definition: Partial<ServerDefinition> = {}) {
    const scene = exclusive({ reuse: 'tenant', maxInstances: 2, ...definition });
    const [x, fine] = [await connect(scene.pool, 'a', { owner: 'x' }), await connect(scene.pool, 'a', { owner: 'x' })];
    await giveUp(x.client, scene.serverOf(x.lease));
    const releases = [() => x.lease.release(), () => fine.lease.release()];
    for (const release of last === 'fine' ? releases : releases.reverse()) {
      release();
      await flush();
    }
    expect(scene.pool.status().idle).toBe(2);
    return { ...scene, x: x.lease, fine: fine.lease };
  }

  it.each(['fine', 'given up'] as const)(
    '[GIVEUP-7] another owner gets the one that is fine: the last is %s',
    async (last) => {
      const { pool, x, fine, launcher, reasons } = await two(last);
      expect((await pool.getServer('a', { owner: 'y' })).pid).toBe(fine.pid);
      expect([reasons(), launcher.servers.length, pool.status().idle]).toEqual([[], 2, 1]);
      // Its own owner gets the other.
      expect((await pool.getServer('a', { owner: 'x' })).pid).toBe(x.pid);
      expect(reasons()).toEqual([]);
    },
  );

  it('[GIVEUP-7] the next of another owner, when none is left that is fine, ends the other', async () => {
    const { pool, x, fine, reasons } = await two('given up');
    const y1 = await pool.getServer('a', { owner: 'y' });
    const y2 = await pool.getServer('a', { owner: 'y' });
    expect(y1.pid).toBe(fine.pid);
    expect([fine.pid, x.pid]).not.toContain(y2.pid);
    expect(reasons()).toEqual(['unfinished']);
  });

  it('[GIVEUP-7] that reached its maxLifetime is no other one', async () => {
    const { pool, clock, x, fine, reasons } = await two('given up', { maxLifetime: 100_000, idleTimeout: 1e9 });
    clock.lag(100_000);
    const y = await pool.getServer('a', { owner: 'y' });
    expect([fine.pid, x.pid]).not.toContain(y.pid);
    expect(reasons().sort()).toEqual(['max-lifetime', 'unfinished']);
  });

  it('[GIVEUP-7] ends none for a lease that gets a spare one, after one that reached its maxLifetime', async () => {
    const { pool, clock, serverOf, launcher, reasons } = exclusive({
      ...{ reuse: 'tenant', minIdle: 1, maxInstances: 3, maxLifetime: 100_000, idleTimeout: 1e9 },
    });
    await flush();
    const reserved = await connect(pool, 'a', { tenant: 't', owner: 'x' });
    await flush();
    const old = await connect(pool, 'a', { tenant: 't', owner: 'x' });
    await flush();
    await giveUp(reserved.client, serverOf(reserved.lease));
    reserved.lease.release();
    await flush();
    old.lease.release();
    await flush();
    expect([pool.status().idle, launcher.servers.length]).toEqual([3, 3]);
    clock.lag(100_000);
    const y = await pool.getServer('a', { tenant: 't', owner: 'y' });
    expect(y.pid).toBe(launcher.servers[2]?.pid);
    expect(reasons()).toEqual(['max-lifetime']);
    expect(launcher.living.map(({ pid }) => pid)).toContain(reserved.lease.pid);
  });

  it.each([{}, { tenant: 't' }])(
    '[GIVEUP-7] a spare one that has served no lease is another one, too: %o',
    async (tenant) => {
      const { pool, serverOf, launcher, reasons } = exclusive({ reuse: 'tenant', minIdle: 1 });
      await flush();
      const x = await connect(pool, 'a', { owner: 'x', ...tenant });
      await giveUp(x.client, serverOf(x.lease));
      await flush();
      x.lease.release();
      await flush();
      expect([pool.status().idle, launcher.servers.length]).toEqual([2, 2]);
      const y = await pool.getServer('a', { owner: 'y', ...tenant });
      expect(y.pid).toBe(launcher.servers[1]?.pid);
      expect(reasons()).toEqual([]);
      expect((await pool.getServer('a', { owner: 'x', ...tenant })).pid).toBe(x.lease.pid);
    },
  );
});
