import { describe, expect, it } from 'vitest';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import type { JsonRpcMessage } from '../../src/protocol/json-rpc.js';
import {
  answer,
  cancel,
  crash,
  failure,
  methods,
  named,
  names,
  note,
  setLevel,
  shared,
  subscribe,
} from '../helpers/shared-server.js';
import { flush, outcome, rejection } from '../helpers/until.js';
import { attach, ids, request } from '../helpers/wire.js';

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

  it('[FLOW-1] gives no turn to a session that asks again from within the answer, before those that wait', async () => {
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
    // One that has nothing waiting is held back by no other.
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

  it('[FAIL-1] [FAIL-2] what they want of a process that is lost before its turn is sent to the next', async () => {
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

  it('[FLOW-2] keeps no more than 16 MB of the names of tools that one session calls', async () => {
    const { a, b } = shared({ budget: new WriteBudget(640_000_000) });
    const call = (id: number) => request(id, 'tools/call', { name: 'x'.repeat(4 * 1_048_576) });
    for (let id = 0; id < 4; id++) void a.at.send(call(id));
    expect(await rejection(a.at.send(call(4)))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(a.at.openRequests).toBe(4);
    void b.at.send(call(1));
    expect(b.at.openRequests).toBe(1);
    await flush();
  });

  it('[FLOW-2] has no more than that of one session that waits for the answer to another', async () => {
    // Their copies take bytes, too.
    const { a, b } = shared({ budget: new WriteBudget(64_000_000) });
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
