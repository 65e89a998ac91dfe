import { describe, expect, it } from 'vitest';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import { OpenRequests } from '../../src/stdio/open-requests.js';
import { memoryOfAsync } from '../helpers/heap.js';
import { answer, cancel, crash, lost, names, shared, subscribe } from '../helpers/shared-server.js';
import { flush, outcome, rejection } from '../helpers/until.js';
import { attach, directOn, Ear, ids, multiplexed, request, wire } from '../helpers/wire.js';

// What is kept of the requests that a server has not answered: clients choose how large each is, and the server how long it is
// kept.

const KB = 1_024;
/** A request with a large parameter, of which the client itself keeps nothing. */
const read = (id: number | string, size: number, method = 'resources/read') =>
  request(id, method, { name: `${id}`, text: Buffer.alloc(size, 'x').toString() });

const exclusive = (options: Parameters<typeof multiplexed>[0] = {}) => {
  const all = multiplexed(options);
  const server = all.start();
  server.connect();
  return { ...all, ...server, a: attach(all.mux) };
};

describe('copies of requests for the next process', () => {
  it('[MEM-5] are bounded by bytes: a request without room is answered with why, and the others are sent again', async () => {
    const { a, b, mux, upstream, start, sent, says } = shared({ budget: new WriteBudget(400 * KB) });
    await a.at.send(read('a1', 60 * KB));
    await sent();
    await a.at.send(read('a2', 60 * KB));
    await sent();
    await a.at.send(read('a3', 1));
    await b.at.send(read('b1', 60 * KB));
    await sent();
    // The room of an answered request is free again.
    await b.at.send(read('b2', 30 * KB));
    await says(answer(ids(await sent())[0]));
    await b.at.send(read('b3', 30 * KB));
    await sent();
    b.ear.take();
    mux.lose(upstream, crash);
    expect(a.ear.take()).toEqual([lost('a2')]);
    expect(b.ear.take()).toEqual([]);
    const next = start();
    next.connect();
    expect(names(await next.sent()).sort()).toEqual(['a1', 'a3', 'b1', 'b3']);
  });

  it('[MEM-5] one server leaves the others half of the room', async () => {
    const copyBudget = new WriteBudget(400 * KB);
    const [one, two] = [shared({ copyBudget }), shared({ copyBudget })];
    const sessions = [one.a, one.b, one.join(), one.join()];
    for (const [index, { at }] of sessions.entries()) {
      await at.send(read(`r${index}`, 90 * KB));
      await one.sent();
    }
    await two.a.at.send(read('other', 90 * KB));
    await two.sent();
    one.mux.lose(one.upstream, crash);
    two.mux.lose(two.upstream, crash);
    expect(sessions.flatMap(({ ear }) => ear.take())).toEqual([lost('r2'), lost('r3')]);
    expect(two.a.ear.take()).toEqual([]);
  });

  it('[MEM-5] also of requests that waited for their turn, and of an exclusive server that is restarted', async () => {
    for (const options of [{}, { maxInFlight: 2 }]) {
      const { a, mux, upstream, start, sent } = exclusive({
        ...options,
        sessionsStay: true,
        budget: new WriteBudget(400 * KB),
      });
      if (options.maxInFlight !== undefined) mux.suspend(upstream);
      const sending = [a.at.send(read('a1', 60 * KB))];
      if (options.maxInFlight === undefined) await sent();
      sending.push(a.at.send(read('a2', 30 * KB)));
      mux.resume(upstream);
      await sent();
      if (options.maxInFlight === undefined) expect(await outcome(a.at.send(read('a3', 60 * KB)))).toBe('resolved');
      mux.lose(upstream, crash);
      expect(a.ear.take()).toEqual(options.maxInFlight === undefined ? [lost('a3')] : []);
      const next = start();
      next.connect();
      expect(names(await next.sent())).toEqual(['a1', 'a2']);
    }
  });

  it.each([
    ['shared', 'tools/call', true],
    ['shared', 'resources/read', true],
    ['exclusive', 'tools/call', false],
    ['exclusive', 'tools/list', false],
    ['exclusive', 'resources/read', false],
  ])('[MEM-5] nothing else is kept of a request that was written (%s, %s)', async (sharing, method, sessionsStay) => {
    const budget = new WriteBudget(4 * 1_024 * KB);
    const all = sharing === 'shared' ? shared({ budget }) : exclusive({ budget, sessionsStay });
    const { a, sent, says } = all;
    // Warm: what the first messages cost is no memory of requests.
    await a.at.send(read('warm', KB, method));
    await says(answer(ids(await sent())[0]));
    const memory = await memoryOfAsync(async () => {
      for (let id = 0; id < 40; id++) {
        await a.at.send(read(id, 256 * KB, method));
        await sent();
      }
    });
    // One session may fill a quarter of the budget; a copy is at most twice its bytes.
    expect(memory).toBeLessThan(3 * 1_024 * KB);
    expect(a.at.openRequests).toBe(40);
  });

  it('[MEM-5] a page of tools of which the request is not known does not count as the first', async () => {
    const { a, reported, sent, says, mux, upstream, start } = shared({ budget: new WriteBudget(40 * KB) });
    const tools = (...all: string[]) => ({ tools: all.map((name) => ({ name, inputSchema: {} })) });
    await a.at.send(request('first', 'tools/list', {}));
    await says(answer(ids(await sent())[0], { ...tools('one'), nextCursor: 'x' }));
    await a.at.send(request('second', 'tools/list', { cursor: 'x' }));
    await says(answer(ids(await sent())[0], tools('two')));
    await a.at.send(read('kept', 9 * KB));
    await sent();
    await a.at.send(request('again', 'tools/list', { cursor: 'x', more: 'x'.repeat(2 * KB) }));
    await says(answer(ids(await sent()).at(-1), tools('two')));
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    for (let wire = await next.sent(); wire.length > 0; wire = await next.sent()) {
      for (const { id, method, params } of wire) {
        const isSecond = (params as { cursor?: string } | undefined)?.cursor !== undefined;
        await next.says(
          answer(id, method !== 'tools/list' ? {} : isSecond ? tools('two') : { ...tools('one'), nextCursor: 'x' }),
        );
      }
    }
    expect(reported.tools).toEqual([]);
  });
});

