import { describe, expect, it } from 'vitest';
import type { ServerDefinition } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';
import { ANSWERS, connect, giveUp, pings } from '../helpers/give-up.js';
import { flush, rejection } from '../helpers/until.js';

const GRACE = 5_000;

/** A shared server with two clients. */
async function shared(answers: keyof typeof ANSWERS, definition: Partial<ServerDefinition> = {}) {
  const scene = setUp({ servers: { a: { command: 'fake', sharing: 'shared', ...definition } } });
  const a = await connect(scene.pool, 'a', { owner: 'x' });
  const b = await connect(scene.pool, 'a', { owner: 'y' });
  const server = scene.launcher.last;
  server.onRequest = ANSWERS[answers];
  return { ...scene, a, b, server };
}

describe('a shared server with a request that was given up without an answer', () => {
  it('[GIVEUP-3] is pinged when it answers nothing for the grace, and replaced when it does not answer', async () => {
    const { a, b, server, clock, launcher, emitted, reasons } = await shared('nothing');
    const { pid } = a.lease;
    const call = b.client.request('tools/call', { name: 'other' });
    const read = b.client.request('resources/read', { uri: 'u' });
    await giveUp(a.client, server);
    await clock.advanceAndFlush(GRACE - 1);
    expect([pings(server).length, reasons()]).toEqual([0, []]);
    await clock.advanceAndFlush(1);
    expect([pings(server).length, reasons()]).toEqual([1, []]);
    await clock.advanceAndFlush(GRACE - 1);
    expect(reasons()).toEqual([]);
    await clock.advanceAndFlush(1);
    expect(reasons()).toEqual(['stuck']);
    // As after a crash: at once, with the same answers, and the leases stay.
    expect(server.kills).toBe(1);
    expect(await rejection(call)).toMatchObject({
      code: -32_000,
      data: { reason: 'SERVER_UNRESPONSIVE', retryable: true, mayHaveRun: true },
    });
    expect(await read).toMatchObject({ echo: { uri: 'u' } });
    expect(launcher.servers).toHaveLength(2);
    expect(a.lease.pid).toBe(launcher.last.pid);
    expect(a.lease.pid).not.toBe(pid);
    expect([a.client.closeCount, b.client.closeCount]).toEqual([0, 0]);
    expect(await a.client.request('tools/call', { name: 'again' })).toMatchObject({ echo: { name: 'again' } });
    const restarting = emitted.find(({ event }) => event === 'server:restarting')?.payload;
    const leases = [a, b].map(({ lease }) => ({ leaseId: lease.id, owner: lease.owner }));
    expect(restarting).toMatchObject({ leases, error: { message: expect.stringContaining('giveUpGrace') } });
    // Its successor is not suspect.
    await clock.advanceAndFlush(3 * GRACE);
    expect([pings(launcher.last).length, reasons()]).toEqual([0, ['stuck']]);
  });

  it('[GIVEUP-3] stays when it answers the ping, and is pinged once', async () => {
    const { a, server, clock, reasons } = await shared('pings');
    await giveUp(a.client, server);
    await clock.advanceAndFlush(10 * GRACE);
    expect([pings(server).length, reasons()]).toEqual([1, []]);
    // Once more for what is given up later.
    await giveUp(a.client, server, 'later');
    await clock.advanceAndFlush(10 * GRACE);
    expect([pings(server).length, reasons()]).toEqual([2, []]);
  });

  it('[GIVEUP-3] [GIVEUP-4] is not suspect when it answers later requests, or that request late', async () => {
    for (const late of [true, false]) {
      const { a, b, server, clock, reasons } = await shared('pings');
      const id = await giveUp(a.client, server);
      await clock.advanceAndFlush(GRACE / 2);
      if (late) server.answer(id, 'late');
      else await b.client.request('tools/list');
      await clock.advanceAndFlush(10 * GRACE);
      expect([pings(server).length, reasons()]).toEqual([0, []]);
    }
  });

  it('[GIVEUP-3] is not suspect while it answers anything, or sends progress that a client waits for', async () => {
    for (const sign of ['answer', 'progress']) {
      const { a, b, server, clock, reasons } = await shared('nothing');
      for (let round = 0; round < 4; round++) void b.client.request('tools/call', { _meta: { progressToken: 'p' } });
      await flush();
      const sent = server.received.filter(({ method }) => method === 'tools/call');
      await giveUp(a.client, server);
      for (const { id } of sent) {
        await clock.advanceAndFlush(GRACE - 1);
        if (sign === 'answer') server.answer(id as number, {});
        else
          server.say({
            jsonrpc: '2.0',
            method: 'notifications/progress',
            params: { progressToken: sent[0]?.id, progress: 1 },
          });
        await flush();
      }
      expect([pings(server).length, reasons()], sign).toEqual([0, []]);
      await clock.advanceAndFlush(3 * GRACE);
      expect([pings(server).length, reasons()], sign).toEqual([1, ['stuck']]);
    }
  });

  it('[GIVEUP-3] is not replaced when it answers something while the ping waits', async () => {
    const { a, b, server, clock, reasons } = await shared('nothing');
    const long = b.client.request('tools/call', { name: 'long' });
    await flush();
    const { id } = server.received.at(-1) ?? {};
    await giveUp(a.client, server);
    await clock.advanceAndFlush(GRACE);
    expect(pings(server)).toHaveLength(1);
    server.answer(id as number, 'done');
    await long;
    await clock.advanceAndFlush(GRACE);
    expect(reasons()).toEqual([]);
    server.answer(pings(server)[0]?.id as number, {});
    await clock.advanceAndFlush(10 * GRACE);
    expect([pings(server).length, reasons()]).toEqual([1, []]);
  });

  it('[GIVEUP-3] is pinged past maxInFlight, although the request keeps its place', async () => {
    const { a, b, server, clock, reasons } = await shared('nothing', { maxInFlight: 1 });
    await giveUp(a.client, server);
    const waits = b.client.request('tools/call', { name: 'waits' });
    await clock.advanceAndFlush(GRACE);
    expect(server.received.filter(({ method }) => method === 'tools/call')).toHaveLength(1);
    expect(pings(server)).toHaveLength(1);
    await clock.advanceAndFlush(GRACE);
    expect(reasons()).toEqual(['stuck']);
    // It was never sent, so the next process gets it.
    expect(await waits).toMatchObject({ echo: { name: 'waits' } });
  });

  it.each(['client.close()', 'release()'])('[GIVEUP-3] was given up by %s in the middle of it', async (how) => {
    const { a, b, server, clock, reasons, launcher } = await shared('nothing');
    void a.client.request('tools/call', { name: 'slow' });
    await flush();
    if (how === 'release()') a.lease.release();
    else await a.client.close();
    expect(reasons()).toEqual([]);
    await clock.advanceAndFlush(GRACE);
    expect(pings(server)).toHaveLength(1);
    await clock.advanceAndFlush(GRACE);
    expect(reasons()).toEqual(['stuck']);
    expect(b.lease.pid).toBe(launcher.last.pid);
  });

  it('[GIVEUP-3] is replaced also when no lease is left, so that the next one works', async () => {
    const { a, b, pool, server, clock, launcher, reasons } = await shared('nothing');
    await giveUp(a.client, server);
    a.lease.release();
    b.lease.release();
    await clock.advanceAndFlush(2 * GRACE);
    expect(reasons()).toEqual(['stuck']);
    expect(launcher.living).toEqual([]);
    const next = await connect(pool, 'a');
    expect(await next.client.request('tools/list')).toEqual({});
  });

  it("[GIVEUP-3] ends its leases with onCrash 'close', as a crash does", async () => {
    const { a, b, server, clock } = await shared('nothing', { onCrash: 'close' });
    await giveUp(a.client, server);
    const call = b.client.request('tools/call', { name: 'other' });
    await clock.advanceAndFlush(2 * GRACE);
    expect(await rejection(call)).toMatchObject({ data: { reason: 'SERVER_UNRESPONSIVE' } });
    expect([a.client.closeCount, b.client.closeCount]).toEqual([1, 1]);
  });

  it('[GIVEUP-3] counts for the breaker, as a crash does', async () => {
    const { a, server, clock, emitted } = await shared('nothing', { restart: { maxRestarts: 0 } });
    await giveUp(a.client, server);
    await clock.advanceAndFlush(2 * GRACE);
    expect(emitted.map(({ event }) => event)).toContain('breaker:opened');
  });

  it('[GIVEUP-4] is not suspect because of a request that waited for its turn', async () => {
    const { a, b, server, clock, reasons } = await shared('nothing', { maxInFlight: 1 });
    void b.client.request('tools/call', { name: 'long' });
    void a.client.request('tools/call', { name: 'waits' }, 'waits');
    await flush();
    await a.client.notify('notifications/cancelled', { requestId: 'waits' });
    await clock.advanceAndFlush(3 * GRACE);
    expect([pings(server).length, reasons()]).toEqual([0, []]);
  });

  it('[GIVEUP-3] follows a changed giveUpGrace at once', async () => {
    const { a, pool, server, clock, reasons } = await shared('nothing');
    await pool.updateServer('a', { command: 'fake', sharing: 'shared', giveUpGrace: 10 });
    await giveUp(a.client, server);
    await clock.advanceAndFlush(20);
    expect(reasons()).toEqual(['stuck']);
  });

  it('[GIVEUP-3] is watched while it is being replaced, and what was given up there is not given to the next one', async () => {
    const { a, b, pool, server, clock, launcher, reasons } = await shared('nothing');
    const call = b.client.request('tools/call', { name: 'long' });
    await giveUp(a.client, server);
    const restarted = pool.restart('a');
    await flush();
    expect(launcher.servers).toHaveLength(2);
    await clock.advanceAndFlush(2 * GRACE);
    expect(reasons()).toEqual(['stuck']);
    expect(await rejection(call)).toMatchObject({ data: { reason: 'SERVER_UNRESPONSIVE', retryable: true } });
    await restarted;
    expect(a.lease.pid).toBe(launcher.last.pid);
    expect(launcher.last.received.some(({ method }) => method === 'tools/call')).toBe(false);
    await clock.advanceAndFlush(2 * GRACE);
    expect([pings(launcher.last).length, reasons()]).toEqual([0, ['stuck']]);
  });

  it('[GIVEUP-3] lost with its process by a crash, is no concern of the next one', async () => {
    const { a, server, clock, launcher, reasons } = await shared('nothing');
    await giveUp(a.client, server);
    server.exit({ exitCode: 1 });
    await flush();
    expect(a.lease.pid).toBe(launcher.last.pid);
    await clock.advanceAndFlush(3 * GRACE);
    expect([pings(launcher.last).length, reasons()]).toEqual([0, ['crashed']]);
  });

  it('[GIVEUP-3] is one timer, however many requests are given up', async () => {
    const { a, server, clock } = await shared('nothing');
    const { pending } = clock;
    for (let round = 0; round < 5; round++) await giveUp(a.client, server, round);
    expect(clock.pending).toBe(pending + 1);
    await clock.advanceAndFlush(GRACE);
    expect(pings(server)).toHaveLength(1);
  });
});
