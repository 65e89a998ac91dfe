import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { flush, outcome, rejection } from '../helpers/until.js';
import { attach, ids, initializeResult, type MultiplexedOptions, multiplexed, request } from '../helpers/wire.js';

const crash = new PoolError('SERVER_EXITED', 'it crashed', { exitCode: null, signal: 'SIGKILL' });

/** A shared server with two sessions; more of them can join. */
function shared(options: MultiplexedOptions = {}) {
  const all = multiplexed({ shared: true, ...options });
  const server = all.start();
  server.connect();
  const join = () => attach(all.mux);
  return { ...all, ...server, server, join, a: join(), b: join() };
}

const note = (method: string, params?: object): JsonRpcMessage => ({
  jsonrpc: '2.0',
  method: `notifications/${method}`,
  ...(params && { params }),
});
const cancel = (requestId: unknown) => note('cancelled', { requestId, reason: 'enough' });
const progress = (progressToken: unknown, done = 1) => note('progress', { progressToken, progress: done });
const updated = (uri: string) => note('resources/updated', { uri });
const log = (level: string) => note('message', { level, data: level });
const answer = (id: RequestId | null | undefined, result: unknown = {}) => ({ jsonrpc: '2.0', id, result });
const failure = (id: RequestId | null | undefined, code = -32_000) => ({
  ...{ jsonrpc: '2.0', id },
  error: { code, message: 'no' },
});
const subscribe = (id: RequestId, uri = 'a') => request(id, 'resources/subscribe', { uri });
const unsubscribe = (id: RequestId, uri = 'a') => request(id, 'resources/unsubscribe', { uri });
const setLevel = (id: RequestId, level: string) => request(id, 'logging/setLevel', { level });
const methods = (messages: JsonRpcMessage[]) => messages.map(({ method }) => method);
/** What a request of `named` is told apart by. */
const names = (messages: JsonRpcMessage[]) => messages.map(({ params }) => (params as { name?: string }).name);
const named = (name: string, method = 'tools/call') => request(name, method, { name });
const lost = (id: RequestId, data: object = {}) => ({
  ...{ jsonrpc: '2.0', id },
  error: {
    ...{ code: -32_000, message: 'it crashed' },
    data: {
      ...{ reason: 'SERVER_EXITED', retryable: true, mayHaveRun: true },
      ...{ exitCode: null, signal: 'SIGKILL', ...data },
    },
  },
});

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
    const [id] = ids(await sent());
    await says(answer(99), answer(String(id)), failure(null), {
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

  it('[SHARE-1] [ROUTE-4] drops progress of requests without a token, after the answer, and of tokens of nobody', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(request(1, 'tools/call', { _meta: {} }));
    await b.at.send(request(1, 'tools/call', { _meta: { progressToken: 't' } }));
    const [plain, with_] = ids(await sent());
    await says(
      progress(plain),
      progress('t'),
      progress(String(with_)),
      note('progress'),
      answer(with_),
      progress(with_),
    );
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

  it('[FLOW-1] gives up waiting for it after a time, and tells the server', async () => {
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
    const wire = await sent();
    expect(wire).toMatchObject([{ method: 'resources/unsubscribe', params: { uri: 'a' } }]);
    await says(answer(one), answer(two), answer(wire[0]?.id));
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
    await a.at.send(setLevel(1, 'error'));
    const wire = await sent();
    a.at.detach();
    for (const { id } of wire.slice(0, -1)) await says(answer(id));
    await says(failure(wire.at(-1)?.id));
    await sent();
    // All that are there want errors only.
    const c = join();
    await c.at.send(setLevel(1, 'critical'));
    const told = (await sent()).filter(({ method }) => method === 'logging/setLevel');
    expect(told.at(-1)?.params).toEqual({ level: 'error' });
  });
});

describe('log levels at a shared server', () => {
  it('[SHARE-2] tells the server the most verbose, and each session what it asked for', async () => {
    const { a, b, join, sent, says } = shared();
    const c = join();
    await a.at.send(setLevel(1, 'error'));
    // The others have asked for none, so that they must not miss anything.
    const [first] = await sent();
    expect(first).toMatchObject({ method: 'logging/setLevel', params: { level: 'debug' } });
    expect(a.ear.heard).toEqual([]);
    await says(answer(first?.id));
    expect(a.ear.take()).toEqual([answer(1)]);
    await b.at.send(setLevel(2, 'notice'));
    await c.at.send(setLevel(3, 'emergency'));
    const wire = await sent();
    expect(wire).toMatchObject([{ method: 'logging/setLevel', params: { level: 'notice' } }]);
    await says(answer(wire[0]?.id));
    expect([b.ear.take(), c.ear.take()]).toEqual([[answer(2)], [answer(3)]]);
    await says(...['debug', 'notice', 'error', 'emergency', 'unheard of'].map(log), note('message'));
    const levels = (heard: JsonRpcMessage[]) => heard.map(({ params }) => (params as { level?: string })?.level);
    expect(levels(a.ear.take())).toEqual(['error', 'emergency', 'unheard of', undefined]);
    expect(levels(b.ear.take())).toEqual(['notice', 'error', 'emergency', 'unheard of', undefined]);
    expect(levels(c.ear.take())).toEqual(['emergency', 'unheard of', undefined]);
    const d = join();
    expect(await sent()).toMatchObject([{ params: { level: 'debug' } }]);
    await says(log('debug'));
    expect(d.ear.heard).toEqual([log('debug')]);
    expect([...a.ear.heard, ...b.ear.heard, ...c.ear.heard]).toEqual([]);
  });

  it('[SHARE-2] gives logs to all while nobody has asked for a level, and asks the server for none', async () => {
    const { a, b, join, sent, says } = shared();
    join();
    expect(await sent()).toEqual([]);
    await says(log('debug'));
    expect([a.ear.heard, b.ear.heard]).toEqual([[log('debug')], [log('debug')]]);
  });

  it('[SHARE-2] gives an error of the server to the asker, who keeps the level it had', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(setLevel(1, 'error'));
    await b.at.send(setLevel(1, 'error'));
    for (const { id } of await sent()) await says(answer(id));
    await a.at.send(setLevel(2, 'debug'));
    await says(failure(ids(await sent())[0], -32_603));
    expect(a.ear.take()).toEqual([answer(1), failure(2, -32_603)]);
    await says(log('info'), log('error'));
    expect(a.ear.take()).toEqual([log('error')]);
  });

  it('[SHARE-2] asks the server again for a level that it has refused', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(setLevel(1, 'error'));
    await b.at.send(setLevel(1, 'error'));
    for (const { id } of await sent()) await says(answer(id));
    await a.at.send(setLevel(2, 'debug'));
    await says(failure(ids(await sent())[0]));
    await b.at.send(setLevel(2, 'debug'));
    expect(methods(await sent())).toEqual(['logging/setLevel']);
  });

  it('[SHARE-2] leaves it to the server to refuse a level that there is not, or that it has none', async () => {
    const { a, sent, says } = shared();
    await a.at.send(setLevel(1, 'loud'));
    await a.at.send(request(2, 'logging/setLevel', {}));
    const wire = await sent();
    expect(wire.map(({ params }) => params)).toEqual([{ level: 'loud' }, {}]);
    await says(...wire.map(({ id }) => failure(id, -32_602)), log('debug'));
    expect(a.ear.heard).toEqual([failure(1, -32_602), failure(2, -32_602), log('debug')]);
    const { mux, start } = multiplexed({ shared: true });
    const silent = start({ capabilities: {} });
    silent.connect();
    const only = attach(mux);
    await only.at.send(setLevel(1, 'error'));
    await silent.says(failure(ids(await silent.sent())[0], -32_601));
    await only.at.send(setLevel(2, 'error'));
    await silent.says(failure(ids(await silent.sent())[0], -32_601));
    expect(only.ear.heard).toEqual([failure(1, -32_601), failure(2, -32_601)]);
  });
});

