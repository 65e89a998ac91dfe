import { describe, expect, it } from 'vitest';
import {
  answer,
  answerAll,
  cancel,
  crash,
  failure,
  log,
  named,
  names,
  note,
  progress,
  setLevel,
  shared,
  subscribe,
  unsubscribe,
  updated,
} from '../helpers/shared-server.js';
import { flush, outcome } from '../helpers/until.js';
import { ids, request } from '../helpers/wire.js';

describe('ids and progress of a shared server', () => {
  it('[SHARE-1] [ROUTE-1] gives each answer to the session that asked, under its id, whatever the order', async () => {
    const { a, b, join, sent, says, upstream } = shared();
    const c = join();
    for (const { at } of [a, b, c]) for (const id of [1, '1', '', 0]) await at.send(request(id));
    const wire = await sent();
    expect(new Set(ids(wire)).size).toBe(12);
    expect(upstream.openRequests).toBe(12);
    for (const id of ids(wire).reverse()) await says(answer(id, { for: id }));
    [a, b, c].forEach(({ ear }, index) => {
      const own = ids(wire).slice(index * 4, index * 4 + 4);
      expect(ear.heard).toEqual([0, '', '1', 1].map((id, at) => answer(id, { for: own[3 - at] })));
    });
    expect(upstream.openRequests).toBe(0);
  });

  it('[SHARE-1] [ROUTE-1] tolerates that a session uses an id twice, while another has it, too', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(request(5));
    await b.at.send(request(5));
    await a.at.send(request(5));
    const [first, other, second] = ids(await sent());
    await says(answer(second, 'second'), answer(other, 'other'), answer(first, 'first'));
    expect(a.ear.heard).toEqual([answer(5, 'second'), answer(5, 'first')]);
    expect(b.ear.heard).toEqual([answer(5, 'other')]);
  });

  it('[SHARE-1] passes errors on, and drops answers to nothing and second answers', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(request(1));
    // With a second one open, an error without an id may belong to either.
    await b.at.send(request(1));
    const [id] = ids(await sent());
    await says(answer(99), answer(`${id}x`), failure(null), {
      ...failure(id),
      error: { code: 7, message: 'm', data: 1 },
    });
    await says(answer(id));
    expect(a.ear.heard).toEqual([{ jsonrpc: '2.0', id: 1, error: { code: 7, message: 'm', data: 1 } }]);
    expect(b.ear.heard).toEqual([]);
  });

  it('[SHARE-1] [ROUTE-4] gives progress to the owner of the token only, with the token as it was', async () => {
    const { a, b, sent, says } = shared();
    const tokens = ['t', 7, '7', 0, ''];
    for (const progressToken of tokens) {
      for (const { at } of [a, b]) await at.send(request(1, 'tools/call', { x: 1, _meta: { progressToken, y: 2 } }));
      const [mine, others] = await sent();
      expect(mine?.params).toEqual({ x: 1, _meta: { progressToken: mine?.id, y: 2 } });
      await says(progress(mine?.id), answer(others?.id), progress(others?.id), progress(mine?.id, 2), answer(mine?.id));
      expect(a.ear.take()).toEqual([progress(progressToken), progress(progressToken, 2), answer(1)]);
      expect(b.ear.take()).toEqual([answer(1)]);
    }
  });

  it('[SHARE-1] [ROUTE-4] drops progress of requests without a token, after the answer, and of tokens of no session', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(request(1, 'tools/call', { _meta: {} }));
    await b.at.send(request(1, 'tools/call', { _meta: { progressToken: 't' } }));
    const [plain, with_] = ids(await sent());
    await says(progress(plain), progress('t'), progress(`0${with_}`), note('progress'), answer(with_), progress(with_));
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard).toEqual([answer(1)]);
  });

  it('[SHARE-1] passes cursors, _meta and all of a result through unchanged', async () => {
    const { a, sent, says } = shared();
    const params = { cursor: 'opaque', _meta: { 'example.com/trace': [1, { a: null }] } };
    await a.at.send(request(1, 'resources/list', params));
    const [wire] = await sent();
    expect(wire).toEqual({ ...request(1, 'resources/list', params), id: wire?.id });
    const result = { resources: [{ uri: 'a' }], nextCursor: 'next', _meta: { progressToken: 1 } };
    await says(answer(wire?.id, result));
    expect(a.ear.heard).toEqual([answer(1, result)]);
  });
});

