import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import type { Answer, JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import type { Attachment } from '../../src/protocol/routing.js';
import { answerAll } from '../helpers/shared-server.js';
import { flush, outcome, rejection } from '../helpers/until.js';
import { directOn, Ear, ids, initializeResult, multiplexed, request, wire } from '../helpers/wire.js';

const crash = new PoolError('SERVER_EXITED', 'it crashed', { exitCode: 1, signal: null });

/** An exclusive server: one session after the other. */
function exclusive(budget?: WriteBudget) {
  const { mux, start, hold } = multiplexed(budget ? { budget } : {});
  const server = start();
  server.connect();
  let current: { session: Ear; at: Attachment } | undefined;
  const routing = {
    get openRequests() {
      return server.upstream.openRequests;
    },
    attach(session: Ear) {
      current = { session, at: mux.attach(session) };
    },
    send(_session: Ear, message: JsonRpcMessage) {
      return current?.at.send(message) ?? Promise.resolve();
    },
    detach() {
      current?.at.detach();
    },
    fail(error: PoolError) {
      current?.at.fail(error);
    },
    request(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) {
      server.upstream.request(method, params, onAnswer);
    },
  };
  return { ...server, routing, hold };
}

function attached(budget?: WriteBudget) {
  const wires = exclusive(budget);
  const session = new Ear();
  wires.routing.attach(session);
  return { ...wires, session };
}

describe('an exclusive server', () => {
  it('[ROUTE-1] gives ids of its own, and gives back those of the session with their type', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    for (const id of [1, '1', 0, '', -7, 'server-1']) await routing.send(session, request(id));
    const wire = await sent();
    expect(new Set(ids(wire)).size).toBe(6);
    expect(wire[0]).toMatchObject({ jsonrpc: '2.0', method: 'tools/call', params: { name: 'x' } });
    expect(routing.openRequests).toBe(6);
    for (const id of ids(wire).reverse()) await says({ id, result: { for: id } });
    expect(ids(session.heard)).toEqual(['server-1', -7, '', 0, '1', 1]);
    expect(session.heard[5]).toEqual({ jsonrpc: '2.0', id: 1, result: { for: ids(wire)[0] } });
    expect(routing.openRequests).toBe(0);
  });

  it('[ROUTE-1] tolerates that a session uses an id twice', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    await routing.send(session, request(5, 'a'));
    await routing.send(session, request(5, 'b'));
    const [a, b] = ids(await sent());
    await says({ id: b, result: 'b' }, { id: a, result: 'a' });
    expect(session.heard).toEqual([
      { jsonrpc: '2.0', id: 5, result: 'b' },
      { jsonrpc: '2.0', id: 5, result: 'a' },
    ]);
  });

  it('[ROUTE-1] passes on errors, and drops answers to nothing', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    await routing.send(session, request('q'));
    // With a second one open, an error without an id may belong to either.
    await routing.send(session, request('r'));
    const [id] = ids(await sent());
    await says({ id: 999, result: {} }, { id: `${id}x`, result: {} }, { id: null, error: { code: 1, message: 'x' } });
    expect(session.heard).toEqual([]);
    await says({ id, error: { code: -32602, message: 'wrong', data: { a: 1 } } }, { id, result: 'twice' });
    expect(session.heard).toEqual([
      { jsonrpc: '2.0', id: 'q', error: { code: -32602, message: 'wrong', data: { a: 1 } } },
    ]);
  });

  it('[ROUTE-2] drops late replies and late progress to an earlier session', async () => {
    const { routing, session: first, sent, says } = attached();
    await sent();
    await routing.send(first, request(1, 'tools/call', { _meta: { progressToken: 'p' } }));
    const [late] = ids(await sent());
    routing.detach();
    const second = new Ear();
    routing.attach(second);
    await routing.send(second, request(1));
    const [own] = ids(await sent());
    expect(own).not.toBe(late);
    await says({ method: 'notifications/progress', params: { progressToken: late, progress: 1 } });
    await says({ id: late, result: 'late' }, { id: own, result: 'own' });
    expect(first.heard).toEqual([]);
    expect(second.heard).toEqual([{ jsonrpc: '2.0', id: 1, result: 'own' }]);
  });

  it('[ROUTE-1] [ROUTE-2] never mixes up sessions that follow each other, whatever the order of the replies', async () => {
    const step = fc.record({
      does: fc.constantFrom('ask', 'ask', 'answer', 'answer', 'next session'),
      pick: fc.nat(),
      id: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constantFrom('1', '2')),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { routing, sent, says, session: first } = attached();
        await sent();
        let session = first;
        const open: { wire: RequestId; id: RequestId; session: Ear }[] = [];
        const expected = new Map<Ear, unknown[]>([[session, []]]);
        for (const { does, pick, id } of steps) {
          if (does === 'ask') {
            await routing.send(session, request(id));
            open.push({ wire: ids(await sent())[0] as RequestId, id, session });
          } else if (does === 'answer') {
            const [answered] = open.splice(pick % Math.max(open.length, 1), 1);
            if (answered === undefined) continue;
            await says({ id: answered.wire, result: answered.wire });
            const answer = { jsonrpc: '2.0', id: answered.id, result: answered.wire };
            if (answered.session === session) expected.get(session)?.push(answer);
          } else {
            routing.detach();
            session = new Ear();
            expected.set(session, []);
            routing.attach(session);
          }
        }
        for (const [ear, answers] of expected) expect(ear.heard).toEqual(answers);
        expect(routing.openRequests).toBe(open.filter((one) => one.session === session).length);
        routing.detach();
      }),
      { numRuns: 40 },
    );
  });

  it('[ROUTE-3] maps a cancellation to the request that it means, and drops a late reply to it', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    const cancel = (requestId: unknown): JsonRpcMessage => ({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId, reason: 'enough' },
    });
    await routing.send(session, request(1));
    await routing.send(session, request('1'));
    const [one, text] = ids(await sent());
    await routing.send(session, cancel('1'));
    expect(await sent()).toEqual([
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: text, reason: 'enough' } },
    ]);
    expect(routing.openRequests).toBe(1);
    for (const unknown of ['1', 2, text, undefined]) await routing.send(session, cancel(unknown));
    expect(await sent()).toEqual([]);
    await says({ id: text, result: 'late' }, { id: one, result: 'wanted' });
    expect(session.heard).toEqual([{ jsonrpc: '2.0', id: 1, result: 'wanted' }]);
  });

  it('[ROUTE-4] gives back a progress token as it was, and leaves the rest of the params alone', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    for (const progressToken of ['token', 7, 0, '']) {
      const params = { name: 'x', _meta: { progressToken, other: true } };
      await routing.send(session, request('id', 'tools/call', params));
      const [wire] = await sent();
      expect(wire).toMatchObject({ params: { name: 'x', _meta: { progressToken: wire?.id, other: true } } });
      await says({ method: 'notifications/progress', params: { progressToken: wire?.id, progress: 1, total: 2 } });
      expect(session.heard.at(-1)).toEqual({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken, progress: 1, total: 2 },
      });
      await says({ id: wire?.id, result: {} });
    }
  });

  it('[ROUTE-4] passes on no progress for a request without a token, or after its answer', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    await routing.send(session, request(1, 'tools/call', { _meta: { other: 1 } }));
    const [wire] = await sent();
    expect(wire?.params).toEqual({ _meta: { other: 1 } });
    const progress = { method: 'notifications/progress', params: { progressToken: wire?.id, progress: 1 } };
    await says(progress, { id: wire?.id, result: {} }, progress, { method: 'notifications/progress' });
    expect(session.heard.map(({ method }) => method)).toEqual([undefined]);
  });

  it('[ROUTE-5] answers initialize of every session from the cache, with its own older version', async () => {
    const { routing, sent } = exclusive();
    for (const [asked, answered] of [
      ['2024-11-05', '2024-11-05'],
      ['2025-11-25', '2025-06-18'],
      ['1.0', '2025-06-18'],
    ]) {
      const session = new Ear();
      routing.attach(session);
      await routing.send(session, request('init', 'initialize', { protocolVersion: asked }));
      await routing.send(session, { jsonrpc: '2.0', method: 'notifications/initialized' });
      expect(await sent()).toEqual([]);
      expect(session.heard).toEqual([
        { jsonrpc: '2.0', id: 'init', result: { ...initializeResult, protocolVersion: answered } },
      ]);
      routing.detach();
    }
  });

  it('[ROUTE-5] answers not before send has returned', async () => {
    const { routing, session } = attached();
    const sending = routing.send(session, request(1, 'ping'));
    expect(session.heard).toEqual([]);
    await sending;
    await flush();
    expect(session.heard).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }]);
  });

  it('[ROUTE-5] refuses server/discover, so that a client of both eras falls back', async () => {
    const { routing, session, sent } = attached();
    await sent();
    await routing.send(session, request('server-discover-probe-1', 'server/discover'));
    expect(await sent()).toEqual([]);
    expect(session.heard).toMatchObject([{ id: 'server-discover-probe-1', error: { code: -32601 } }]);
  });

  it('[ROUTE-6] answers ping locally, both ways', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    await routing.send(session, request(9, 'ping'));
    await says({ id: 'p', method: 'ping' });
    expect(await sent()).toEqual([{ jsonrpc: '2.0', id: 'p', result: {} }]);
    expect(session.heard).toEqual([{ jsonrpc: '2.0', id: 9, result: {} }]);
    routing.detach();
    await says({ id: 0, method: 'ping' });
    expect(await sent()).toEqual([{ jsonrpc: '2.0', id: 0, result: {} }]);
  });

  it('[ROUTE-7] passes a request of the server to the session, and its answer back', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    await routing.send(session, { jsonrpc: '2.0', method: 'notifications/initialized' });
    await says({ id: 'r1', method: 'roots/list' });
    expect(session.heard).toEqual([{ jsonrpc: '2.0', id: 'r1', method: 'roots/list' }]);
    const answer: JsonRpcMessage = { jsonrpc: '2.0', id: 'r1', result: { roots: [] } };
    await routing.send(session, answer);
    // An answer again, or to nothing that was asked, goes nowhere.
    await routing.send(session, answer);
    await routing.send(session, { jsonrpc: '2.0', id: 'other', result: {} });
    expect(await sent()).toEqual([answer]);
  });

  it('[ROUTE-7] refuses requests of the server when no client is there, and those that a client left open', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    await says(
      { id: 1, method: 'roots/list' },
      { id: '1', method: 'sampling/createMessage' },
      { id: 2, method: 'roots/list' },
    );
    await says({ method: 'notifications/cancelled', params: { requestId: 2 } });
    await sent();
    routing.detach();
    expect(await sent()).toMatchObject([
      { id: 1, error: { code: -32601 } },
      { id: '1', error: { code: -32601 } },
    ]);
    await says({ id: 3, method: 'roots/list' });
    expect(await sent()).toMatchObject([{ id: 3, error: { code: -32601 } }]);
    // The late answer of the session before.
    await routing.send(session, { jsonrpc: '2.0', id: 1, result: { roots: [] } });
    expect(await sent()).toEqual([]);
  });

  it('[ROUTE-2] takes back the subscriptions of a session that ends', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    for (const [method, uri] of [
      ['resources/subscribe', 'a'],
      ['resources/subscribe', 'b'],
      ['resources/unsubscribe', 'a'],
    ] as const) {
      await routing.send(session, request(uri, method, { uri }));
    }
    await answerAll({ sent, says });
    routing.detach();
    const [unsubscribe, ...others] = await sent();
    expect(unsubscribe).toMatchObject({ method: 'resources/unsubscribe', params: { uri: 'b' } });
    expect(others).toEqual([]);
    const next = new Ear();
    routing.attach(next);
    await says({ id: unsubscribe?.id, result: {} });
    expect(next.heard).toEqual([]);
    // Not once more when the next one ends.
    routing.detach();
    expect(await sent()).toEqual([]);
  });

  it('passes notifications on, both ways', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    const changed: JsonRpcMessage = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
    await routing.send(session, changed);
    expect(await sent()).toEqual([changed]);
    const log = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } };
    await says(log);
    expect(session.heard).toEqual([log]);
  });

  it('[ROUTE-5] sends requests of the pool itself: their answers concern no session', async () => {
    const { routing, session, sent, says } = attached();
    await sent();
    const answers: (Answer | undefined)[] = [];
    routing.request('initialize', { a: 1 }, (answer) => answers.push(answer));
    const [own] = await sent();
    expect(own).toMatchObject({ method: 'initialize', params: { a: 1 } });
    expect(routing.openRequests).toBe(0);
    await says({ id: own?.id, result: 'x' }, { id: own?.id, result: 'again' });
    expect(answers).toEqual([{ jsonrpc: '2.0', id: own?.id, result: 'x' }]);
    expect(session.heard).toEqual([]);
  });

  it('[ROUTE-8] answers every open request with why it is lost, and whether it may be repeated', async () => {
    const { routing, session, sent } = attached();
    await sent();
    await routing.send(session, request(1, 'tools/call'));
    await routing.send(session, request('2', 'tools/list'));
    routing.fail(crash);
    routing.fail(crash);
    const lost = (id: RequestId, retryable: boolean) => ({
      jsonrpc: '2.0',
      id,
      error: {
        code: -32000,
        message: 'it crashed',
        data: { reason: 'SERVER_EXITED', exitCode: 1, signal: null, retryable, mayHaveRun: true },
      },
    });
    expect(session.heard).toEqual([lost(1, false), lost('2', true)]);
    expect(routing.openRequests).toBe(0);
  });

  it('[CONN-3] [ROUTE-8] has no request open that could not be sent', async () => {
    const { routing, session } = attached(new WriteBudget(150));
    await flush();
    const sent = routing.send(session, request(1, 'tools/call', { text: 'x'.repeat(100) }));
    expect(await rejection(routing.send(session, request(2, 'tools/call', { text: 'y'.repeat(100) })))).toMatchObject({
      code: 'BUFFER_FULL',
    });
    await sent;
    expect(routing.openRequests).toBe(1);
    const unwritable = (async () => routing.send(session, request(3, 'tools/call', { big: 1n })))();
    await rejection(unwritable);
    expect(routing.openRequests).toBe(1);
    routing.fail(crash);
    expect(ids(session.heard)).toEqual([1]);
  });

  it('[EXIT-1] [ROUTE-8] answers a request that could not be written when it is known why, once', async () => {
    const { routing, session, stdin } = attached();
    await flush();
    stdin.destroy();
    const sending = routing.send(session, request(1));
    await flush();
    expect(session.heard).toEqual([]);
    routing.fail(crash);
    await sending;
    expect(ids(session.heard)).toEqual([1]);
    expect(session.heard).toMatchObject([{ error: { message: 'it crashed', data: { exitCode: 1 } } }]);
  });

  it('[GUEST-2] holds the host open while a request of a session is open, and only then', async () => {
    const { routing, session, sent, says, hold } = attached();
    const holding = () => hold.count > 0;
    await sent();
    expect(holding()).toBe(false);
    routing.request('ping', {}, () => {});
    expect(holding()).toBe(false);
    await routing.send(session, request(1));
    await routing.send(session, request(2));
    expect(holding()).toBe(true);
    const [, one, two] = ids(await sent());
    await says({ id: one, result: {} });
    expect(holding()).toBe(true);
    await says({ id: two, result: {} });
    expect(holding()).toBe(false);
    await routing.send(session, request(3));
    routing.detach();
    expect(hold.count).toBe(0);
  });
});

