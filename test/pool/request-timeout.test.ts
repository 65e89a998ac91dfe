import { describe, expect, it } from 'vitest';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { connect } from '../helpers/give-up.js';
import { flush, rejection } from '../helpers/until.js';

const idle = { command: 'fake', idleTimeout: Infinity, requestTimeout: 10_000 } as const;

describe.each(['shared', 'exclusive', 'dedicated'] as const)('requestTimeout of a server that is %s', (sharing) => {
  const definition = { ...idle, sharing };

  it('[TIMEOUT-1] cancels a request that is not answered in time, and answers it with a typed error', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: definition } });
    const { client, lease } = await connect(pool, 'a');
    launcher.last.onRequest = ({ method, params }) => (method === 'tools/call' ? undefined : { echo: params });
    const call = client.request('tools/call', { name: 'slow' });
    call.catch(() => {});
    await clock.advanceAndFlush(9_999);
    expect(launcher.last.received.some(({ method }) => method === 'notifications/cancelled')).toBe(false);
    await clock.advanceAndFlush(1);
    const error = (await rejection(call)) as Error;
    expect(error).toMatchObject({
      code: -32_001,
      data: { reason: 'REQUEST_TIMEOUT', retryable: false, mayHaveRun: true },
    });
    expect(error.message).toContain("did not answer tools/call 'slow' within 10000 ms (requestTimeout)");
    const sent = launcher.last.received.find(({ method }) => method === 'tools/call');
    await flush();
    expect(launcher.last.received).toContainEqual(
      expect.objectContaining({
        method: 'notifications/cancelled',
        params: { requestId: sent?.id, reason: 'it was not answered in time' },
      }),
    );
    // A late answer reaches nobody, and the lease goes on.
    launcher.last.answer(sent?.id as number, { late: true });
    await flush();
    expect(await client.request('tools/list', {})).toBeDefined();
    expect(pool.status().servers.a?.instances[0]?.unmatchedAnswers).toBe(0);
    lease.release();
  });

  it('[TIMEOUT-1] leaves alone what is answered, cancelled or released in time', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...definition, giveUpGrace: 600_000 } } });
    const { client, lease } = await connect(pool, 'a');
    await client.request('tools/call', { name: 'x' });
    launcher.last.onRequest = () => undefined;
    void client.request('tools/call', { name: 'y' }, 'y').catch(() => {});
    await flush();
    await client.notify('notifications/cancelled', { requestId: 'y' });
    await clock.advanceAndFlush(60_000);
    expect(launcher.last.received.filter(({ method }) => method === 'notifications/cancelled')).toHaveLength(1);
    void client.request('tools/call', { name: 'z' }).catch(() => {});
    await flush();
    lease.release();
    await clock.advanceAndFlush(60_000);
  });
});

describe('requestTimeout', () => {
  it('[TIMEOUT-1] never cancels the initialize of the client of a dedicated server', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...idle, sharing: 'dedicated' } } },
      { initialize: false },
    );
    const lease = await pool.getServer('a');
    const client = RawClient.connect(lease.transport);
    await clock.advanceAndFlush(600_000);
    expect(launcher.last.received.map(({ method }) => method)).toEqual(['initialize']);
    launcher.last.initialize();
    await client;
  });

  it('[TIMEOUT-1] counts from when a request is written: one that waits for its turn has its whole time', async () => {
    const { pool, launcher, clock } = setUp({
      servers: { a: { ...idle, sharing: 'shared', maxInFlight: 1, giveUpGrace: 600_000 } },
    });
    const { client } = await connect(pool, 'a');
    launcher.last.onRequest = ({ params }) =>
      (params as { name: string }).name === 'first' ? undefined : { done: true };
    const first = client.request('resources/read', { name: 'first' });
    first.catch(() => {});
    const second = client.request('resources/read', { name: 'second' });
    await clock.advanceAndFlush(10_000);
    expect(await rejection(first)).toMatchObject({ code: -32_001 });
    expect(await second).toEqual({ done: true });
  });

  it('[TIMEOUT-2] such a request counts as given up: a process that answers nothing more is replaced', async () => {
    const { pool, launcher, clock, reasons } = setUp({
      servers: { a: { ...idle, sharing: 'shared', giveUpGrace: 1_000 } },
    });
    const { client } = await connect(pool, 'a');
    launcher.last.auto = { ...launcher.last.auto, answer: false };
    const call = client.request('tools/call', { name: 'slow' });
    call.catch(() => {});
    await clock.advanceAndFlush(10_000);
    expect(await rejection(call)).toMatchObject({ code: -32_001 });
    await clock.advanceAndFlush(5_000);
    expect(reasons()).toEqual(['stuck']);
    expect(await client.request('tools/call', { name: 'x' })).toBeDefined();
  });

  it('[TIMEOUT-1] a request that goes to the next process has its whole time there', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...idle, sharing: 'shared' } } });
    const { client } = await connect(pool, 'a');
    const [first] = launcher.servers;
    first!.onRequest = () => undefined;
    const read = client.request('resources/read', { uri: 'x' });
    await clock.advanceAndFlush(9_000);
    launcher.auto = { ...launcher.auto, answer: false };
    first!.exit({ exitCode: 1 });
    await clock.advanceAndFlush(9_000);
    expect(launcher.servers).toHaveLength(2);
    const sent = launcher.last.received.find(({ method }) => method === 'resources/read');
    launcher.last.answer(sent?.id as number, { late: false });
    expect(await read).toEqual({ late: false });
  });

  it('[TIMEOUT-1] a shorter time of another definition counts at once for what is written from then on', async () => {
    const { pool, launcher, clock } = setUp({
      servers: { a: { ...idle, sharing: 'shared', requestTimeout: 600_000 } },
    });
    const { client } = await connect(pool, 'a');
    launcher.last.onRequest = () => undefined;
    client.request('tools/call', { name: 'first' }).catch(() => {});
    await flush();
    await pool.updateServer('a', { ...idle, sharing: 'shared', requestTimeout: 5_000 });
    const call = client.request('tools/call', { name: 'second' });
    call.catch(() => {});
    await clock.advanceAndFlush(5_000);
    expect(await rejection(call)).toMatchObject({ code: -32_001 });
  });

  it('[TIMEOUT-1] a changed definition counts for the requests that are open', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...idle, sharing: 'shared', requestTimeout: 60_000 } } });
    const { client } = await connect(pool, 'a');
    launcher.last.onRequest = () => undefined;
    const call = client.request('tools/call', { name: 'x' });
    await clock.advanceAndFlush(20_000);
    await pool.updateServer('a', { command: 'fake', sharing: 'shared', requestTimeout: Infinity });
    await clock.advanceAndFlush(600_000);
    launcher.last.answer(launcher.last.received.at(-1)?.id as number, { done: true });
    expect(await call).toEqual({ done: true });
  });
});
