import { describe, expect, it } from 'vitest';
import type { JsonRpcMessage } from '../../src/protocol/json-rpc.js';
import { answerAll, answer as answerTo, cancel, crash, methods, note } from '../helpers/shared-server.js';
import { flush } from '../helpers/until.js';
import { attach, ids, type MultiplexedOptions, multiplexed, request } from '../helpers/wire.js';

const initialize = request('init', 'initialize', { protocolVersion: '2025-06-18', capabilities: { roots: {} } });
const answer = (...args: Parameters<typeof answerTo>) => answerTo(...args) as JsonRpcMessage;
const initialized = note('initialized');
const changed = note('roots/list_changed');
const rootsList = (id: string | number) => request(id, 'roots/list', {});

/** An exclusive server that was initialized with roots. */
function exclusive(options: MultiplexedOptions = {}) {
  const clientCapabilities = { roots: { listChanged: true } };
  const all = multiplexed({ shared: false, clientCapabilities, ...options });
  const server = all.start();
  server.connect();
  /** A client, when its handshake is complete. */
  const join = async () => {
    const client = attach(all.mux);
    await client.at.send(initialize);
    await client.at.send(initialized);
    await flush();
    return client;
  };
  return { ...all, ...server, join };
}

describe('what an exclusive server asks', () => {
  it('[EARLY-1] waits for the first client, until that has completed its handshake', async () => {
    const { mux, sent, says, clock } = exclusive();
    await says(rootsList(0), request('s', 'sampling/createMessage'));
    const { ear, at } = attach(mux);
    await at.send(initialize);
    await at.send(request('p', 'ping'));
    await says(rootsList(1));
    expect(methods(ear.take())).toEqual([undefined, undefined]);
    const sending = at.send(initialized);
    expect(ear.heard).toEqual([]);
    await sending;
    await flush();
    expect(ear.heard).toEqual([rootsList(0), request('s', 'sampling/createMessage'), rootsList(1)]);
    await at.send(answer(0, { roots: [] }));
    // Nothing else was sent: the first client's roots are the first that the server gets.
    expect(await sent()).toEqual([answer(0, { roots: [] })]);
    expect(clock.pending).toBe(0);
  });

  it('[EARLY-1] goes to a client that makes no handshake, with its first request', async () => {
    const { mux, sent, says } = exclusive();
    await says(rootsList(0));
    const { ear, at } = attach(mux);
    await at.send(request(1));
    await flush();
    expect(ear.heard).toEqual([rootsList(0)]);
    expect(methods(await sent())).toEqual(['tools/call']);
  });

  it('[EARLY-1] is asked again on each later lease, before anything else of it', async () => {
    const { join, mux, sent, says } = exclusive();
    const first = await join();
    await says(rootsList(0));
    await first.at.send(answer(0, { roots: [] }));
    first.at.detach();
    await sent();
    for (let lease = 0; lease < 3; lease++) {
      const next = attach(mux);
      await next.at.send(initialize);
      expect(await sent()).toEqual([]);
      await next.at.send(initialized);
      await next.at.send(request(1));
      const [notice, ...others] = await sent();
      expect(notice).toEqual(changed);
      expect(methods(others)).toEqual(['tools/call']);
      next.at.detach();
      await sent();
    }
  });

  it('[EARLY-1] sends no notice of changed roots to a server that was initialized without roots', async () => {
    const { join, sent } = exclusive({ clientCapabilities: { sampling: {} } });
    (await join()).at.detach();
    await join();
    expect(await sent()).toEqual([]);
  });

  it.each([{}, { listChanged: false }, { listChanged: 'yes' }, { listChanged: undefined }])(
    '[EARLY-5] gets no notice of changed roots that the pool has not declared, but that of its client: roots: %j',
    async (roots) => {
      const { join, sent, says } = exclusive({ clientCapabilities: { roots } });
      const first = await join();
      await says(rootsList(0));
      await first.at.send(answer(0, { roots: [] }));
      first.at.detach();
      expect(await sent()).toEqual([answer(0, { roots: [] })]);
      const next = await join();
      await next.at.send(note('x'));
      expect(await sent()).toEqual([note('x')]);
      await next.at.send(changed);
      expect(await sent()).toEqual([changed]);
    },
  );

  it('[EARLY-2] waits for a limited time, and in limited number and size; then the first client is asked again', async () => {
    const { join, sent, says, clock } = exclusive();
    await says(rootsList(0));
    clock.advance(60_000);
    expect(await sent()).toMatchObject([{ id: 0, error: { code: -32_601 } }]);
    await says(...Array.from({ length: 101 }, (_, index) => rootsList(index + 1)));
    expect(await sent()).toMatchObject([{ id: 101, error: { code: -32_601 } }]);
    const { ear } = await join();
    expect(ids(ear.heard).length).toBe(101);
    expect(await sent()).toEqual([changed]);
    const big = exclusive();
    await big.says(request(1, 'sampling/createMessage', { text: 'x'.repeat(100_000) }));
    expect(await big.sent()).toMatchObject([{ id: 1, error: { code: -32_601 } }]);
    expect(clock.pending + big.clock.pending).toBe(0);
  });

  it('[EARLY-2] does not wait any more when the server has cancelled it, or is lost, or the client left again', async () => {
    const { mux, join, start, upstream, sent, says, clock } = exclusive({ sessionsStay: true });
    await says(rootsList(0), rootsList(1), cancel(0));
    const gone = attach(mux);
    gone.at.detach();
    expect(await sent()).toMatchObject([{ id: 1, error: { code: -32_601 } }]);
    const next = start();
    next.connect();
    await next.says(rootsList(2));
    mux.lose(next.upstream, crash);
    mux.lose(upstream, crash);
    const last = start();
    last.connect();
    await last.says(rootsList(3), rootsList(4), cancel(3));
    const { ear } = await join();
    expect(ear.heard.filter(({ method }) => method !== undefined)).toEqual([rootsList(4)]);
    expect(clock.pending).toBe(0);
  });

  it('[EARLY-3] ends with its lease, and nothing of one lease goes to the next', async () => {
    const { join, sent, says } = exclusive();
    const first = await join();
    await says(request(0, 'elicitation/create'));
    expect(ids(first.ear.heard)).toContain(0);
    first.at.detach();
    expect(await sent()).toMatchObject([{ id: 0, error: { code: -32_601 } }]);
    // No client is there: this is about what the last client wanted.
    await says(request(1, 'elicitation/create'));
    expect(await sent()).toMatchObject([{ id: 1, error: { code: -32_601 } }]);
    const next = await join();
    expect(methods(next.ear.heard)).toEqual([undefined]);
    await next.at.send(answer(0));
    expect(await sent()).toEqual([changed]);
  });

  it('[EARLY-4] a late answer to a process that is lost does not answer the next process', async () => {
    const { mux, join, start, upstream, says } = exclusive({ sessionsStay: true });
    const { ear, at } = await join();
    ear.take();
    // The SDKs number the requests of each process from 0 on.
    await says(rootsList(0));
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await next.says(request(0, 'elicitation/create'));
    const [asked, cancelled, other] = ear.take();
    expect(asked).toEqual(rootsList(0));
    expect(cancelled).toMatchObject({ method: 'notifications/cancelled', params: { requestId: 0 } });
    expect(other?.method).toBe('elicitation/create');
    expect(other?.id).not.toBe(0);
    await at.send(answer(0, { roots: [] }));
    expect(await next.sent()).toEqual([]);
    await at.send(answer(other?.id, { action: 'accept' }));
    expect(await next.sent()).toEqual([answer(0, { action: 'accept' })]);
    // And a cancellation names the request as its session knows it.
    await next.says(request(1, 'elicitation/create'));
    await answerAll(next);
    await next.says(cancel(1));
    expect(ear.take().at(-1)).toEqual(cancel(1));
  });

  it('[EARLY-4] a cancellation names a request as its session knows it', async () => {
    const { mux, join, start, upstream, says } = exclusive({ sessionsStay: true });
    const { ear } = await join();
    await says(rootsList(0));
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await next.says(rootsList(0));
    const id = ear.take().at(-1)?.id;
    await next.says(cancel(7), cancel(0));
    expect(ear.heard).toEqual([cancel(id)]);
  });
});