describe('cancellation at a shared server', () => {
  it('[SHARE-1] [ROUTE-3] maps a cancellation to the request of the same session, and drops the late reply', async () => {
    const { a, b, sent, says, hold } = shared();
    for (const { at } of [a, b]) for (const id of [1, '1']) await at.send(request(id));
    const [a1, aText, b1, bText] = ids(await sent());
    await a.at.send(cancel('1'));
    await b.at.send(cancel(1));
    expect(await sent()).toEqual([cancel(aText), cancel(b1)]);
    for (const unknown of ['1', 2, b1, bText, undefined, null]) await a.at.send(cancel(unknown));
    expect(await sent()).toEqual([]);
    await says(answer(aText, 'late'), answer(b1, 'late'), answer(a1), answer(bText));
    expect(a.ear.heard).toEqual([answer(1)]);
    expect(b.ear.heard).toEqual([answer('1')]);
    expect(hold.count).toBe(0);
  });

  it('[SHARE-1] [FLOW-1] forgets a request that waits for its turn, of which the server never hears', async () => {
    const { a, b, sent, says, hold } = shared({ maxInFlight: 1 });
    await a.at.send(named('a1', 'resources/read'));
    const waits = b.at.send(named('b1'));
    await b.at.send(cancel('b1'));
    await flush();
    expect(b.at.openRequests).toBe(0);
    void b.at.send(named('b2'));
    const [first, ...others] = await sent();
    expect(others).toEqual([]);
    await says(answer(first?.id));
    expect(names(await sent())).toEqual(['b2']);
    expect(await outcome(waits)).toBe('resolved');
    expect(b.ear.heard).toEqual([]);
    expect(hold.count).toBe(1);
  });

  it('[SHARE-1] [FLOW-1] gives the place of a request that was cancelled to the next', async () => {
    const { a, b, sent, says } = shared({ maxInFlight: 1 });
    await a.at.send(named('a1', 'resources/read'));
    void b.at.send(named('b1'));
    const [first] = ids(await sent());
    await a.at.send(cancel('a1'));
    const [cancelled, next] = await sent();
    expect(cancelled).toEqual(cancel(first));
    expect(next).toMatchObject({ params: { name: 'b1' } });
    await says(answer(first, 'late'), answer(next?.id));
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard).toEqual([answer('b1')]);
  });

  it('[FLOW-1] lets a server finish what may change something, before it is given another', async () => {
    const { a, b, join, sent, says, hold } = shared({ maxInFlight: 1 });
    const c = join();
    await a.at.send(request('a1', 'tools/call', { _meta: { progressToken: 'p' } }));
    void b.at.send(named('b1'));
    void c.at.send(named('c1'));
    const [first] = ids(await sent());
    await a.at.send(cancel('a1'));
    expect(await sent()).toEqual([]);
    await says(progress(first), answer(first, 'late'));
    expect(a.ear.heard).toEqual([]);
    const [second] = ids(await sent());
    // Also when its session ends.
    b.at.detach();
    expect(await sent()).toEqual([]);
    expect(hold.count).toBe(1);
    await says(answer(second));
    expect(names(await sent())).toEqual(['c1']);
  });

  it('[FLOW-1] gives up waiting for it after a time, and notifies the server', async () => {
    const { a, b, sent, clock, mux, upstream } = shared({ maxInFlight: 1 });
    await a.at.send(named('a1'));
    void b.at.send(named('b1'));
    const [first] = ids(await sent());
    await a.at.send(cancel('a1'));
    clock.advance(59_999);
    expect(await sent()).toEqual([]);
    clock.advance(1);
    const [cancelled, next] = await sent();
    expect(cancelled).toEqual(cancel(first));
    expect(next).toMatchObject({ params: { name: 'b1' } });
    await b.at.send(cancel('b1'));
    expect(clock.pending).toBe(1);
    mux.lose(upstream, crash);
    expect(clock.pending).toBe(0);
  });

  it('[SHARE-1] never cancels initialize, nor what was answered', async () => {
    const { a, sent, says } = shared();
    await a.at.send(request(0, 'initialize', {}));
    await a.at.send(cancel(0));
    await a.at.send(request(1));
    await says(answer(ids(await sent())[0]));
    await a.at.send(cancel(1));
    expect(await sent()).toEqual([]);
    expect(ids(a.ear.heard)).toEqual([0, 1]);
  });
});

