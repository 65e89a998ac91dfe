import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { JsonRpcMessage } from '../../src/protocol/json-rpc.js';
import type { Attachment, Endpoint, Routing } from '../../src/protocol/routing.js';
import { Session, type SessionEnd } from '../../src/protocol/session.js';
import { Outbox } from '../../src/runtime/outbox.js';
import { flush, rejection } from '../helpers/until.js';

const released: SessionEnd = { asked: true, error: () => new PoolError('LEASE_RELEASED', 'it was released') };
const crashed: SessionEnd = { asked: false, error: () => new PoolError('SERVER_EXITED', 'it crashed') };
const message: JsonRpcMessage = { jsonrpc: '2.0', method: 'note' };
const lost: JsonRpcMessage = { jsonrpc: '2.0', id: 1, error: { code: -32_000, message: 'lost' } };

class FakeRouting implements Routing, Attachment {
  readonly openRequests = 0;
  readonly requests = () => [];
  readonly calls: string[] = [];
  readonly sent: JsonRpcMessage[] = [];
  /** Given to the session when it fails, as the answers to its open requests. */
  answers: JsonRpcMessage[] = [];
  #session: Endpoint | undefined;

  attach(session: Endpoint): Attachment {
    this.#session = session;
    this.calls.push('attach');
    return this;
  }

  async send(sent: JsonRpcMessage): Promise<void> {
    this.sent.push(sent);
  }

  receive(received: JsonRpcMessage): void {
    this.#session?.receive(received);
  }

  detach(): void {
    this.calls.push('detach');
  }

  fail(): void {
    this.calls.push('fail');
    for (const answer of this.answers.splice(0)) this.#session?.receive(answer);
  }
}

function session() {
  const routing = new FakeRouting();
  const asked: string[] = [];
  const outbox = new Outbox();
  const made: Session = new Session(routing, {
    outbox,
    closeRequested: () => {
      asked.push('close');
      made.end(released);
    },
    touched: () => asked.push('touched'),
  });
  const reported: string[] = [];
  made.onmessage = (received) => reported.push(received.method ?? 'answer');
  made.onclose = () => reported.push('close');
  made.onerror = (error) => reported.push(`error ${error.message}`);
  return { session: made, routing, outbox, asked, reported };
}