describe('names that a client gives its requests', () => {
  const long = (index: number) => `${index}${'x'.repeat(1_024 * KB)}`;
  const withToken = (id: number) => request(id, 'x', { _meta: { progressToken: long(id) } });

  it.each([
    ['ids', (index: number) => request(long(index), 'x')],
    ['progress tokens', withToken],
    ['methods', (index: number) => request(index, long(index))],
  ])('[MEM-5] %s are bounded by their characters', async (_what, make) => {
    const { a, b, sent, says } = shared({ budget: new WriteBudget(1_024 * KB * KB) });
    for (let index = 0; index < 16; index++) {
      expect(await outcome(a.at.send(make(index)))).toBe('resolved');
    }
    const wire = await sent();
    expect(wire).toHaveLength(16);
    expect(await rejection(a.at.send(make(16)))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(await outcome(b.at.send(make(17)))).toBe('resolved');
    await says(answer(wire[0]?.id));
    expect(await outcome(a.at.send(make(18)))).toBe('resolved');
    expect(a.at.openRequests).toBe(16);
  });

  it('[MEM-5] a progress token that is neither string nor number is not kept, and gets no progress', async () => {
    const { a, sent } = shared();
    await a.at.send(request(1, 'x', { _meta: { progressToken: { large: 'x' } } }));
    const [wire] = await sent();
    expect(wire?.params).toEqual({ _meta: { progressToken: { large: 'x' } } });
  });
});

describe('requests that are combined with those of other sessions', () => {
  const MB = KB * KB;
  const level = (id: number, size = 1) =>
    request(id, 'logging/setLevel', { level: 'info', _meta: { x: 'x'.repeat(size) } });
  const wish = (id: number, size = 1) => ({
    ...subscribe(id, `uri ${id}`),
    params: { uri: `uri ${id}`, _meta: { x: 'x'.repeat(size) } },
  });

  it.each([
    ['subscriptions', wish],
    ['levels', level],
  ])('[MEM-5] %s of one session are bounded by their characters, like its names', async (_what, make) => {
    const { a, b, sent, says } = shared({ budget: new WriteBudget(1_024 * MB) });
    for (let id = 0; id < 16; id++) expect(await outcome(a.at.send(make(id, MB)))).toBe('resolved');
    expect(await rejection(a.at.send(make(16)))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(await outcome(b.at.send(make(17, MB)))).toBe('resolved');
    for (let wires = await sent(); wires.length > 0; wires = await sent()) {
      for (const { id } of wires) await says(answer(id));
    }
    expect([a.at.openRequests, b.at.openRequests]).toEqual([0, 0]);
    expect(await outcome(a.at.send(make(18)))).toBe('resolved');
  });

  it.each(['shared', 'exclusive'])('[MEM-5] no copy of other requests or servers refuses them: %s', async (sharing) => {
    const copyBudget = new WriteBudget(400 * KB);
    const other = shared({ copyBudget });
    for (const [index, { at }] of [other.a, other.b, other.join(), other.join()].entries()) {
      await at.send(read(index, 90 * KB));
      await other.sent();
    }
    const { a, sent } = sharing === 'shared' ? shared({ copyBudget }) : exclusive({ copyBudget, sessionsStay: true });
    for (const id of [1, 2, 3]) await a.at.send(read(id, 90 * KB));
    await sent();
    for (const make of [wish, level]) {
      expect(await outcome(a.at.send(make(make === wish ? 4 : 5, 60 * KB)))).toBe('resolved');
      expect(await sent()).toHaveLength(1);
    }
  });

  it('[MEM-5] are cancelled although their messages are not kept, and although the sender has changed these', async () => {
    const { a, sent, says } = shared();
    const message = wish(1);
    await a.at.send(message);
    const [subscription] = await sent();
    message.params.uri = 'changed';
    await a.at.send(cancel(1));
    await says(answer(subscription?.id));
    expect(await sent()).toMatchObject([{ method: 'resources/unsubscribe', params: { uri: 'uri 1' } }]);
  });

  it('[MEM-5] that cannot be written as JSON are refused, and not open', async () => {
    const { a } = shared();
    const circle: Record<string, unknown> = {};
    circle.circle = circle;
    for (const method of ['resources/subscribe', 'resources/unsubscribe', 'logging/setLevel']) {
      const params = { uri: 'u', level: 'info', _meta: circle };
      expect(await rejection(a.at.send(request(method, method, params)))).toMatchObject({ code: 'INVALID_OPTIONS' });
    }
    expect(a.at.openRequests).toBe(0);
  });
});

describe('a dedicated lease', () => {
  function dedicated() {
    const { channel, sent, says } = wire(new WriteBudget(1_024 * KB * KB));
    const { routing, hold } = directOn(channel);
    return { at: routing.attach(new Ear()), sent, says, hold };
  }

  it('[MEM-5] bounds the names of its open requests, and has room again when one is answered or given up', async () => {
    const { at, sent, says, hold } = dedicated();
    const long = (index: number) => `${index}${'x'.repeat(512 * KB)}`;
    for (let index = 0; index < 32; index++) await at.send(request(long(index), 'x'));
    await sent();
    expect(await rejection(at.send(request(1, 'x')))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(await outcome(at.send({ jsonrpc: '2.0', method: 'notifications/x' }))).toBe('resolved');
    await says(answer(long(0)));
    expect(await outcome(at.send(request(long(32), 'x')))).toBe('resolved');
    expect(await rejection(at.send(request(1, 'x')))).toMatchObject({ code: 'BUFFER_FULL' });
    await at.send(cancel(long(1)));
    expect(await outcome(at.send(request(1, 'x')))).toBe('resolved');
    expect(at.openRequests).toBe(32);
    at.detach();
    expect(hold.count).toBe(0);
  });

  it('[MEM-5] has no more than 100,000 open requests', async () => {
    const { at, hold } = dedicated();
    for (let id = 0; id < 100_000; id++) void at.send(request(id));
    expect(await rejection(at.send(request('more')))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(at.openRequests).toBe(100_000);
    at.detach();
    expect(hold.count).toBe(0);
    await flush();
  });

  it('[MEM-5] of a drop-in: a request that was refused is not open', () => {
    const open = new OpenRequests();
    open.sent(request(1));
    open.sent(request(2));
    open.refused(request(2));
    expect(open.fail().map(({ id }) => id)).toEqual([1]);
  });
});
