import { describe, expect, it } from 'vitest';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import {
  answer,
  cancel,
  crash,
  failure,
  log,
  methods,
  note,
  progress,
  shared,
  subscribe,
} from '../helpers/shared-server.js';
import { flush } from '../helpers/until.js';
import { ids, initializeResult, request } from '../helpers/wire.js';

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

  it('[SHARE-1] survives what is shaped in an unforeseen way', async () => {
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
    const original = structuredClone(initializeResult);
    for (const { at, ear } of [a, b, a]) {
      await at.send(request(1, 'initialize', { protocolVersion: '2025-11-25' }));
      await flush();
      const result = ear.take()[0]?.result as typeof initializeResult;
      expect(result).toEqual(original);
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
    // An answer to what was never asked goes nowhere.
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
    for (const [asked, answered] of [
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
        answer(0, { ...initializeResult, protocolVersion: answered }),
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

  it('[SHARE-3] reports which capabilities a client counts on in vain, once for each initialize', async () => {
    const { a, b, reported } = shared({ clientCapabilities: { roots: {} } });
    await a.at.send(request(1, 'initialize', { capabilities: { experimental: {} } }));
    await b.at.send(request(1, 'initialize'));
    expect(reported.undeclared).toEqual([]);
    await a.at.send(request(1, 'initialize', { capabilities: { sampling: {}, roots: {}, elicitation: {} } }));
    expect(reported.undeclared).toEqual(['roots', 'sampling', 'elicitation']);
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
    const tasks = ['tb', 'ta', 'of none'].map((taskId) => ({ taskId, ttl: 1 }));
    for (const { id } of wire) await says(answer(id, { tasks, nextCursor: 'd' }));
    expect(a.ear.take()).toEqual([answer('l', { tasks: [{ taskId: 'ta', ttl: 1 }], nextCursor: 'd' })]);
    expect(b.ear.take()).toEqual([answer('l', { tasks: [{ taskId: 'tb', ttl: 1 }], nextCursor: 'd' })]);
    await a.at.send(request('e', 'tasks/list', {}));
    await says(failure(ids(await sent())[0]));
    expect(a.ear.take()).toEqual([failure('e')]);
  });

  it('[SHARE-3] [SHARE-1] report state and progress to their own session, until they are over', async () => {
    const { a, b, says, ofA, ofB } = await withTasks();
    await says(progress(ofA), status('ta', 'input_required'), status('tb', 'failed'), progress(ofB), progress(ofA, 2));
    await says(status('ta', 'completed'), progress(ofA, 3), status('none', 'working'));
    expect(a.ear.heard).toEqual([
      ...[progress('pa'), status('ta', 'input_required'), progress('pa', 2)],
      status('ta', 'completed'),
    ]);
    expect(b.ear.heard).toEqual([status('tb', 'failed')]);
  });

  it('[SHARE-4] [SHARE-3] are cancelled with their session, and belong to no session then', async () => {
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