describe('subscriptions at a shared server', () => {
  it('[SHARE-2] tells the server of the first and the last only', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    const [first] = await sent();
    expect(first).toMatchObject({ method: 'resources/subscribe', params: { uri: 'a' } });
    expect(a.ear.heard).toEqual([]);
    await says(answer(first?.id));
    await b.at.send(subscribe(2));
    await a.at.send(subscribe(3));
    await a.at.send(unsubscribe(4));
    await a.at.send(unsubscribe(5));
    expect(await sent()).toEqual([]);
    expect(ids(a.ear.heard)).toEqual([1, 3, 4, 5]);
    expect(b.ear.heard).toEqual([answer(2)]);
    await b.at.send(unsubscribe(6));
    const [last] = await sent();
    expect(last).toMatchObject({ method: 'resources/unsubscribe', params: { uri: 'a' } });
    expect(ids(b.ear.heard)).toEqual([2]);
    await says(failure(last?.id));
    expect(b.ear.heard.at(-1)).toEqual(failure(6));
  });

  it('[SHARE-2] lets a second subscriber wait for the answer to the first', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await b.at.send(subscribe(1));
    const wire = await sent();
    expect(wire).toHaveLength(1);
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
    await says(answer(wire[0]?.id), updated('a'));
    for (const { ear } of [a, b]) expect(ear.heard).toEqual([answer(1), updated('a')]);
  });

  it('[SHARE-2] gives the error that the first gets to those who waited for it, and has no subscriber then', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await b.at.send(subscribe('x'));
    await says(failure(ids(await sent())[0], -32_002), updated('a'));
    expect(a.ear.take()).toEqual([failure(1, -32_002)]);
    expect(b.ear.take()).toEqual([failure('x', -32_002)]);
    await b.at.send(subscribe(2));
    await says(answer(ids(await sent())[0]), updated('a'));
    expect([a.ear.heard, b.ear.heard]).toEqual([[], [answer(2), updated('a')]]);
  });

  it('[SHARE-2] answers the second when the first has cancelled, or is gone, while it waited', async () => {
    for (const end of ['cancel', 'detach'] as const) {
      const { a, b, sent, says } = shared();
      await a.at.send(subscribe(1));
      await b.at.send(subscribe(1));
      const [wire] = ids(await sent());
      if (end === 'cancel') await a.at.send(cancel(1));
      else a.at.detach();
      expect(await sent()).toEqual([]);
      await says(answer(wire), updated('a'));
      expect([a.ear.heard, b.ear.heard]).toEqual([[], [answer(1), updated('a')]]);
    }
  });

  it('[SHARE-2] gives back what its only subscriber cancels', async () => {
    const { a, sent, says, hold } = shared();
    await a.at.send(subscribe(1));
    await a.at.send(cancel(1));
    const wire = await sent();
    expect(methods(wire)).toEqual(['resources/subscribe', 'resources/unsubscribe']);
    await says(...ids(wire).map((id) => answer(id)), updated('a'));
    expect(a.ear.heard).toEqual([]);
    expect(hold.count).toBe(0);
  });

  it('[SHARE-2] keeps a subscription when a second request for it is cancelled', async () => {
    const { a, sent, says } = shared();
    await a.at.send(subscribe(1));
    await a.at.send(subscribe(2));
    await a.at.send(cancel(2));
    for (const { id } of await sent()) await says(answer(id));
    await says(updated('a'));
    expect(a.ear.heard).toEqual([answer(1), updated('a')]);
  });

  it('[SHARE-2] does not mix up the answers when a resource is given back and taken again at once', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await a.at.send(unsubscribe(2));
    await b.at.send(subscribe(3));
    const wire = await sent();
    expect(methods(wire)).toEqual(['resources/subscribe', 'resources/unsubscribe', 'resources/subscribe']);
    const [first, second, third] = ids(wire);
    await says(failure(first), answer(second), answer(third), updated('a'));
    expect(a.ear.heard).toEqual([failure(1), answer(2)]);
    expect(b.ear.heard).toEqual([answer(3), updated('a')]);
  });

  it('[SHARE-2] tells of a resource those who subscribed to it, or to what it is part of', async () => {
    const { a, b, join, sent, says } = shared();
    const c = join();
    await a.at.send(subscribe(1, 'file:///d'));
    await b.at.send(subscribe(1, 'file:///d/'));
    for (const id of ids(await sent())) await says(answer(id));
    for (const { ear } of [a, b]) ear.take();
    const all = ['file:///d/x', 'file:///d', 'file:///dx', 'file:///d?x=1', 'file:///d/e/f', 'file:///'].map(updated);
    await says(...all, note('resources/updated'));
    expect(a.ear.heard).toEqual([all[0], all[1], all[3], all[4]]);
    expect(b.ear.heard).toEqual([all[0], all[4]]);
    expect(c.ear.heard).toEqual([]);
  });

  it('[SHARE-2] tells the subscriber of the whole, also when another has subscribed to the part', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1, 'file:///d'));
    await b.at.send(subscribe(1, 'file:///d/x'));
    for (const id of ids(await sent())) await says(answer(id));
    await says(updated('file:///d/x'));
    for (const { ear } of [a, b]) expect(ear.heard.at(-1)).toEqual(updated('file:///d/x'));
  });

  it('[SHARE-2] leaves it to the server to refuse what is no URI', async () => {
    const { a, sent, says } = shared();
    await a.at.send(request(1, 'resources/subscribe', { uri: 7 }));
    await a.at.send(request(2, 'resources/unsubscribe', {}));
    const wire = await sent();
    expect(wire.map(({ params }) => params)).toEqual([{ uri: 7 }, {}]);
    await says(...ids(wire).map((id) => failure(id)));
    expect(a.ear.heard).toEqual([failure(1), failure(2)]);
  });

  it('[SHARE-2] [FLOW-2] answers a subscriber whose request could not be written', async () => {
    const { a, b, sent, says } = shared({ budget: new WriteBudget(300) });
    const sending = a.at.send(request(1, 'tools/call', { text: 'x'.repeat(400) }));
    const refused = b.at.send(subscribe(1)).catch(() => 'refused');
    await sending;
    for (const { id } of await sent()) await says(answer(id));
    const told = (await outcome(refused)) === 'resolved' && (await refused) === 'refused';
    expect(told || b.ear.heard.length > 0).toBe(true);
    expect(b.at.openRequests).toBe(0);
  });
});