describe('Session', () => {
  it('[SESS-3] sends only between its start and its end', async () => {
    const { session: one, routing } = session();
    expect(await rejection(one.send(message))).toMatchObject({ message: expect.stringContaining('not started') });
    await one.start();
    await one.send(message, { relatedRequestId: 1 });
    expect(routing.sent).toEqual([message]);
    one.end(released);
    expect(await rejection(one.send(message))).toMatchObject({ code: 'LEASE_RELEASED' });
    expect(await rejection(one.start())).toMatchObject({ code: 'LEASE_RELEASED' });
    expect(routing.sent).toEqual([message]);
  });

  it('[SESS-3] starts once', async () => {
    const { session: one, routing } = session();
    await one.start();
    expect(await rejection(one.start())).toMatchObject({ message: expect.stringContaining('started already') });
    expect(routing.calls).toEqual(['attach']);
  });

  it('has no sessionId, pid or stderr: a client would skip initialize, or probe by itself', () => {
    const { session: one } = session();
    for (const name of ['sessionId', 'pid', 'stderr']) expect(name in one).toBe(false);
  });

  it('[SESS-1] closes once, whichever side asks for it and however often', async () => {
    const { session: one, reported, routing } = session();
    await one.start();
    await one.close();
    await one.close();
    one.end(crashed);
    one.end(released);
    expect(reported).toEqual(['close']);
    expect(routing.calls).toEqual(['attach', 'detach']);
  });

  it('[SESS-1] reports the reason first when its end was not asked for', async () => {
    const { session: one, reported, routing } = session();
    await one.start();
    routing.answers = [lost];
    one.end(crashed);
    await one.close();
    expect(reported).toEqual(['answer', 'error it crashed', 'close']);
    expect(routing.calls).toEqual(['attach', 'fail', 'detach']);
  });

  it('[SESS-1] closes once when a client closes as soon as it learns that its request is lost', async () => {
    const { session: one, reported, routing } = session();
    await one.start();
    one.onmessage = () => void one.close();
    routing.answers = [lost, lost];
    one.end(crashed);
    expect(reported.filter((what) => what === 'close')).toEqual(['close']);
  });

  it('[SESS-1] closes once when a handler closes in onerror or in onclose itself', async () => {
    const { session: one, reported } = session();
    await one.start();
    const { onclose } = one;
    one.onerror = () => void one.close();
    one.onclose = () => {
      void one.close();
      onclose?.();
    };
    one.end(crashed);
    expect(reported).toEqual(['close']);
  });

  it('[SESS-1] closes a session that was never started', () => {
    const { session: one, reported } = session();
    one.end(released);
    expect(reported).toEqual(['close']);
  });

  it('[ROUTE-2] passes nothing on after its end', async () => {
    const { session: one, reported, routing } = session();
    await one.start();
    routing.receive(message);
    one.end(released);
    routing.receive(message);
    expect(reported).toEqual(['note', 'close']);
  });

  it('[SESS-2] calls the handlers that a client has chained', async () => {
    const { session: one, routing } = session();
    const calls: string[] = [];
    // As the protocol class of the SDK does it.
    const { onclose, onerror, onmessage } = one;
    one.onclose = () => {
      onclose?.();
      calls.push('close');
    };
    one.onerror = (error) => {
      onerror?.(error);
      calls.push('error');
    };
    one.onmessage = (received, extra) => {
      onmessage?.(received, extra);
      calls.push('message');
    };
    await one.start();
    routing.receive(message);
    one.end(crashed);
    expect(calls).toEqual(['message', 'error', 'close']);
  });

  it('[SESS-2] survives handlers that throw, and reports it to onerror', async () => {
    const { session: one, routing } = session();
    const errors: unknown[] = [];
    let calls = 0;
    one.onmessage = () => {
      calls += 1;
      throw new Error('in onmessage');
    };
    one.onclose = () => {
      throw 'in onclose';
    };
    one.onerror = (error) => {
      errors.push(error.message);
      throw new Error('in onerror');
    };
    await one.start();
    routing.receive(message);
    routing.receive(message);
    one.end(crashed);
    expect(calls).toBe(2);
    expect(errors).toEqual(['in onmessage', 'in onmessage', 'it crashed', 'in onclose']);
    expect(routing.calls).toContain('detach');
  });

  it('[SESS-2] needs no handlers at all', async () => {
    const { session: one, routing } = session();
    delete one.onmessage;
    delete one.onclose;
    delete one.onerror;
    await one.start();
    routing.receive(message);
    expect(() => one.end(crashed)).not.toThrow();
  });

  it('[SESS-4] hands an answer over after the notifications before it were looked at, and keeps the order', async () => {
    const { session: one, routing } = session();
    const seen: string[] = [];
    // As the SDKs do it: a notification a microtask later, an answer at once.
    one.onmessage = ({ method, id }) => {
      if (method === undefined) seen.push(`answer ${id}`);
      else void Promise.resolve().then(() => seen.push(method));
    };
    await one.start();
    const answer = (id: number): JsonRpcMessage => ({ jsonrpc: '2.0', id, result: {} });
    const note = (method: string): JsonRpcMessage => ({ jsonrpc: '2.0', method });
    for (const each of [answer(1), note('a'), note('b'), answer(2), note('c'), answer(3), answer(4)]) {
      routing.receive(each);
    }
    expect(seen).toEqual(['answer 1']);
    await flush();
    expect(seen).toEqual(['answer 1', 'a', 'b', 'answer 2', 'c', 'answer 3', 'answer 4']);
  });

  it('[SESS-4] [DEATH-2] hands over what it holds before it ends', async () => {
    const { session: one, routing, reported } = session();
    await one.start();
    routing.receive(message);
    routing.receive(lost);
    expect(reported).toEqual(['note']);
    one.end(crashed);
    expect(reported).toEqual(['note', 'answer', 'error it crashed', 'close']);
  });

  it('[EVENT-6] calls its client when the operation is complete, in order, and no earlier', async () => {
    const { session: one, routing, outbox, reported } = session();
    await one.start();
    routing.receive(lost);
    outbox.hold();
    routing.receive(message);
    routing.receive(lost);
    one.report(new Error('a line'));
    expect(reported).toEqual(['answer']);
    outbox.release();
    expect(reported).toEqual(['answer', 'note', 'error a line']);
    await flush();
    expect(reported).toEqual(['answer', 'note', 'error a line', 'answer']);
    routing.answers = [lost];
    outbox.hold();
    routing.receive(message);
    one.end(crashed);
    expect(reported).toHaveLength(4);
    outbox.release();
    expect(reported.slice(4)).toEqual(['note', 'answer', 'error it crashed', 'close']);
  });

  it('[LEASE-1] counts what its client sends and is answered as activity, not what a server sends by itself', async () => {
    const { session: one, routing, asked } = session();
    await one.start();
    await one.send(message);
    routing.receive({ jsonrpc: '2.0', id: 1, result: {} });
    expect(asked).toEqual(['touched', 'touched']);
    routing.receive({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
    expect(asked).toEqual(['touched', 'touched']);
  });
});