describe('a session of a shared server that ends', () => {
  it('[SHARE-4] [SHARE-1] has its requests cancelled, and takes nothing from others', async () => {
    const { a, b, sent, says, hold, upstream } = shared();
    await a.at.send(request(1));
    await b.at.send(request(1, 'tools/call', { _meta: { progressToken: 'b' } }));
    await a.at.send(request(2, 'tools/call', { _meta: { progressToken: 'a' } }));
    const [a1, b1, a2] = ids(await sent());
    a.at.detach();
    expect(await sent()).toEqual(
      [a1, a2].map((id) => note('cancelled', { requestId: id, reason: 'its client is gone' })),
    );
    expect(a.at.openRequests).toBe(0);
    expect(upstream.openRequests).toBe(1);
    await says(progress(a2), progress(b1), answer(a1), answer(b1), answer(a2), note('tools/list_changed'));
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard).toEqual([progress('b'), answer(1), note('tools/list_changed')]);
    expect(hold.count).toBe(0);
    a.at.detach();
    expect(await sent()).toEqual([]);
  });

  it('[SHARE-4] [FLOW-1] takes what waits for its turn with it, so that others are next', async () => {
    const { a, b, sent, says, hold } = shared({ maxInFlight: 1 });
    await a.at.send(named('a1', 'resources/read'));
    const waits = ['a2', 'a3'].map((name) => a.at.send(named(name)));
    waits.push(a.at.send(note('x')));
    void b.at.send(named('b1'));
    const [first] = ids(await sent());
    a.at.detach();
    for (const wait of waits) expect(await outcome(wait)).toBe('resolved');
    const [cancelled, next, ...others] = await sent();
    expect(cancelled).toMatchObject({ params: { requestId: first } });
    expect(next).toMatchObject({ params: { name: 'b1' } });
    expect(others).toEqual([]);
    await says(answer(next?.id));
    expect(await sent()).toEqual([]);
    expect(hold.count).toBe(0);
  });

  it('[SHARE-4] [SHARE-2] gives back what only it had subscribed to, and its log level', async () => {
    const { a, b, sent, says } = shared();
    for (const uri of ['a', 'b', 'c']) await a.at.send(subscribe(uri, uri));
    await b.at.send(subscribe('b', 'b'));
    await a.at.send(setLevel(1, 'debug'));
    await b.at.send(setLevel(1, 'error'));
    for (const { id } of await sent()) await says(answer(id));
    await a.at.send(unsubscribe('d', 'c'));
    for (const { id } of await sent()) await says(answer(id));
    a.ear.take();
    a.at.detach();
    const wire = await sent();
    expect(wire.map(({ method, params }) => [method, params])).toEqual([
      ['resources/unsubscribe', { uri: 'a' }],
      ['logging/setLevel', { level: 'error' }],
    ]);
    await says(...wire.map(({ id }) => answer(id)), updated('a'), updated('b'), log('error'));
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard.slice(-2)).toEqual([updated('b'), log('error')]);
  });

  it('[SHARE-4] [SHARE-2] gives back a subscription that was not answered yet, unless another waits for it, too', async () => {
    const { a, b, sent, says, hold } = shared();
    await a.at.send(subscribe(1, 'a'));
    await a.at.send(subscribe(2, 'b'));
    await b.at.send(subscribe(1, 'b'));
    const [one, two] = ids(await sent());
    a.at.detach();
    expect(await sent()).toEqual([]);
    await says(answer(one), answer(two));
    const wire = await answerAll({ sent, says });
    expect(wire).toMatchObject([{ method: 'resources/unsubscribe', params: { uri: 'a' } }]);
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard).toEqual([answer(1)]);
    expect(hold.count).toBe(0);
  });

  it('[SHARE-4] leaves nothing behind when there is no process, or while it waits to be sent again', async () => {
    const { a, b, start, mux, upstream, hold, sent } = shared();
    await a.at.send(named('again', 'resources/read'));
    await a.at.send(subscribe(1));
    await sent();
    mux.lose(upstream, crash);
    void a.at.send(named('waits'));
    void b.at.send(named('b1'));
    a.at.detach();
    const next = start();
    next.connect();
    expect(names(await next.sent())).toEqual(['b1']);
    expect(a.ear.heard).toEqual([]);
    expect(hold.count).toBe(1);
  });

  it('[SHARE-4] [SHARE-2] takes no level from others when its own is refused after its end', async () => {
    const { a, b, sent, says, join } = shared();
    await b.at.send(setLevel(1, 'error'));
    await answerAll({ sent, says });
    await a.at.send(setLevel(1, 'error'));
    const [wire] = await sent();
    a.at.detach();
    await says(failure(wire?.id));
    // All that are there want errors only.
    const c = join();
    await c.at.send(setLevel(1, 'critical'));
    const levels = (await sent()).filter(({ method }) => method === 'logging/setLevel');
    expect(levels.at(-1)?.params).toEqual({ level: 'error' });
  });
});
