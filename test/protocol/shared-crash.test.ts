import { describe, expect, it } from 'vitest';
import {
  answer,
  answerAll,
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
  unsubscribe,
  updated,
} from '../helpers/shared-server.js';
import { flush, outcome } from '../helpers/until.js';
import { ids, request } from '../helpers/wire.js';

describe('a shared server that loses its process', () => {
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
    const sending = b.at.send(note('never'));
    b.at.fail(crash);
    expect(await outcome(sending)).toBe('resolved');
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

  it('[FAIL-1] repeats tools only if configured to, and only those that the server calls safe', async () => {
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

  it('[FAIL-2] sends the next process the log level and the subscriptions before any request', async () => {
    const { a, b, mux, upstream, start, sent, says, join } = shared();
    await a.at.send(setLevel(1, 'error'));
    await b.at.send(setLevel(1, 'notice'));
    await a.at.send(subscribe(2, 'a'));
    await b.at.send(subscribe(2, 'a'));
    await b.at.send(subscribe(3, 'b'));
    await b.at.send(subscribe(4, 'c'));
    await answerAll({ sent, says });
    await a.at.send(named('again', 'resources/read'));
    await sent();
    for (const { ear } of [a, b]) ear.take();
    mux.lose(upstream, crash);
    // What is asked while no process is there takes effect all the same.
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

  it('[FAIL-2] sends nothing to a next process when nothing was sent before', async () => {
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

  it('[FAIL-2] notifies all sessions and the pool that the next process has other tools', async () => {
    const { a, b, mux, upstream, start, reported } = await knowing([tool('kept'), tool('gone')], [tool('other')]);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    const [first] = await next.sent();
    expect(first).toMatchObject({ method: 'tools/list', params: {} });
    await next.says(answer(first?.id, { ...tools(tool('kept')), nextCursor: 'more' }));
    const [second] = await next.sent();
    expect(second).toMatchObject({ method: 'tools/list', params: { cursor: 'more' } });
    expect(reported.tools).toEqual([]);
    await next.says(answer(second?.id, tools(tool('new'), { ...tool('other'), description: 'now with words' })));
    expect(reported.tools).toEqual([{ lost: ['gone'], added: ['new'], changed: ['other'] }]);
    for (const { ear } of [a, b]) expect(ear.heard).toEqual([note('tools/list_changed')]);
  });

  it('[FAIL-2] notifies no session when the tools are the same, in any order and any pages', async () => {
    const { a, b, mux, upstream, start, reported } = await knowing([tool('x'), tool('y')], [tool('z')]);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await next.says(answer(ids(await next.sent())[0], tools(tool('z'), tool('y'), tool('x'))));
    expect(await next.sent()).toEqual([]);
    expect(reported.tools).toEqual([]);
    expect([...a.ear.heard, ...b.ear.heard]).toEqual([]);
    // What was learnt is compared with the next, although no session has asked in between.
    mux.lose(next.upstream, crash);
    const third = start();
    third.connect();
    await third.says(failure(ids(await third.sent())[0], -32_601));
    expect(reported.tools).toEqual([{ lost: ['z', 'y', 'x'], added: [], changed: [] }]);
  });

  it('[FAIL-2] asks for no tools that no session knows: never listed, not to the end, or changed since', async () => {
    const never = shared();
    const half = shared();
    await half.a.at.send(request(1, 'tools/list', {}));
    await half.says(answer(ids(await half.sent())[0], { ...tools(tool('x')), nextCursor: 'more' }));
    const changed = await knowing([tool('x')]);
    await changed.says(note('tools/list_changed'));
    for (const { mux, upstream, start, reported } of [never, half, changed]) {
      mux.lose(upstream, crash);
      const next = start();
      next.connect();
      expect(await next.sent()).toEqual([]);
      expect(reported.tools).toEqual([]);
    }
  });

  it('[FAIL-2] compares the tools although a process was lost before it listed its own', async () => {
    const { a, mux, upstream, start, reported } = await knowing([tool('x')]);
    mux.lose(upstream, crash);
    const next = start();
    next.connect();
    await next.sent();
    mux.lose(next.upstream, crash);
    const third = start();
    third.connect();
    const [asked] = await third.sent();
    if (asked) await third.says(answer(asked.id, tools(tool('y'))));
    expect(reported.tools).toEqual([{ lost: ['x'], added: ['y'], changed: [] }]);
    expect(a.ear.heard).toEqual([note('tools/list_changed')]);
  });

  it('[FAIL-2] [FAIL-3] compares the tools that a replaced process has listed late', async () => {
    const { a, start, reported, sent, says } = shared();
    await a.at.send(request(1, 'tools/list', {}));
    const [late] = ids(await sent());
    const next = start();
    next.connect();
    await says(answer(late, tools(tool('x'))));
    const [asked] = await next.sent();
    if (asked) await next.says(answer(asked.id, tools(tool('y'))));
    expect(reported.tools).toEqual([{ lost: ['x'], added: ['y'], changed: [] }]);
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
