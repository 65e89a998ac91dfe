import { describe, expect, it } from 'vitest';
import type { JsonRpcMessage } from '../../src/protocol/json-rpc.js';
import {
  answer,
  cancel,
  crash,
  failure,
  log,
  lost,
  methods,
  named,
  names,
  note,
  progress,
  setLevel,
  shared,
  subscribe,
  updated,
} from '../helpers/shared-server.js';
import { flush } from '../helpers/until.js';
import { attach, ids, multiplexed, request } from '../helpers/wire.js';

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
    upstream.whenDrained(() => {
      drained += 1;
    });
    expect(drained).toBe(0);
    await says(progress(old), answer(old, 'old'), answer(old, 'twice'));
    expect(drained).toBe(1);
    await next.says(...fresh.map((id) => answer(id, 'new')));
    expect(a.ear.heard).toEqual([progress('p'), answer(1, 'old'), answer('new', 'new')]);
    expect(b.ear.heard).toEqual([answer('new', 'new')]);
    // Its end concerns no session.
    mux.lose(upstream, crash);
    await a.at.send(named('newer'));
    expect(names(await next.sent())).toEqual(['newer']);
  });

  it('[FAIL-3] [SHARE-4] has no progress for a task of the next one, whose request has the same number', async () => {
    const { a, b, sent, says, start } = shared();
    await a.at.send(request(1, 'tools/call', { name: 'old' }));
    const [old] = ids(await sent());
    const next = start();
    next.connect();
    await b.at.send(request(1, 'tools/call', { name: 'new', task: {}, _meta: { progressToken: 'of b' } }));
    const [fresh] = ids(await next.sent());
    expect(fresh).toBe(old);
    await next.says({ id: fresh, result: { task: { taskId: 'x' } } });
    // A gives up its request, so nothing of the old process waits for that number.
    await a.at.send(cancel(1));
    await says(progress(old));
    await next.says(progress(fresh));
    expect(a.ear.heard).toEqual([]);
    expect(b.ear.heard.slice(1)).toEqual([progress('of b')]);
  });

  it('[FAIL-3] [ROUTE-3] hears the cancellation of what it was asked, also when a session ends', async () => {
    const { a, b, sent, says, start, upstream } = shared();
    await a.at.send(request(1));
    await b.at.send(request(1));
    const [ofA, ofB] = ids(await sent());
    const next = start();
    next.connect();
    let drained = 0;
    upstream.whenDrained(() => {
      drained += 1;
    });
    expect(drained).toBe(0);
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

  it('[FAIL-3] [FAIL-2] sends to the next process what the sessions have sent before', async () => {
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
