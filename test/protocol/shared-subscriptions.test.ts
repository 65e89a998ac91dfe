import { describe, expect, it } from 'vitest';
import { WriteBudget } from '../../src/protocol/channels/write-budget.js';
import type { JsonRpcMessage } from '../../src/protocol/json-rpc.js';
import {
  answer,
  answerAll,
  cancel,
  failure,
  log,
  methods,
  note,
  setLevel,
  shared,
  subscribe,
  unsubscribe,
  updated,
} from '../helpers/shared-server.js';
import { outcome } from '../helpers/until.js';
import { attach, ids, multiplexed, request } from '../helpers/wire.js';

describe('log levels at a shared server', () => {
  it('[SHARE-2] sends the server the most verbose level, and each session the logs that it asked for', async () => {
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

  it('[SHARE-2] gives logs to all while no session has asked for a level, and asks the server for none', async () => {
    const { a, b, join, sent, says } = shared();
    join();
    expect(await sent()).toEqual([]);
    await says(log('debug'));
    expect([a.ear.heard, b.ear.heard]).toEqual([[log('debug')], [log('debug')]]);
  });

  it('[SHARE-2] gives an error of the server to the asker, which keeps the level it had', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(setLevel(1, 'error'));
    await b.at.send(setLevel(1, 'error'));
    await answerAll({ sent, says });
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
    await answerAll({ sent, says });
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
  it('[SHARE-2] reports only the first and the last to the server', async () => {
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

  it('[SHARE-2] gives the error that the first gets to those that waited for it, and has no subscriber then', async () => {
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
    expect(methods(await answerAll({ sent, says }))).toEqual(['resources/subscribe', 'resources/unsubscribe']);
    await says(updated('a'));
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
    const [first, ...others] = await sent();
    expect(others).toEqual([]);
    await says(answer(first?.id, { of: 'the server' }), updated('a'));
    expect(await sent()).toEqual([]);
    expect(a.ear.heard).toEqual([answer(1, { of: 'the server' }), answer(2)]);
    expect(b.ear.heard).toEqual([answer(3), updated('a')]);
  });

  it('[SHARE-2] sends updates of a resource to the sessions that subscribed to it, or to what it is part of', async () => {
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

  it('[SHARE-2] sends the update to the subscriber of the whole, also when another has subscribed to the part', async () => {
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

  it('[SHARE-2] [FLOW-2] answers a subscriber when its request could not be written', async () => {
    const { a, b, sent, says } = shared({ budget: new WriteBudget(300) });
    const sending = a.at.send(request(1, 'tools/call', { text: 'x'.repeat(400) }));
    const refused = b.at.send(subscribe(1)).catch(() => 'refused');
    await sending;
    for (const { id } of await sent()) await says(answer(id));
    const answered = (await outcome(refused)) === 'resolved' && (await refused) === 'refused';
    expect(answered || b.ear.heard.length > 0).toBe(true);
    expect(b.at.openRequests).toBe(0);
  });
});
