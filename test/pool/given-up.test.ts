import { describe, expect, it } from 'vitest';
import type { AcquireOptions, PooledServer, ServerDefinition } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';
import { ANSWERS, connect, giveUp, leaveUnanswered, pings } from '../helpers/give-up.js';
import { flush, outcome } from '../helpers/until.js';

const GRACE = 5_000;

function exclusive(definition: Partial<ServerDefinition> = {}, answers: keyof typeof ANSWERS = 'pings') {
  const scene = setUp({ servers: { a: { command: 'fake', ...definition }, b: { command: 'fake' } } });
  const { launcher, pool } = scene;
  const serverOf = ({ pid }: PooledServer) => {
    const found = launcher.servers.find((server) => server.pid === pid);
    if (found === undefined) throw new Error('no server has this pid');
    found.onRequest = ANSWERS[answers];
    return found;
  };
  const leave = (options?: AcquireOptions) => leaveUnanswered(pool, 'a', serverOf, options);
  return { ...scene, serverOf, leave };
}

/** Which lease comes after the one that gave up a call: of the same scope, or of another. */
const SAME: [string, AcquireOptions | undefined][] = [
  ['no owner', undefined],
  ['an owner', { owner: 'x' }],
  ['a tenant and an owner', { tenant: 't', owner: 'x' }],
];
const REUSE = ['tenant', 'owner'] as const;

describe.each(REUSE)(
  "an exclusive server with reuse '%s' and a request that was given up without an answer",
  (reuse) => {
    it.each(SAME)('[GIVEUP-2] serves the same scope (%s) when it has answered a ping', async (_scope, options) => {
      const { pool, launcher, leave, reasons } = exclusive({ reuse });
      const { lease: first } = await leave(options);
      // It waits for the test, and not for another process.
      const again = await pool.getServer('a', options);
      expect(again.pid).toBe(first.pid);
      expect(await first.ended).toBeUndefined();
      expect(pings(launcher.last)).toHaveLength(1);
      expect(launcher.servers).toHaveLength(1);
      expect(reasons()).toEqual([]);
    });

    it.each(SAME)('[GIVEUP-2] is replaced for the same scope (%s) when it does not', async (_scope, options) => {
      const { pool, launcher, clock, leave, reasons } = exclusive({ reuse }, 'nothing');
      const { lease: first } = await leave(options);
      const again = pool.getServer('a', options);
      await clock.advanceAndFlush(GRACE - 1);
      expect(await outcome(again)).toBe('pending');
      expect(launcher.servers).toHaveLength(1);
      await clock.advanceAndFlush(1);
      const { pid } = await again;
      expect(pid).not.toBe(first.pid);
      expect(await first.ended).toMatchObject({ confirmed: true, pid: first.pid });
      expect(reasons()).toEqual(['unfinished']);
    });

    it('[GIVEUP-2] is ended at the end of the grace although no caller waits', async () => {
      const { pool, launcher, clock, leave, reasons } = exclusive({ reuse, giveUpGrace: 70 }, 'nothing');
      const { lease } = await leave();
      expect(pool.status()).toMatchObject({ processes: 1, idle: 0, leases: 0 });
      await clock.advanceAndFlush(70);
      expect(reasons()).toEqual(['unfinished']);
      expect(await lease.ended).toMatchObject({ confirmed: true });
      expect(launcher.living).toEqual([]);
    });

    it.each([
      ['another owner', { owner: 'x' }, { owner: 'y' }],
      ['no owner', { owner: 'x' }, undefined],
      ['an owner, after none', undefined, { owner: 'y' }],
    ])('[GIVEUP-1] never serves another scope: %s', async (_which, options, other) => {
      const { pool, leave } = exclusive({ reuse, maxInstances: 1 });
      const { lease: first } = await leave(options);
      await flush();
      expect(pool.status().idle).toBe(1);
      const stopped: unknown[] = [];
      pool.on('server:stopping', ({ pid, reason }) => stopped.push([pid, reason]));
      const second = await pool.getServer('a', other);
      expect(second.pid).not.toBe(first.pid);
      expect(stopped).toEqual([[first.pid, 'unfinished']]);
    });

    it('[GIVEUP-1] makes way at once for another scope while it is tested', async () => {
      const { pool, leave, reasons } = exclusive({ reuse, maxInstances: 1 }, 'nothing');
      const { lease: first } = await leave({ owner: 'x' });
      // No time passes here.
      const second = await pool.getServer('a', { owner: 'y' });
      expect(second.pid).not.toBe(first.pid);
      expect(await first.ended).toMatchObject({ confirmed: true });
      expect(reasons()).toEqual(['unfinished']);
    });

    it('[GIVEUP-1] makes way for another scope that waits already', async () => {
      const { pool, serverOf, reasons } = exclusive({ reuse, maxInstances: 1 }, 'nothing');
      const { lease, client } = await connect(pool, 'a', { owner: 'x' });
      await giveUp(client, serverOf(lease));
      const second = pool.getServer('a', { owner: 'y' });
      await flush();
      lease.release();
      expect((await second).pid).not.toBe(lease.pid);
      expect(reasons()).toEqual(['unfinished']);
    });

    it('[GIVEUP-1] [GIVEUP-4] serves the callers that it would serve otherwise once it has answered: before, during or after the test', async () => {
      for (const when of ['before', 'during', 'after']) {
        const { pool, serverOf, reasons } = exclusive(
          { reuse, maxInstances: 1 },
          when === 'during' ? 'nothing' : 'pings',
        );
        const { lease, client } = await connect(pool, 'a', { owner: 'x' });
        const server = serverOf(lease);
        const id = await giveUp(client, server);
        if (when === 'before') server.answer(id, 'late');
        await flush();
        lease.release();
        if (when === 'after') await flush();
        if (when !== 'before') server.answer(id, 'late');
        await flush();
        expect(pool.status().idle, when).toBe(1);
        expect(pings(server).length, when).toBe(when === 'before' ? 0 : 1);
        expect(await lease.ended).toBeUndefined();
        const owner = reuse === 'tenant' ? 'y' : 'x';
        const next = await connect(pool, 'a', { owner });
        expect(next.lease.pid, when).toBe(lease.pid);
        expect(reasons()).toEqual([]);
      }
    });
  },
);