describe('what a shared server says to all', () => {
  it('[SHARE-1] reaches each session once, whether it is known or not', async () => {
    const { a, b, says } = shared();
    const news = [
      ...['tools', 'prompts', 'resources'].map((what) => note(`${what}/list_changed`)),
      ...[note('of/tomorrow', { x: 1 }), { jsonrpc: '2.0', method: 'news' }],
    ];
    await says(...news);
    for (const { ear } of [a, b]) expect(ear.heard).toEqual(news);
    // Of requests that no client was given.
    await says(cancel(1));
    for (const { ear } of [a, b]) expect(ear.heard).toHaveLength(news.length);
  });

  it('[SHARE-1] survives what is shaped in a way that nobody thought of', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    const [wire] = ids(await sent());
    const deep = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`) as unknown;
    await says({ method: 'notifications/resources/updated', params: { uri: { toString: null } } });
    await says({ method: 'notifications/progress' }, { method: 'notifications/tasks/status', params: [] });
    // Deeper than can be copied, or written.
    const nested = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":${'['.repeat(10_000)}${']'.repeat(10_000)}}}`;
    await says(JSON.parse(nested) as object).catch(() => {});
    await says(answer(wire, { deep: deep(100) }), log('error'));
    for (const { ear } of [a, b]) expect(ear.heard.at(-1)).toEqual(log('error'));
    expect(a.ear.heard.find(({ id }) => id === 1)).toMatchObject({ result: {} });
  });

  it('[SHARE-1] is a copy for each: what one client does to it reaches no other', async () => {
    const { a, b, says } = shared();
    for (const message of [note('x', { list: [1] }), log('info'), note('tools/list_changed', { list: [1] })]) {
      await says(message);
      const [heard] = a.ear.take();
      Object.assign(heard?.params as object, { list: 'mine', level: 'mine' });
      Object.assign(heard as object, { method: 'mine' });
      expect(b.ear.take()).toEqual([message]);
    }
  });

  it('[SHARE-1] [ROUTE-5] an initialize result is a copy for each, too', async () => {
    const { a, b, sent } = shared();
    const told = structuredClone(initializeResult);
    for (const { at, ear } of [a, b, a]) {
      await at.send(request(1, 'initialize', { protocolVersion: '2025-11-25' }));
      await flush();
      const result = ear.take()[0]?.result as typeof initializeResult;
      expect(result).toEqual(told);
      result.serverInfo.name = 'mine';
      Object.assign(result.capabilities.resources, { subscribe: false });
    }
    expect(await sent()).toEqual([]);
  });

  it('[SHARE-1] answers of the pool are objects of their own for each', async () => {
    const { a, b, join, sent, says } = shared();
    const c = join();
    for (const { at } of [a, b]) await at.send(subscribe(1));
    await says(answer(ids(await sent())[0]));
    await c.at.send(subscribe(1));
    await flush();
    const results = [a, b, c].map(({ ear }) => ear.heard[0]?.result as object);
    Object.assign(results[0] as object, { mine: true });
    expect(results.slice(1)).toEqual([{}, {}]);
  });

  it('[SHARE-3] [ROUTE-6] asks none of its clients: ping is answered, all else refused', async () => {
    const { a, b, sent, says, hold } = shared({ clientCapabilities: { roots: {}, sampling: {}, elicitation: {} } });
    await says({ id: 'p', method: 'ping' });
    expect(await sent()).toEqual([answer('p')]);
    const asked = ['roots/list', 'sampling/createMessage', 'elicitation/create', 'of/tomorrow'];
    await says(...asked.map((method, id) => ({ id, method })));
    const refusals = await sent();
    expect(refusals).toMatchObject(asked.map((_, id) => ({ id, error: { code: -32_601 } })));
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
    // An answer to what nobody was asked goes nowhere.
    await a.at.send(answer(0, { roots: [] }) as JsonRpcMessage);
    expect(await sent()).toEqual([]);
    for (const { at } of [a, b]) at.detach();
    await says({ id: 'r', method: 'roots/list' }, { id: 0, method: 'ping' });
    expect(await sent()).toMatchObject([{ id: 'r', error: { code: -32_601 } }, answer(0)]);
    expect(hold.count).toBe(0);
  });
});

describe('what a shared server need not be asked', () => {
  it('[SHARE-1] [ROUTE-5] [ROUTE-6] initialize, initialized, ping and server/discover of every session', async () => {
    const { join, sent, hold } = shared();
    for (const [asked, told] of [
      ['2024-11-05', '2024-11-05'],
      ['2025-11-25', '2025-06-18'],
      [undefined, '2025-06-18'],
    ]) {
      const { at, ear } = join();
      await at.send(request('d', 'server/discover', {}));
      await at.send(request(0, 'initialize', { protocolVersion: asked }));
      await at.send(note('initialized'));
      await at.send(request('p', 'ping'));
      await flush();
      expect(ear.heard).toMatchObject([
        { id: 'd', error: { code: -32_601 } },
        answer(0, { ...initializeResult, protocolVersion: told }),
        answer('p'),
      ]);
    }
    expect(await sent()).toEqual([]);
    expect(hold.count).toBe(0);
  });

  it('[SHARE-1] [FAIL-1] nor while there is no process', async () => {
    const { a, mux, upstream } = shared();
    mux.lose(upstream, crash);
    await a.at.send(request(0, 'initialize', {}));
    await a.at.send(request(1, 'ping'));
    await flush();
    expect(a.ear.heard).toEqual([answer(0, initializeResult), answer(1)]);
  });

  it('[SHARE-3] tells which capabilities a client counts on in vain, once for each initialize', async () => {
    const { a, b, told } = shared({ clientCapabilities: { roots: {} } });
    await a.at.send(request(1, 'initialize', { capabilities: { experimental: {} } }));
    await b.at.send(request(1, 'initialize'));
    expect(told.undeclared).toEqual([]);
    await a.at.send(request(1, 'initialize', { capabilities: { sampling: {}, roots: {}, elicitation: {} } }));
    expect(told.undeclared).toEqual(['roots', 'sampling', 'elicitation']);
  });

  it('[SHARE-1] keeps roots/list_changed of one client from the server, and passes other notifications on', async () => {
    const { a, b, sent } = shared();
    await a.at.send(note('roots/list_changed'));
    await b.at.send(note('of/tomorrow', { x: [1] }));
    expect(await sent()).toEqual([note('of/tomorrow', { x: [1] })]);
  });
});