describe('DirectRouting', () => {
  const direct = () => {
    const wires = wire();
    return { ...wires, ...directOn(wires.channel) };
  };

  it('[ROUTE-9] passes everything unchanged, both ways', async () => {
    const { routing, sent, says } = direct();
    const session = new Ear();
    routing.attach(session);
    const messages: JsonRpcMessage[] = [
      request(1, 'initialize', { protocolVersion: '2026-07-28', capabilities: { sampling: {} } }),
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      request('1', 'ping'),
      request('p', 'tools/call', { _meta: { progressToken: 'mine' } }),
      request('d', 'server/discover'),
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'other' } },
      { jsonrpc: '2.0', id: 'never-asked', result: {} },
    ];
    for (const message of messages) await routing.send(message);
    expect(await sent()).toEqual(messages);
    const answers = [
      { jsonrpc: '2.0', id: 'ping', method: 'ping' },
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'mine', progress: 1 } },
      { jsonrpc: '2.0', id: 1, result: {} },
      { jsonrpc: '2.0', id: 77, result: 'to nothing' },
    ];
    await says(...answers);
    expect(session.heard).toEqual(answers);
    expect(routing.openRequests).toBe(3);
    routing.detach();
    expect(routing.openRequests).toBe(0);
  });

  it('[FLOW-2] keeps no more than 16 MB of the names of tools that its client calls', async () => {
    const { routing } = directOn(wire(new WriteBudget(640_000_000)).channel);
    routing.attach(new Ear());
    const call = (id: number) => request(id, 'tools/call', { name: 'x'.repeat(4 * 1_048_576) });
    for (let id = 0; id < 4; id++) void routing.send(call(id));
    expect(await rejection(routing.send(call(4)))).toMatchObject({ code: 'BUFFER_FULL' });
    expect(routing.openRequests).toBe(4);
    await flush();
    routing.detach();
  });

  it('[ROUTE-8] answers every open request when the server is lost', async () => {
    const { routing, sent } = direct();
    const session = new Ear();
    routing.attach(session);
    await routing.send(request(1));
    await routing.send(request('1', 'resources/read'));
    await sent();
    routing.fail(crash);
    expect(session.heard).toMatchObject([
      { id: 1, error: { data: { retryable: false } } },
      { id: '1', error: { data: { retryable: true } } },
    ]);
  });

  it('[ROUTE-3] counts no request as open that was cancelled', async () => {
    const { routing, sent } = direct();
    const session = new Ear();
    routing.attach(session);
    await routing.send(request(1));
    await routing.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    await sent();
    expect(routing.openRequests).toBe(0);
  });

  it('[CONN-3] [EXIT-1] rejects or answers what could not be written when it is known why, once', async () => {
    const { routing, stdin, hold } = direct();
    const session = new Ear();
    routing.attach(session);
    stdin.destroy();
    const sending = routing.send(request(1));
    const note = routing.send({ jsonrpc: '2.0', method: 'notifications/x' });
    const later = flush().then(() => routing.send(request(2)));
    expect([await outcome(sending), await outcome(note), await outcome(later)]).toEqual(Array(3).fill('pending'));
    expect([routing.openRequests, hold.count > 0]).toEqual([2, true]);
    routing.fail(crash);
    expect(await rejection(note)).toBe(crash);
    await Promise.all([sending, later]);
    expect(ids(session.heard)).toEqual([1, 2]);
    expect([routing.openRequests, hold.count]).toEqual([0, 0]);
  });

  it('[CONN-3] [EXIT-1] waits for no reason once the session has ended', async () => {
    const { routing, stdin } = direct();
    routing.attach(new Ear());
    stdin.destroy();
    const note = routing.send({ jsonrpc: '2.0', method: 'notifications/x' });
    await flush();
    routing.detach();
    expect(await rejection(note)).toMatchObject({ code: 'SERVER_EXITED' });
  });
});