describe('an exclusive server with a request that was given up without an answer', () => {
  it('[GIVEUP-2] needs no second ping for what was given up before the first', async () => {
    const { pool, launcher, leave } = exclusive();
    await leave();
    for (let round = 0; round < 3; round++) {
      const { lease } = await connect(pool, 'a');
      lease.release();
      expect(pool.status().idle).toBe(1);
    }
    expect(launcher.servers).toHaveLength(1);
    expect(pings(launcher.last)).toHaveLength(1);
    // What is given up later needs one.
    await leave();
    expect(pool.status().idle).toBe(0);
    await flush();
    expect(pool.status().idle).toBe(1);
    expect(pings(launcher.last)).toHaveLength(2);
  });

  it('[GIVEUP-2] needs no ping when it has answered a request that was sent later', async () => {
    const { pool, launcher, serverOf } = exclusive();
    const { lease, client } = await connect(pool, 'a', { owner: 'x' });
    const server = serverOf(lease);
    await giveUp(client, server);
    await client.request('tools/list');
    lease.release();
    expect(pool.status().idle).toBe(1);
    expect(pings(launcher.last)).toEqual([]);
    // It may still work on the call.
    const { lease: other } = await connect(pool, 'a', { owner: 'y' });
    expect(other.pid).not.toBe(lease.pid);
  });

  it('[GIVEUP-2] is not proven by the answer to a request that was sent before', async () => {
    const { pool, serverOf } = exclusive({}, 'nothing');
    const { lease, client } = await connect(pool, 'a');
    const server = serverOf(lease);
    const listed = client.request('tools/list');
    await giveUp(client, server);
    server.answer(server.received.find(({ method }) => method === 'tools/list')?.id as number, { tools: [] });
    await listed;
    lease.release();
    expect(pool.status().idle).toBe(0);
    expect(pings(server)).toHaveLength(0);
    await flush();
    expect(pings(server)).toHaveLength(1);
  });

  it('[GIVEUP-2] remembers each of several, and takes a late answer to one for that one only', async () => {
    const { pool, serverOf, clock, reasons } = exclusive({}, 'nothing');
    const { lease, client } = await connect(pool, 'a');
    const server = serverOf(lease);
    const first = await giveUp(client, server, 'one');
    const second = await giveUp(client, server, 'two');
    lease.release();
    server.answer(first, 'late');
    await clock.advanceAndFlush(GRACE - 1);
    expect([pool.status().idle, reasons()]).toEqual([0, []]);
    server.answer(second, 'late');
    await flush();
    expect([pool.status().idle, reasons()]).toEqual([1, []]);
    await clock.advanceAndFlush(GRACE);
    expect(reasons()).toEqual([]);
  });

  it('[GIVEUP-2] counts an answer that has come while the host was busy', async () => {
    const { pool, serverOf, clock, reasons } = exclusive({}, 'nothing');
    const { lease, client } = await connect(pool, 'a');
    const server = serverOf(lease);
    await giveUp(client, server);
    lease.release();
    await flush();
    // Both have happened when the host looks: the time is over, and the answer can be read.
    server.answer(pings(server)[0]?.id as number, {});
    clock.lag(GRACE);
    await flush();
    clock.advance(0);
    await flush();
    expect([pool.status().idle, reasons()]).toEqual([1, []]);
  });

  it('[GIVEUP-1] ends when its lease is released with a request still open', async () => {
    for (const close of ['release', 'close', 'releaseOwner', 'dispose'] as const) {
      const { pool, serverOf, reasons } = exclusive();
      const { lease, client } = await connect(pool, 'a', { owner: 'x' });
      serverOf(lease);
      void client.request('tools/call', { name: 'slow' });
      await flush();
      if (close === 'release') lease.release();
      else if (close === 'close') await client.close();
      else if (close === 'releaseOwner') pool.releaseOwner('x');
      else await lease[Symbol.asyncDispose]();
      expect(reasons()).toEqual(['unfinished']);
      expect((await pool.getServer('a', { owner: 'x' })).pid).not.toBe(lease.pid);
    }
  });

  it('[GIVEUP-1] is not served to another owner either when its lease was taken back', async () => {
    const { pool, clock, serverOf, reasons } = exclusive({ maxInstances: 1, leaseIdleTimeout: 1_000 }, 'nothing');
    const { lease, client } = await connect(pool, 'a', { owner: 'x' });
    await giveUp(client, serverOf(lease));
    await clock.advanceAndFlush(1_000);
    const other = await pool.getServer('a', { owner: 'y' });
    expect(other.pid).not.toBe(lease.pid);
    expect(reasons()).toEqual(['unfinished']);
  });

  it('[GIVEUP-4] is as any other when the request never reached it', async () => {
    const { pool, serverOf, reasons } = exclusive({ reuse: 'tenant', maxInFlight: 1 }, 'nothing');
    const { lease, client } = await connect(pool, 'a', { owner: 'x' });
    const server = serverOf(lease);
    const first = client.request('tools/list');
    void client.request('tools/call', { name: 'waits' }, 'waits');
    await client.notify('notifications/cancelled', { requestId: 'waits' });
    await flush();
    server.answer(server.received.find(({ method }) => method === 'tools/list')?.id as number, { tools: [] });
    await first;
    lease.release();
    expect(pool.status().idle).toBe(1);
    expect((await pool.getServer('a', { owner: 'y' })).pid).toBe(lease.pid);
    expect(server.received.some(({ method }) => method === 'tools/call')).toBe(false);
    expect(reasons()).toEqual([]);
  });

  it('[GIVEUP-4] is as any other when an unknown or answered request was cancelled', async () => {
    const { pool, launcher, reasons } = exclusive({ reuse: 'tenant' }, 'all');
    const { lease, client } = await connect(pool, 'a', { owner: 'x' });
    await client.request('tools/call', { name: 'quick' }, 'quick');
    for (const requestId of ['quick', 'unknown', undefined]) {
      await client.notify('notifications/cancelled', { requestId });
    }
    lease.release();
    expect(pool.status().idle).toBe(1);
    expect((await pool.getServer('a', { owner: 'y' })).pid).toBe(lease.pid);
    expect(pings(launcher.last)).toEqual([]);
    expect(reasons()).toEqual([]);
  });

  it('[GIVEUP-2] is tested past maxInFlight', async () => {
    const { pool, leave, launcher } = exclusive({ maxInFlight: 1 });
    const { lease, id } = await leave();
    await flush();
    launcher.last.answer(id, 'late');
    expect((await pool.getServer('a')).pid).toBe(lease.pid);
    expect(pings(launcher.last)).toHaveLength(1);
  });

  it('[GIVEUP-2] that crashes while it is tested is replaced for those that wait', async () => {
    const { pool, leave, serverOf, clock, reasons } = exclusive({ maxInstances: 1 }, 'nothing');
    const { lease } = await leave();
    const again = pool.getServer('a');
    await flush();
    serverOf(lease).exit({ exitCode: 1 });
    expect((await again).pid).not.toBe(lease.pid);
    expect(await lease.ended).toMatchObject({ confirmed: true });
    await clock.advanceAndFlush(GRACE);
    expect(reasons()).toEqual(['crashed']);
  });

  it.each([
    ['restart', (pool: ReturnType<typeof exclusive>['pool']) => pool.restart('a')],
    ['removed', (pool: ReturnType<typeof exclusive>['pool']) => pool.removeServer('a')],
    ['shutdown', (pool: ReturnType<typeof exclusive>['pool']) => pool.shutdown()],
  ])('[GIVEUP-2] that is ended while it is tested ends once: %s', async (reason, end) => {
    const { pool, leave, clock, reasons } = exclusive({}, 'nothing');
    const { lease } = await leave();
    await end(pool);
    expect(await lease.ended).toMatchObject({ confirmed: true });
    await clock.advanceAndFlush(GRACE);
    expect(reasons()).toEqual([reason]);
  });

  it('[GIVEUP-2] gives its slot to a server of another name when that is needed during the test', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { command: 'fake' }, b: { command: 'fake' } },
      limits: { maxProcesses: 1 },
    });
    const stopped: unknown[] = [];
    pool.on('server:stopping', ({ name, reason }) => stopped.push([name, reason]));
    await leaveUnanswered(pool, 'a', () => {
      launcher.last.onRequest = ANSWERS.nothing;
      return launcher.last;
    });
    expect((await pool.getServer('b')).name).toBe('b');
    expect(stopped).toEqual([['a', 'unfinished']]);
  });

  it('[GIVEUP-2] a caller that gives up does not end the test', async () => {
    const { pool, leave, reasons, serverOf } = exclusive({}, 'nothing');
    const { lease } = await leave();
    const abort = new AbortController();
    const call = pool.getServer('a', { signal: abort.signal });
    await flush();
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'ACQUIRE_ABORTED' });
    expect(reasons()).toEqual([]);
    const server = serverOf(lease);
    server.answer(pings(server)[0]?.id as number, {});
    await flush();
    expect(pool.status().idle).toBe(1);
  });

  it('[GIVEUP-2] counts among those that minIdle keeps', async () => {
    const { leave, launcher } = exclusive({ minIdle: 1 }, 'nothing');
    await flush();
    await leave();
    await flush();
    expect(launcher.servers).toHaveLength(2);
  });

  it('[GIVEUP-2] does not keep another scope waiting that comes after its own', async () => {
    const { pool, leave, launcher, reasons } = exclusive({ reuse: 'tenant' }, 'nothing');
    const { lease: first } = await leave({ owner: 'x' });
    const mine = pool.getServer('a', { owner: 'x' });
    await flush();
    expect([await outcome(mine), launcher.servers.length]).toEqual(['pending', 1]);
    // No time passes here: the oldest gets what comes first.
    const other = await pool.getServer('a', { owner: 'y' });
    const pids = [(await mine).pid, other.pid];
    expect(new Set([...pids, first.pid]).size).toBe(3);
    expect(reasons()).toEqual(['unfinished']);
  });

  it('[GIVEUP-1] with reuse never, or dedicated, serves no other in any case', async () => {
    for (const definition of [{ reuse: 'never' }, { sharing: 'dedicated' }] as const) {
      const { pool, launcher, reasons } = exclusive(definition, 'nothing');
      const { lease, client } = await connect(pool, 'a');
      launcher.last.onRequest = ANSWERS.nothing;
      await giveUp(client, launcher.last);
      lease.release();
      expect(await lease.ended).toMatchObject({ confirmed: true });
      expect(reasons()).toEqual(['released']);
      expect((await pool.getServer('a')).pid).not.toBe(lease.pid);
    }
  });

  it('[GIVEUP-2] is planned, and shown, as one that is neither idle nor leased', async () => {
    const { pool, leave } = exclusive({ reuse: 'owner' }, 'nothing');
    const { lease } = await leave();
    expect(pool.status().servers.a).toMatchObject({
      idle: 0,
      instances: [{ pid: lease.pid, state: 'ready', leases: 0 }],
    });
    expect(pool.plan('reclaim').ends).toMatchObject([{ pid: lease.pid, reason: 'unfinished' }]);
  });
});
