import { describe, expect, it } from 'vitest';
import { answer, answerAll, crash, failure, progress, setLevel, shared, subscribe } from '../helpers/shared-server.js';
import { attach, directOn, Ear, ids, multiplexed, request, wire } from '../helpers/wire.js';

function exclusive() {
  const all = multiplexed({ shared: false });
  const server = all.start();
  server.connect();
  return { ...all, ...server, server, a: attach(all.mux), join: () => attach(all.mux) };
}

/** Parameters of a later version of the protocol. */
const more = { depth: 2, of: { tomorrow: [1, null] } };
const _meta = { traceparent: '00-1-2-03' };

describe('progress tokens', () => {
  it('[ROUTE-10] finds the request of a token that the server echoes as a string: shared and exclusive', async () => {
    for (const { a, sent, says } of [shared(), exclusive()]) {
      await a.at.send(request('id', 'tools/call', { name: 'x', _meta: { progressToken: 7 } }));
      const [call] = await sent();
      await says(progress(String(call?.id)), progress(call?.id, 2));
      expect(a.ear.take()).toEqual([progress(7), progress(7, 2)]);
      // Of a string that is written in another way, nothing says that it means this request.
      for (const token of [
        `0${call?.id}`,
        ` ${call?.id}`,
        `${call?.id}.0`,
        `${call?.id}e0`,
        '',
        'x',
        null,
        [call?.id],
      ]) {
        await says(progress(token));
      }
      await says(answer(call?.id), progress(String(call?.id)));
      expect(a.ear.heard).toEqual([answer('id')]);
    }
  });

  it('[ROUTE-10] finds the task of a token that the server echoes as a string', async () => {
    for (const { a, sent, says } of [shared(), exclusive()]) {
      await a.at.send(request(1, 'tools/call', { name: 'x', task: {}, _meta: { progressToken: 'mine' } }));
      const [call] = await sent();
      await says(answer(call?.id, { task: { taskId: 't', status: 'working' } }));
      a.ear.take();
      await says(progress(String(call?.id)));
      expect(a.ear.heard).toEqual([progress('mine')]);
    }
  });

  it('[ROUTE-10] passes a token unchanged on a dedicated server and in the drop-in', async () => {
    const wires = wire();
    const { routing } = directOn(wires.channel);
    const session = new Ear();
    routing.attach(session);
    await routing.send(request(1, 'tools/call', { _meta: { progressToken: 7 } }));
    expect(await wires.sent()).toMatchObject([{ params: { _meta: { progressToken: 7 } } }]);
    await wires.says(progress('7'));
    expect(session.heard).toEqual([progress('7')]);
  });
});

describe('what a client says beside the URI or the level', () => {
  it('[ROUTE-11] reaches the server: shared and exclusive', async () => {
    for (const { a, sent, says } of [shared(), exclusive()]) {
      await a.at.send(request(1, 'resources/subscribe', { ...more, uri: 'a', _meta }));
      await a.at.send(request(2, 'logging/setLevel', { level: 'error', ...more, _meta }));
      const level = 'error';
      const wire = await answerAll({ sent, says });
      expect(wire.slice(0, 2).map(({ params }) => params)).toMatchObject([
        { uri: 'a', ...more, _meta },
        { ...more, _meta },
      ]);
      // Said once more, it is nothing new.
      await a.at.send(request(3, 'logging/setLevel', { level, ...more }));
      await a.at.send(request(4, 'resources/subscribe', { uri: 'a', ...more }));
      expect(await answerAll({ sent, says })).toEqual([]);
      await a.at.send(request(5, 'resources/unsubscribe', { uri: 'a', _meta, ...more }));
      expect(await answerAll({ sent, says })).toMatchObject([{ params: { uri: 'a', _meta, ...more } }]);
      expect(ids(a.ear.heard)).toEqual([1, 2, 3, 4, 5]);
    }
  });

  it('[ROUTE-11] reaches the server when only that is new, and the latest counts: shared and exclusive', async () => {
    for (const { a, sent, says } of [shared(), exclusive()]) {
      await a.at.send(subscribe(1));
      await a.at.send(setLevel(2, 'error'));
      await answerAll({ sent, says });
      await a.at.send(request(3, 'resources/subscribe', { uri: 'a', depth: 1 }));
      await a.at.send(request(4, 'logging/setLevel', { level: 'error', logger: 'x' }));
      expect(await answerAll({ sent, says })).toMatchObject([
        { method: 'resources/subscribe', params: { uri: 'a', depth: 1 } },
        { method: 'logging/setLevel', params: { logger: 'x' } },
      ]);
    }
  });

  it('[ROUTE-11] a session keeps the subscription that it had when the server refuses another kind of it', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await answerAll({ sent, says });
    await b.at.send(request(1, 'resources/subscribe', { uri: 'a', depth: 1 }));
    await says(failure(ids(await sent())[0]));
    expect(b.ear.take()).toEqual([failure(1)]);
    await says({ method: 'notifications/resources/updated', params: { uri: 'a' } });
    expect([a.ear.heard.length, b.ear.heard.length]).toEqual([2, 0]);
    a.at.detach();
    expect(await sent()).toMatchObject([{ method: 'resources/unsubscribe' }]);
  });

  it('[ROUTE-11] reaches the next process, apart from what concerns one request only', async () => {
    const { a, mux, upstream, start, sent, says } = shared();
    await a.at.send(request(1, 'resources/subscribe', { uri: 'a', ...more, _meta }));
    await a.at.send(request(2, 'logging/setLevel', { level: 'error', ...more, _meta }));
    await answerAll({ sent, says });
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    const params = (await answerAll(next)).map((message) => message.params);
    expect(params).toEqual([
      { level: 'debug', ...more },
      { uri: 'a', ...more },
    ]);
  });

  it('[ROUTE-11] gives the progress of a request that was combined to the session that has caused it', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(request(1, 'resources/subscribe', { uri: 'a', _meta: { progressToken: 'mine' } }));
    const [wire] = await sent();
    expect(wire?.params).toEqual({ uri: 'a', _meta: { progressToken: wire?.id } });
    await says(progress(wire?.id), progress(String(wire?.id), 2), answer(wire?.id), progress(wire?.id, 3));
    expect(a.ear.heard).toEqual([progress('mine'), progress('mine', 2), answer(1)]);
    expect(b.ear.heard).toEqual([]);
  });

  it('[ROUTE-11] [CONN-3] refuses what cannot be written, and has no request open then', async () => {
    const { a, sent, hold } = shared();
    for (const [method, params] of [
      ['resources/subscribe', { uri: 'a', depth: 1n }],
      ['resources/unsubscribe', { uri: 'a', depth: 1n }],
      ['logging/setLevel', { level: 'info', _meta: { depth: 1n } }],
    ] as const) {
      if (method === 'resources/unsubscribe') await a.at.send(subscribe(0));
      await expect(a.at.send(request(1, method, params))).rejects.toMatchObject({
        code: 'INVALID_OPTIONS',
        cause: expect.any(TypeError),
      });
    }
    await sent();
    expect(a.at.openRequests).toBe(1);
    expect(hold.count).toBe(1);
  });
});
