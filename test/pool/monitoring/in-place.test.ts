import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../../src/index.js';
import { RawClient } from '../../helpers/client.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { flush, rejection } from '../../helpers/until.js';

const single = { command: 'fake', sharing: 'shared', maxInstances: 1, memoryLimitMB: 100 } as const;

/** A shared server without room for a second process, and a request that it never answers. */
async function hanging(more: object = {}) {
  const measured = setUpMeasured({ servers: { a: { ...single, ...more } } });
  const { pool, pass, of, launcher, server, clock } = measured;
  const { transport } = await pool.getServer('a');
  const client = await RawClient.connect(transport);
  server(0).onRequest = () => undefined;
  const lost = rejection(client.request('never'));
  /** ms until this is so, by the clock of the pool. */
  const until = async (isSo: () => boolean) => {
    const begin = clock.now();
    while (!isSo() && clock.now() - begin < 120_000) await pass(500);
    return clock.now() - begin;
  };
  const replaced = () => until(() => of('action:taken').length > 0);
  /** How long the server serves no caller. */
  const outage = () => until(() => launcher.servers.length > 1);
  const timeout = async () => {
    const waiting = rejection(pool.getServer('a', { timeout: 1_000 })) as Promise<PoolError>;
    await flush();
    await clock.advance(1_000);
    return waiting;
  };
  return { ...measured, client, lost, replaced, outage, timeout };
}

describe('a shared server without room for a second process, at its limit, while a request hangs', () => {
  it('[INPLACE-1] is back after 5 s when it is far over the limit; only what hangs is lost', async () => {
    const { server, replaced, outage, lost, client } = await hanging();
    server(0).load = { memoryMB: 150 };
    await replaced();
    expect(await outage()).toBeLessThanOrEqual(5_500);
    expect(await lost).toMatchObject({ data: { retryable: true } });
    expect(await client.request('echo', {})).toBeDefined();
  });

  it('[INPLACE-1] just above the limit its requests get 30 s', async () => {
    const { server, replaced, outage } = await hanging();
    server(0).load = { memoryMB: 105 };
    await replaced();
    const time = await outage();
    expect([time > 25_000, time <= 30_500]).toEqual([true, true]);
  });

  it('[INPLACE-1] that is far over it only later gets 5 s from then on, and that is told', async () => {
    const { server, replaced, outage, of, pass } = await hanging();
    server(0).load = { memoryMB: 105 };
    await replaced();
    await pass(2_000);
    server(0).load = { memoryMB: 300 };
    // Far over the limit for most of the short window.
    expect(await outage()).toBeLessThanOrEqual(15_500);
    expect(of('action:taken').map(({ action }) => action)).toEqual(['replace', 'replace']);
  });

  it('[INPLACE-2] a caller whose time is over learns that it is being replaced, and what that waits for', async () => {
    const { server, replaced, timeout } = await hanging();
    server(0).load = { memoryMB: 150 };
    await replaced();
    expect(await timeout()).toMatchObject({
      code: 'ACQUIRE_TIMEOUT',
      message: expect.stringMatching(/is being replaced \(memory-limit\), and has to answer 1 request first; raise/),
    });
  });

  it('[INPLACE-2] or that it is to end, and waits for its lease', async () => {
    const { server, replaced, timeout } = await hanging({ onCrash: 'close' });
    server(0).load = { memoryMB: 105 };
    await replaced();
    expect(await timeout()).toMatchObject({
      message: expect.stringMatching(/is to end \(memory-limit\), and waits for the end of 1 lease; release/),
    });
  });

  it('[INPLACE-2] without a replacement it is the leases that keep it waiting', async () => {
    const { pool, clock } = await hanging({ maxSessions: 1 });
    const waiting = rejection(pool.getServer('a', { timeout: 1_000 }));
    await flush();
    await clock.advance(1_000);
    expect(await waiting).toMatchObject({ message: expect.stringMatching(/all 1 instances \(maxInstances\) have/) });
  });
});