describe('tasks of a shared server', () => {
  const begin = (id: RequestId, progressToken?: RequestId) =>
    request(id, 'tools/call', {
      name: 'x',
      task: {},
      ...(progressToken !== undefined && { _meta: { progressToken } }),
    });
  const task = (taskId: string, status = 'working') => ({ task: { taskId, status } });
  const status = (taskId: string, state: string) => note('tasks/status', { taskId, status: state });
  const ask = (id: RequestId, method: string, taskId: unknown) => request(id, `tasks/${method}`, { taskId });

  async function withTasks() {
    const all = shared();
    await all.a.at.send(begin(1, 'pa'));
    await all.b.at.send(begin(1, 'pb'));
    const [ofA, ofB] = ids(await all.sent());
    await all.says(answer(ofA, task('ta')), answer(ofB, task('tb')));
    for (const { ear } of [all.a, all.b]) ear.take();
    return { ...all, ofA, ofB };
  }

  it('[SHARE-3] are seen by their own session only; a foreign id is as unknown as any', async () => {
    const { a, b, sent, says } = await withTasks();
    for (const method of ['get', 'result', 'cancel']) {
      for (const taskId of ['tb', 'none', undefined, 1]) await a.at.send(ask(method, method, taskId));
      expect(await sent()).toEqual([]);
      const heard = a.ear.take();
      expect(heard).toHaveLength(4);
      for (const message of heard) expect(message).toEqual({ ...heard[0], id: method });
      expect(heard[0]).toMatchObject({ error: { code: -32_602 } });
      await b.at.send(ask(7, method, 'tb'));
      const [wire] = await sent();
      expect(wire).toMatchObject({ method: `tasks/${method}`, params: { taskId: 'tb' } });
      await says(answer(wire?.id, { taskId: 'tb' }));
      expect(b.ear.take()).toEqual([answer(7, { taskId: 'tb' })]);
    }
  });

  it('[SHARE-3] are listed for their own session only, page by page', async () => {
    const { a, b, sent, says } = await withTasks();
    for (const { at } of [a, b]) await at.send(request('l', 'tasks/list', { cursor: 'c' }));
    const wire = await sent();
    expect(wire[0]?.params).toEqual({ cursor: 'c' });
    const tasks = ['tb', 'ta', 'of nobody'].map((taskId) => ({ taskId, ttl: 1 }));
    for (const { id } of wire) await says(answer(id, { tasks, nextCursor: 'd' }));
    expect(a.ear.take()).toEqual([answer('l', { tasks: [{ taskId: 'ta', ttl: 1 }], nextCursor: 'd' })]);
    expect(b.ear.take()).toEqual([answer('l', { tasks: [{ taskId: 'tb', ttl: 1 }], nextCursor: 'd' })]);
    await a.at.send(request('e', 'tasks/list', {}));
    await says(failure(ids(await sent())[0]));
    expect(a.ear.take()).toEqual([failure('e')]);
  });

  it('[SHARE-3] [SHARE-1] tell state and progress to their own session, until they are over', async () => {
    const { a, b, says, ofA, ofB } = await withTasks();
    await says(progress(ofA), status('ta', 'input_required'), status('tb', 'failed'), progress(ofB), progress(ofA, 2));
    await says(status('ta', 'completed'), progress(ofA, 3), status('none', 'working'));
    expect(a.ear.heard).toEqual([
      ...[progress('pa'), status('ta', 'input_required'), progress('pa', 2)],
      status('ta', 'completed'),
    ]);
    expect(b.ear.heard).toEqual([status('tb', 'failed')]);
  });

  it('[SHARE-4] [SHARE-3] are cancelled with their session, and nobody’s then', async () => {
    const { a, b, sent, says, ofA } = await withTasks();
    a.at.detach();
    const wire = await sent();
    expect(wire).toMatchObject([{ method: 'tasks/cancel', params: { taskId: 'ta' } }]);
    await says(answer(wire[0]?.id), status('ta', 'cancelled'), progress(ofA));
    await b.at.send(ask(1, 'get', 'ta'));
    await flush();
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard).toMatchObject([{ id: 1, error: { code: -32_602 } }]);
  });

  it('[SHARE-3] [FAIL-2] are gone with their process, so that the next may give their ids again', async () => {
    const { a, b, mux, upstream, start } = await withTasks();
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await a.at.send(ask(1, 'get', 'ta'));
    await flush();
    expect(a.ear.take()).toMatchObject([{ id: 1, error: { code: -32_602 } }]);
    await b.at.send(begin(2));
    await next.says(answer(ids(await next.sent())[0], task('ta')));
    await b.at.send(ask(3, 'get', 'ta'));
    expect(methods(await next.sent())).toEqual(['tasks/get']);
  });

  it('[SHARE-3] [FAIL-3] a task that a replaced process begins gives no right to one of the next', async () => {
    const { a, b, sent, says, start } = shared();
    await a.at.send(begin(1));
    const [late] = ids(await sent());
    const next = start();
    next.connect();
    await says(answer(late, task('task-1')));
    await b.at.send(begin(1));
    await next.says(answer(ids(await next.sent())[0], task('task-1')));
    await a.at.send(ask(2, 'get', 'task-1'));
    expect(await next.sent()).toEqual([]);
    await b.at.send(ask(2, 'get', 'task-1'));
    expect(methods(await next.sent())).toEqual(['tasks/get']);
  });
});

describe('the turns of the sessions of a shared server', () => {
  /** Answers one request after the other, and says in which order they came. */
  async function serve({ sent, says }: Pick<ReturnType<typeof shared>, 'sent' | 'says'>) {
    const order: (string | undefined)[] = [];
    for (let wire = await sent(); wire.length > 0; wire = await sent()) {
      order.push(...names(wire));
      await says(...ids(wire).map((id) => answer(id)));
    }
    return order;
  }

  it('[FLOW-1] has no more than maxInFlight requests under way', async () => {
    const all = shared({ maxInFlight: 2 });
    const { a, b, sent, says, upstream } = all;
    for (const { at } of [a, b]) for (let id = 0; id < 5; id++) void at.send(request(id));
    const wire = await sent();
    expect(wire).toHaveLength(2);
    await says(answer(wire[1]?.id));
    expect(await sent()).toHaveLength(1);
    expect(upstream.openRequests).toBe(2);
    await says(failure(wire[0]?.id));
    expect(upstream.openRequests).toBe(2);
  });

  it('[FLOW-1] [FLOW-2] serves a session with one request before the 50 of another', async () => {
    const all = shared({ maxInFlight: 1 });
    const { a, b, join, hold } = all;
    const c = join();
    for (let index = 0; index < 51; index++) void a.at.send(named(`a${index}`));
    void b.at.send(named('b0'));
    for (let index = 0; index < 3; index++) void c.at.send(named(`c${index}`));
    const order = await serve(all);
    expect(order.slice(0, 8)).toEqual(['a0', 'a1', 'b0', 'c0', 'a2', 'c1', 'a3', 'c2']);
    expect(order.filter((name) => name?.startsWith('a'))).toEqual(
      Array.from({ length: 51 }, (_, index) => `a${index}`),
    );
    expect(ids(a.ear.heard)).toHaveLength(51);
    expect(hold.count).toBe(0);
  });

  it('[FLOW-1] gives no turn to a session that asks again from within the answer, before those who wait', async () => {
    const { mux, b, sent, says } = shared({ maxInFlight: 1 });
    const at = mux.attach({ receive: () => void at.send(named('again')) });
    await at.send(named('first'));
    void b.at.send(named('b'));
    await says(answer(ids(await sent())[0]));
    expect(names(await sent())).toEqual(['b']);
  });

  it('[FLOW-1] keeps the order of a session: a notification is not written before a request that waits', async () => {
    const { a, b, sent, says } = shared({ maxInFlight: 1 });
    await a.at.send(named('a0'));
    const waits = [named('a1'), note('x', { name: 'ax' }), named('a2'), note('y', { name: 'ay' })].map((message) =>
      a.at.send(message),
    );
    // One that has nothing waiting is held back by nobody.
    await b.at.send(note('z', { name: 'bz' }));
    const wire = await sent();
    expect(names(wire)).toEqual(['a0', 'bz']);
    expect(await outcome(waits[1] as Promise<void>)).toBe('pending');
    await says(answer(wire[0]?.id));
    const [a1, ...none] = await sent();
    expect([a1?.params, none]).toEqual([{ name: 'a1' }, []]);
    await says(answer(a1?.id));
    const [ax, a2, ...rest] = await sent();
    expect(names([ax, a2] as JsonRpcMessage[])).toEqual(['ax', 'a2']);
    expect(rest).toEqual([]);
    await says(answer(a2?.id));
    expect(names(await sent())).toEqual(['ay']);
    for (const wait of waits) expect(await outcome(wait)).toBe('resolved');
  });

  it('[FLOW-2] refuses a session that has a quarter of the buffer waiting, and serves the others', async () => {
    const all = shared({ maxInFlight: 1, budget: new WriteBudget(4_000) });
    const { a, b, says, sent, hold } = all;
    await b.at.send(named('first'));
    const [first] = ids(await sent());
    const text = 'x'.repeat(400);
    const big = (name: string) => request(name, 'tools/call', { name, text });
    const waits = ['a0', 'a1'].map((name) => a.at.send(big(name)));
    expect(await rejection(a.at.send(big('a2')))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(await rejection(a.at.send(note('x', { text })))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(a.at.openRequests).toBe(2);
    void b.at.send(big('b0'));
    await says(answer(first));
    expect(await serve(all)).toEqual(['a0', 'b0', 'a1']);
    for (const wait of waits) await wait;
    // What was written counts no more.
    await b.at.send(named('next'));
    for (const name of ['a3', 'a4']) void a.at.send(big(name));
    await says(answer(ids(await sent())[0]));
    expect(await serve(all)).toEqual(['a3', 'a4']);
    expect(ids(a.ear.heard)).toEqual(['a0', 'a1', 'a3', 'a4']);
    expect(hold.count).toBe(0);
  });

  it('[FLOW-2] [ROUTE-3] counts no request as waiting that was cancelled', async () => {
    const { a, b, sent } = shared({ maxInFlight: 1, budget: new WriteBudget(4_000) });
    await b.at.send(named('first'));
    await sent();
    const text = 'x'.repeat(900);
    void a.at.send(request(1, 'tools/call', { text }));
    await a.at.send(cancel(1));
    expect(await outcome(a.at.send(request(2, 'tools/call', { text })))).toBe('pending');
  });

  it('[FLOW-2] [CONN-4] refuses a notification that finds the buffer full', async () => {
    const { a, b, sent } = shared({ budget: new WriteBudget(1_000) });
    const text = 'x'.repeat(900);
    void a.at.send(request(1, 'tools/call', { text }));
    const sending = outcome(b.at.send(note('x', { text })));
    expect(methods(await sent())).toEqual(['tools/call']);
    expect(await sending).toBe('rejected');
  });

  it('[FLOW-2] takes one message of a session that is larger than its part, and bounds all of them together', async () => {
    const all = shared({ maxInFlight: 1, budget: new WriteBudget(4_000) });
    const { a, b, join, sent } = all;
    await a.at.send(named('first'));
    await sent();
    const text = 'x'.repeat(1_200);
    const waits = [
      a.at.send(request(1, 'tools/call', { text })),
      b.at.send(request(1, 'tools/call', { text: 'x'.repeat(300) })),
    ];
    for (const wait of waits) expect(await outcome(wait)).toBe('pending');
    const c = join();
    // Half of what may wait is for the sessions of one server.
    expect(await rejection(c.at.send(request(1, 'tools/call', { text })))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(c.at.openRequests).toBe(0);
    // A session that ends gives its part back.
    a.at.detach();
    void c.at.send(request(2, 'tools/call', { text })).catch(() => {});
    expect(c.at.openRequests).toBe(1);
  });

  it('[FLOW-1] what sessions want of the server for themselves takes turns, and a place', async () => {
    const { a, b, sent, says } = shared({ maxInFlight: 1 });
    for (let uri = 0; uri < 50; uri++) await a.at.send(subscribe(uri, `u${uri}`));
    await a.at.send(setLevel('level', 'error'));
    void b.at.send(named('b1'));
    const served: (string | undefined)[] = [];
    for (let wire = await sent(); wire.length > 0; wire = await sent()) {
      expect(wire).toHaveLength(1);
      served.push(wire[0]?.method);
      await says(answer(wire[0]?.id));
    }
    expect(served).toHaveLength(52);
    expect(served.indexOf('tools/call')).toBeLessThan(4);
    expect(a.ear.heard).toHaveLength(51);
    expect(b.ear.heard).toEqual([answer('b1')]);
  });

  it('[FAIL-1] [FAIL-2] what they want of a process that is lost before its turn is told to the next', async () => {
    const { a, mux, upstream, sent, start, hold } = shared({ maxInFlight: 1 });
    for (const uri of ['x', 'y']) await a.at.send(subscribe(uri, uri));
    expect(await sent()).toHaveLength(1);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    const wire = await next.sent();
    expect(wire.map(({ params }) => params)).toEqual([{ uri: 'x' }, { uri: 'y' }]);
    await next.says(...ids(wire).map((id) => answer(id)));
    expect(ids(a.ear.heard)).toEqual(['x', 'y']);
    expect(hold.count).toBe(0);
  });

  it('[FLOW-2] lets go of what was cancelled while it waits, and of sessions that are gone', async () => {
    const { a, b, mux, sent } = shared({ maxInFlight: 1, budget: new WriteBudget(64_000_000) });
    await b.at.send(named('first'));
    await sent();
    const text = 'x'.repeat(1_000_000);
    for (let id = 0; id < 200; id++) {
      void a.at.send(request(id, 'tools/call', { text }));
      await a.at.send(cancel(id));
    }
    for (let wave = 0; wave < 200; wave++) {
      const { at } = attach(mux);
      void at.send(named('waits'));
      at.detach();
    }
    expect(a.at.openRequests).toBe(0);
    expect(await outcome(a.at.send(named('last')))).toBe('pending');
  });

  it('[ROUTE-1] what is done to a message after it was sent changes nothing', async () => {
    for (const maxInFlight of [Infinity, 1]) {
      const { a, mux, upstream, sent, says, start } = shared({ maxInFlight });
      const reused = { ...request(1, 'resources/read', { uri: 'r1' }) } as { id: number; params: { uri: string } };
      for (const id of [1, 2, 3]) {
        Object.assign(reused, { id, method: 'resources/read', params: { uri: `r${id}` } });
        void a.at.send(reused as unknown as JsonRpcMessage);
      }
      Object.assign(reused, { method: 'tools/call' });
      reused.params.uri = 'changed';
      for (let wire = await sent(); wire.length > 0 && maxInFlight < Infinity; wire = await sent()) {
        await says(...wire.map(({ id, params }) => answer(id, params)));
      }
      if (maxInFlight === Infinity) {
        mux.lose(upstream, crash);
        const next = start();
        next.connect();
        const wire = await next.sent();
        await next.says(...wire.map(({ id, params }) => answer(id, params)));
      }
      expect(a.ear.heard).toEqual([1, 2, 3].map((id) => answer(id, { uri: `r${id}` })));
    }
  });

  it('[FLOW-2] has no more than 100,000 open requests of one session', async () => {
    const { a, b } = shared({ budget: new WriteBudget(64_000_000) });
    for (let id = 0; id < 100_000; id++) void a.at.send(request(id));
    expect(await rejection(a.at.send(request('more')))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(a.at.openRequests).toBe(100_000);
    void b.at.send(request(1));
    expect(b.at.openRequests).toBe(1);
    await flush();
  });

  it('[FLOW-2] has no more than that of one session that waits for the answer to another', async () => {
    const { a, b } = shared();
    await b.at.send(subscribe(1));
    for (let id = 0; id < 100_000; id++) void a.at.send(subscribe(id));
    expect(await outcome(a.at.send(subscribe('more')))).toBe('rejected');
  });

  it('[FLOW-2] has nothing open of a session that sent what is no JSON', async () => {
    const { a, sent, hold, mux, upstream } = shared();
    await rejection(a.at.send(request(1, 'tools/call', { big: 1n })));
    mux.lose(upstream, crash);
    await rejection(a.at.send(request(2, 'tools/call', { big: 1n })));
    await rejection(a.at.send(note('x', { big: 1n })));
    expect(await sent()).toEqual([]);
    expect(hold.count).toBe(0);
  });

  it('[FLOW-1] lets requests wait while the server does not read, and not for ever', async () => {
    const { a, b, sent, says, stdin, upstream } = shared({ budget: new WriteBudget(64_000_000) });
    stdin.pause();
    const big = a.at.send(request(1, 'tools/call', { text: 'x'.repeat(5_000_000) }));
    expect(upstream.hasRoom).toBe(false);
    const small = b.at.send(named('b'));
    expect(await outcome(small)).toBe('pending');
    expect(upstream.openRequests).toBe(1);
    stdin.resume();
    await Promise.all([big, small]);
    const wire = await sent();
    expect(wire).toHaveLength(2);
    await says(...ids(wire).map((id) => answer(id)));
    expect(ids(b.ear.heard)).toEqual(['b']);
  });

  it('[SHARE-1] [GUEST-2] holds the host open exactly while something is open', async () => {
    const { a, b, sent, says, hold, mux, start, upstream } = shared({ maxInFlight: 1 });
    const open = () => hold.count;
    await a.at.send(note('x'));
    await a.at.send(request('p', 'ping'));
    expect(open()).toBe(0);
    await a.at.send(request(1, 'resources/read'));
    void b.at.send(request(1));
    void b.at.send(subscribe(2));
    await says(answer(ids(await sent())[1]));
    expect(open()).toBe(1);
    mux.lose(upstream, crash);
    await a.at.send(cancel(1));
    expect(open()).toBe(1);
    const next = start();
    next.connect();
    for (let wire = await next.sent(); wire.length > 0; wire = await next.sent()) {
      expect(open()).toBe(1);
      await next.says(...ids(wire).map((id) => answer(id)));
    }
    expect(open()).toBe(0);
    expect(ids(b.ear.heard).sort()).toEqual([1, 2]);
  });
});

describe('a shared server whose process is lost', () => {
  const tools = (...list: object[]) => ({ tools: list });
  const tool = (name: string, annotations?: object) => ({ name, inputSchema: {}, ...(annotations && { annotations }) });

  it('[FAIL-1] sends what is safe to repeat to the next process, before newer requests of the session', async () => {
    const { a, b, mux, upstream, start, sent, hold } = shared();
    await a.at.send(named('a1', 'resources/read'));
    await b.at.send(request('b1', 'prompts/list', { name: 'b1', _meta: { progressToken: 'p' } }));
    await a.at.send(named('a2', 'tools/list'));
    await sent();
    mux.lose(upstream, crash);
    const waits = [a.at.send(named('a3')), a.at.send(note('x', { name: 'a4' })), b.at.send(named('b2'))];
    for (const wait of waits) expect(await outcome(wait)).toBe('pending');
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
    const next = start();
    next.connect();
    const wire = await next.sent();
    expect(names(wire).filter((name) => name?.startsWith('a'))).toEqual(['a1', 'a2', 'a3', 'a4']);
    expect(names(wire).filter((name) => name?.startsWith('b'))).toEqual(['b1', 'b2']);
    for (const wait of waits) expect(await outcome(wait)).toBe('resolved');
    const repeated = wire.find(({ method }) => method === 'prompts/list');
    await next.says(progress(repeated?.id), ...ids(wire).map((id) => answer(id)));
    expect(ids(a.ear.heard)).toEqual(['a1', 'a2', 'a3']);
    expect(b.ear.heard).toEqual([progress('p'), answer('b1'), answer('b2')]);
    expect(hold.count).toBe(0);
  });

  it('[FAIL-1] [ROUTE-8] answers all else at once, with why, and whether it may have run', async () => {
    const { a, b, mux, upstream, start, sent } = shared({ maxInFlight: 2 });
    await a.at.send(named('call'));
    await b.at.send(named('read', 'resources/read'));
    void b.at.send(named('waits'));
    await sent();
    mux.lose(upstream, crash);
    expect(a.ear.take()).toEqual([lost('call')]);
    expect(b.ear.heard).toEqual([]);
    const next = start();
    next.connect();
    // It was never written, so that it is not repeated now.
    const wire = await next.sent();
    expect(names(wire)).toEqual(['read', 'waits']);
    mux.lose(next.upstream, crash);
    expect(b.ear.take()).toEqual([lost('read'), lost('waits')]);
  });

  it('[FAIL-1] refuses a request that was lost twice, and one that is still to be repeated when its lease ends', async () => {
    const { a, b, mux, upstream, start, hold } = shared();
    await a.at.send(named('once', 'resources/read'));
    await b.at.send(named('never', 'resources/read'));
    mux.lose(upstream, crash);
    void b.at.send(named('unsent', 'resources/read'));
    void b.at.send(subscribe('s'));
    const told = b.at.send(note('never'));
    b.at.fail(crash);
    expect(await outcome(told)).toBe('resolved');
    expect(b.ear.take()).toEqual([
      lost('never'),
      lost('unsent', { mayHaveRun: false }),
      lost('s', { retryable: false, mayHaveRun: false }),
    ]);
    const second = start();
    second.connect();
    expect(methods(await second.sent()).sort()).toEqual(['resources/read', 'resources/subscribe']);
    mux.lose(second.upstream, crash);
    expect(a.ear.take()).toEqual([lost('once')]);
    const third = start();
    third.connect();
    expect(methods(await third.sent())).not.toContain('resources/read');
    expect(hold.count).toBe(0);
  });

  it('[FAIL-1] [FLOW-1] keeps to maxInFlight and to the turns with what is repeated', async () => {
    const { a, b, mux, upstream, start } = shared({ maxInFlight: 3 });
    for (const name of ['a1', 'a2', 'a3']) await a.at.send(named(name, 'resources/read'));
    for (const name of ['b1', 'b2']) void b.at.send(named(name));
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    const order: (string | undefined)[] = [];
    for (let wire = await next.sent(); wire.length > 0; wire = await next.sent()) {
      expect(next.upstream.openRequests).toBeLessThanOrEqual(3);
      order.push(...names(wire));
      await next.says(answer(wire[0]?.id), ...ids(wire.slice(1)).map((id) => answer(id)));
    }
    expect(order.slice(0, 4).sort()).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(order.filter((name) => name?.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
  });

  it('[FAIL-1] hears no late word of the process that was lost', async () => {
    const { a, b, mux, upstream, start, sent, says } = shared();
    await a.at.send(request(1, 'resources/read', { _meta: { progressToken: 'p' } }));
    const [late] = ids(await sent());
    mux.lose(upstream, crash);
    await says(answer(late, 'late'), progress(late), note('tools/list_changed'), updated('a'));
    const next = start();
    next.connect();
    await says(answer(late, 'late'), progress(late), note('tools/list_changed'));
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
    await next.says(answer(ids(await next.sent())[0], 'right'));
    expect(a.ear.heard).toEqual([answer(1, 'right')]);
  });

  it('[FAIL-1] cancels what waits to be sent again, of which the next process never hears', async () => {
    const { a, mux, upstream, start, sent } = shared();
    await a.at.send(named('x', 'resources/read'));
    await sent();
    mux.lose(upstream, crash);
    await a.at.send(cancel('x'));
    const next = start();
    next.connect();
    expect(await next.sent()).toEqual([]);
    await a.at.send(named('y', 'resources/read'));
    await a.at.send(cancel('y'));
    const [y, cancelled] = await next.sent();
    expect(cancelled).toEqual(cancel(y?.id));
    expect(a.ear.heard).toEqual([]);
  });

  it('[FAIL-1] repeats tools only if told to, and only those that the server calls safe', async () => {
    for (const retryTools of ['never', 'annotated'] as const) {
      const { a, mux, upstream, start, sent, says } = shared({ retryTools });
      await a.at.send(request('list', 'tools/list', {}));
      const safe = [tool('reads', { readOnlyHint: true }), tool('puts', { idempotentHint: true })];
      const unsafe = [tool('writes', { readOnlyHint: false }), tool('plain')];
      await says(answer(ids(await sent())[0], tools(...safe, ...unsafe)));
      a.ear.take();
      for (const name of ['reads', 'puts', 'writes', 'plain', 'unknown']) await a.at.send(named(name));
      await a.at.send(request('task', 'tools/call', { name: 'reads', task: {} }));
      await sent();
      mux.lose(upstream, crash);
      const all = ['reads', 'puts', 'writes', 'plain', 'unknown', 'task'];
      const repeated = retryTools === 'annotated' ? ['reads', 'puts'] : [];
      expect(a.ear.heard).toEqual(all.filter((name) => !repeated.includes(name)).map((name) => lost(name)));
      const next = start();
      next.connect();
      const wire = await next.sent();
      expect(names(wire.filter(({ method }) => method === 'tools/call'))).toEqual(repeated);
    }
  });

  it('[FAIL-1] lets a request wait that comes when a pipe is broken, before the loss is known', async () => {
    const { a, mux, upstream, start, stdin } = shared();
    stdin.destroy();
    await a.at.send(note('x'));
    await flush();
    // As the instance does when its connection breaks: what is sent to that would be refused.
    mux.suspend(upstream);
    const sending = a.at.send(named('a'));
    expect(await outcome(sending)).toBe('pending');
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    expect(names(await next.sent())).toEqual(['a']);
    expect(await outcome(sending)).toBe('resolved');
  });

  it('[FAIL-1] repeats what could not be written any more', async () => {
    const { a, mux, upstream, start, stdin } = shared();
    await flush();
    stdin.destroy();
    const sending = a.at.send(named('a', 'resources/read'));
    expect(await outcome(sending)).toBe('resolved');
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    expect(names(await next.sent())).toEqual(['a']);
    expect(a.ear.heard).toEqual([]);
  });

  it('[FAIL-2] tells the next process the log level and the subscriptions before any request', async () => {
    const { a, b, mux, upstream, start, sent, says, join } = shared();
    await a.at.send(setLevel(1, 'error'));
    await b.at.send(setLevel(1, 'notice'));
    await a.at.send(subscribe(2, 'a'));
    await b.at.send(subscribe(2, 'a'));
    await b.at.send(subscribe(3, 'b'));
    await b.at.send(subscribe(4, 'c'));
    for (const id of ids(await sent())) await says(answer(id));
    await a.at.send(named('again', 'resources/read'));
    await sent();
    for (const { ear } of [a, b]) ear.take();
    mux.lose(upstream, crash);
    // What is asked of nobody takes effect all the same.
    await b.at.send(unsubscribe(5, 'c'));
    await b.at.send(setLevel(5, 'warning'));
    await a.at.send(subscribe(5, 'd'));
    await flush();
    expect(b.ear.take()).toEqual([answer(5), answer(5)]);
    expect(a.ear.heard).toEqual([]);
    const next = start();
    next.connect();
    const wire = await next.sent();
    expect(wire.map(({ method, params }) => [method, params])).toEqual([
      ['logging/setLevel', { level: 'warning' }],
      ...['a', 'b', 'd'].map((uri) => ['resources/subscribe', { uri }]),
      ['resources/read', { name: 'again' }],
    ]);
    await next.says(...ids(wire).map((id) => answer(id)), updated('a'), log('warning'));
    expect(a.ear.heard).toEqual([answer(5), answer('again'), updated('a')]);
    expect(b.ear.heard).toEqual([updated('a'), log('warning')]);
    join();
    expect(await next.sent()).toMatchObject([{ params: { level: 'debug' } }]);
  });

  it('[FAIL-2] answers a subscriber and a setLevel that were under way, once', async () => {
    const { a, b, mux, upstream, start, sent, says } = shared();
    await a.at.send(subscribe(1));
    await b.at.send(subscribe(1));
    await b.at.send(setLevel(2, 'info'));
    const late = ids(await sent());
    mux.lose(upstream, crash);
    await says(...late.map((id) => failure(id)));
    expect([a.ear.take(), b.ear.take()]).toEqual([[], [answer(2)]]);
    const next = start();
    next.connect();
    const wire = await next.sent();
    expect(methods(wire)).toEqual(['logging/setLevel', 'resources/subscribe']);
    await next.says(...ids(wire).map((id) => answer(id)));
    expect([a.ear.heard, b.ear.heard]).toEqual([[answer(1)], [answer(1)]]);
  });

  it('[FAIL-1] [SHARE-2] answers a subscribe that was lost after its resource was given back', async () => {
    const { a, mux, upstream, start, sent, hold } = shared();
    await a.at.send(subscribe(1));
    await a.at.send(unsubscribe(2));
    await sent();
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    for (const id of ids(await next.sent())) await next.says(answer(id));
    expect(ids(a.ear.heard).sort()).toEqual([1, 2]);
    expect(hold.count).toBe(0);
  });

  it('[FAIL-2] tells nothing to a next process that was told nothing before', async () => {
    const { a, mux, upstream, start, sent, says } = shared();
    await a.at.send(subscribe(1));
    await a.at.send(unsubscribe(2));
    for (const id of ids(await sent())) await says(answer(id));
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    expect(await next.sent()).toEqual([]);
  });

  /** A session that has read the tools, page by page. */
  async function knowing(...pages: object[][]) {
    const all = shared();
    for (const [index, page] of pages.entries()) {
      const cursor = index === 0 ? {} : { cursor: `${index}` };
      await all.a.at.send(request(index, 'tools/list', cursor));
      const nextCursor = index + 1 < pages.length ? { nextCursor: `${index + 1}` } : {};
      await all.says(answer(ids(await all.sent())[0], { tools: page, ...nextCursor }));
    }
    all.a.ear.take();
    return all;
  }

  it('[FAIL-2] tells all sessions and the pool that the next process has other tools', async () => {
    const { a, b, mux, upstream, start, told } = await knowing([tool('kept'), tool('gone')], [tool('other')]);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    const [first] = await next.sent();
    expect(first).toMatchObject({ method: 'tools/list', params: {} });
    await next.says(answer(first?.id, { ...tools(tool('kept')), nextCursor: 'more' }));
    const [second] = await next.sent();
    expect(second).toMatchObject({ method: 'tools/list', params: { cursor: 'more' } });
    expect(told.tools).toEqual([]);
    await next.says(answer(second?.id, tools(tool('new'), { ...tool('other'), description: 'now with words' })));
    expect(told.tools).toEqual([{ lost: ['gone'], added: ['new'], changed: ['other'] }]);
    for (const { ear } of [a, b]) expect(ear.heard).toEqual([note('tools/list_changed')]);
  });

  it('[FAIL-2] tells nobody when the tools are the same, in any order and any pages', async () => {
    const { a, b, mux, upstream, start, told } = await knowing([tool('x'), tool('y')], [tool('z')]);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await next.says(answer(ids(await next.sent())[0], tools(tool('z'), tool('y'), tool('x'))));
    expect(await next.sent()).toEqual([]);
    expect(told.tools).toEqual([]);
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
    // What was learnt is compared with the next, although no session has asked in between.
    mux.lose(next.upstream, crash);
    const third = start();
    third.connect();
    await third.says(failure(ids(await third.sent())[0], -32_601));
    expect(told.tools).toEqual([{ lost: ['z', 'y', 'x'], added: [], changed: [] }]);
  });

  it('[FAIL-2] asks for no tools that nobody knows: never listed, not to the end, or changed since', async () => {
    const never = shared();
    const half = shared();
    await half.a.at.send(request(1, 'tools/list', {}));
    await half.says(answer(ids(await half.sent())[0], { ...tools(tool('x')), nextCursor: 'more' }));
    const changed = await knowing([tool('x')]);
    await changed.says(note('tools/list_changed'));
    for (const { mux, upstream, start, told } of [never, half, changed]) {
      mux.lose(upstream, crash);
      const next = start();
      next.connect();
      expect(await next.sent()).toEqual([]);
      expect(told.tools).toEqual([]);
    }
  });

  it('[FAIL-2] compares the tools although a process was lost before it told its own', async () => {
    const { a, mux, upstream, start, told } = await knowing([tool('x')]);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await next.sent();
    mux.lose(next.upstream, crash);
    const third = start();
    third.connect();
    const [asked] = await third.sent();
    if (asked) await third.says(answer(asked.id, tools(tool('y'))));
    expect(told.tools).toEqual([{ lost: ['x'], added: ['y'], changed: [] }]);
    expect(a.ear.heard).toEqual([note('tools/list_changed')]);
  });

  it('[FAIL-2] [FAIL-3] compares the tools that a replaced process has told late', async () => {
    const { a, start, told, sent, says } = shared();
    await a.at.send(request(1, 'tools/list', {}));
    const [late] = ids(await sent());
    const next = start();
    next.connect();
    await says(answer(late, tools(tool('x'))));
    const [asked] = await next.sent();
    if (asked) await next.says(answer(asked.id, tools(tool('y'))));
    expect(told.tools).toEqual([{ lost: ['x'], added: ['y'], changed: [] }]);
    expect(a.ear.heard).toEqual([answer(1, tools(tool('x'))), note('tools/list_changed')]);
  });

  it('[FAIL-1] keeps nothing where sessions end with their process', async () => {
    const { a, b, mux, upstream, sent, start, hold } = shared({ sessionsStay: false, maxInFlight: 2 });
    await a.at.send(named('read', 'resources/read'));
    await b.at.send(named('call'));
    void b.at.send(named('waits', 'resources/read')).catch(() => {});
    await sent();
    mux.lose(upstream, crash);
    expect(a.ear.take()).toEqual([lost('read')]);
    expect(b.ear.take()).toEqual([lost('call', { retryable: false })]);
    b.at.fail(crash);
    expect(b.ear.take()).toEqual([lost('waits', { mayHaveRun: false })]);
    expect(hold.count).toBe(0);
    const next = start();
    next.connect();
    expect(await next.sent()).toEqual([]);
  });
});

describe('a process of a shared server that is replaced', () => {
  it('[FAIL-3] answers what it was asked, while new requests go to the next', async () => {
    const { a, b, sent, says, start, mux, upstream } = shared();
    await a.at.send(request(1, 'tools/call', { name: 'old', _meta: { progressToken: 'p' } }));
    const [old] = ids(await sent());
    const next = start();
    next.connect();
    await a.at.send(named('new'));
    await b.at.send(named('new'));
    expect(await sent()).toEqual([]);
    const fresh = ids(await next.sent());
    // The same number on two wires.
    expect(fresh).toContain(old);
    await next.says(progress(old));
    expect(a.ear.heard).toEqual([]);
    let drained = 0;
    upstream.onDrained = () => {
      drained += 1;
    };
    await says(progress(old), answer(old, 'old'), answer(old, 'twice'));
    expect(drained).toBe(1);
    await next.says(...fresh.map((id) => answer(id, 'new')));
    expect(a.ear.heard).toEqual([progress('p'), answer(1, 'old'), answer('new', 'new')]);
    expect(b.ear.heard).toEqual([answer('new', 'new')]);
    // Its end concerns nobody.
    mux.lose(upstream, crash);
    await a.at.send(named('newer'));
    expect(names(await next.sent())).toEqual(['newer']);
  });

  it('[FAIL-3] [ROUTE-3] hears the cancellation of what it was asked, also when a session ends', async () => {
    const { a, b, sent, says, start, upstream } = shared();
    await a.at.send(request(1));
    await b.at.send(request(1));
    const [ofA, ofB] = ids(await sent());
    const next = start();
    next.connect();
    let drained = 0;
    upstream.onDrained = () => {
      drained += 1;
    };
    await a.at.send(cancel(1));
    b.at.detach();
    expect(drained).toBe(1);
    expect(await sent()).toEqual([cancel(ofA), note('cancelled', { requestId: ofB, reason: 'its client is gone' })]);
    expect(await next.sent()).toEqual([]);
    expect(upstream.openRequests).toBe(0);
    await says(answer(ofA), answer(ofB));
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
  });

  it('[FAIL-3] speaks no more for the server, but of what it still does', async () => {
    const { a, sent, says, start } = shared();
    await a.at.send(subscribe(1));
    await says(answer(ids(await sent())[0]));
    a.ear.take();
    start().connect();
    await says(note('tools/list_changed'), updated('a'), note('x'), log('error'), { id: 'p', method: 'ping' });
    await says({ id: 'r', method: 'roots/list' });
    expect(a.ear.heard).toEqual([log('error')]);
    expect(await sent()).toMatchObject([answer('p'), { id: 'r', error: { code: -32_601 } }]);
  });

  it('[FAIL-3] [FAIL-1] that is lost before it has finished leaves what is safe to repeat to the next', async () => {
    const { a, sent, start, mux, upstream } = shared();
    await a.at.send(named('read', 'resources/read'));
    await a.at.send(named('call'));
    await sent();
    const next = start();
    next.connect();
    mux.lose(upstream, crash);
    expect(a.ear.heard).toEqual([lost('call')]);
    expect(names(await next.sent())).toEqual(['read']);
  });

  it('[FAIL-3] [FLOW-1] has its own count: the next one takes maxInFlight requests, too', async () => {
    const { a, sent, start } = shared({ maxInFlight: 1 });
    await a.at.send(named('old'));
    void a.at.send(named('waits'));
    expect(names(await sent())).toEqual(['old']);
    const next = start();
    next.connect();
    expect(names(await next.sent())).toEqual(['waits']);
    expect(await sent()).toEqual([]);
  });

  it('[FAIL-3] [FAIL-2] tells the next what the sessions have told', async () => {
    const { a, sent, says, start } = shared();
    await a.at.send(setLevel(1, 'error'));
    await a.at.send(subscribe(2));
    for (const id of ids(await sent())) await says(answer(id));
    const next = start();
    next.connect();
    expect(methods(await next.sent())).toEqual(['logging/setLevel', 'resources/subscribe']);
    await next.says(updated('a'));
    expect(a.ear.heard.at(-1)).toEqual(updated('a'));
  });

  it('[FAIL-3] is asked nothing new while it is suspended, and goes on when it is resumed', async () => {
    const { a, b, sent, says, mux, upstream, start } = shared();
    await a.at.send(named('old'));
    mux.suspend(upstream);
    const waits = [a.at.send(named('a1')), b.at.send(named('b1')), b.at.send(note('x', { name: 'b2' }))];
    const wire = await sent();
    expect(names(wire)).toEqual(['old']);
    await says(answer(wire[0]?.id));
    expect(ids(a.ear.take())).toEqual(['old']);
    expect(await sent()).toEqual([]);
    await b.at.send(request('p', 'ping'));
    await flush();
    expect(ids(b.ear.take())).toEqual(['p']);
    mux.resume(upstream);
    await Promise.all(waits);
    const resumed = await sent();
    expect(names(resumed).sort()).toEqual(['a1', 'b1', 'b2']);
    mux.suspend(upstream);
    void a.at.send(named('for the next'));
    const next = start();
    next.connect();
    expect(names(await next.sent())).toEqual(['for the next']);
    // It serves no more, so nothing that concerns it holds requests back.
    mux.suspend(upstream);
    await a.at.send(named('at once'));
    expect(names(await next.sent())).toEqual(['at once']);
  });

  it('[FAIL-3] [SHARE-2] takes no subscription back that the next process has granted', async () => {
    const { a, sent, says, start } = shared();
    await a.at.send(subscribe(1));
    const [late] = ids(await sent());
    const next = start();
    next.connect();
    await next.says(answer(ids(await next.sent())[0]));
    expect(a.ear.take()).toEqual([answer(1)]);
    await says(failure(late));
    await next.says(updated('a'));
    expect(a.ear.heard).toEqual([updated('a')]);
  });

  it('[FAIL-3] [ROUTE-7] gets the answer to what it has asked its client, though another serves now', async () => {
    const { mux, start } = multiplexed({ shared: false, sessionsStay: true });
    const [old, next] = [start(), start()];
    old.connect();
    const { at, ear } = attach(mux);
    await at.send(named('call'));
    await old.sent();
    next.connect();
    await old.says({ id: 'e', method: 'elicitation/create' });
    expect(ear.heard).toHaveLength(1);
    await at.send(answer('e') as JsonRpcMessage);
    expect(await next.sent()).toEqual([]);
    expect(await old.sent()).toEqual([answer('e')]);
  });

  it('[FAIL-3] [ROUTE-7] gets the answer to what it has asked its client while new requests wait', async () => {
    const { mux, start } = multiplexed({ shared: false, sessionsStay: true });
    const old = start();
    old.connect();
    const { at } = attach(mux);
    await at.send(named('call'));
    mux.suspend(old.upstream);
    await old.says({ id: 'e', method: 'elicitation/create' });
    await old.sent();
    void at.send(answer('e') as JsonRpcMessage);
    expect(await old.sent()).toEqual([answer('e')]);
  });
});
