import { describe, expect, it } from 'vitest';
import {
  answer,
  answerAll,
  cancel,
  crash,
  failure,
  methods,
  setLevel,
  shared,
  subscribe,
  unsubscribe,
  updated,
} from '../helpers/shared-server.js';
import { attach, ids, multiplexed, request } from '../helpers/wire.js';

/** An exclusive server with sessions that follow each other. */
function exclusive(options: Parameters<typeof multiplexed>[0] = {}) {
  const all = multiplexed({ shared: false, ...options });
  const server = all.start();
  server.connect();
  return { ...all, ...server, server, join: () => attach(all.mux) };
}

describe('requests that the pool combines', () => {
  it('[ORDER-1] subscribes again only when the server has answered the unsubscription before it: shared', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await answerAll({ sent, says });
    a.at.detach();
    const [given] = await sent();
    await b.at.send(subscribe(1));
    expect(await sent()).toEqual([]);
    await says(answer(given?.id));
    const [taken] = await sent();
    expect(taken).toMatchObject({ method: 'resources/subscribe', params: { uri: 'a' } });
    expect(b.ear.heard).toEqual([]);
    await says(answer(taken?.id), updated('a'));
    expect(b.ear.heard).toEqual([answer(1), updated('a')]);
  });

  it('[ORDER-1] subscribes again only when the server has answered the unsubscription before it: exclusive', async () => {
    const { join, sent, says } = exclusive();
    const first = join();
    await first.at.send(subscribe(1));
    await answerAll({ sent, says });
    first.at.detach();
    const next = join();
    await next.at.send(subscribe(1));
    const [given, ...none] = await sent();
    expect([given?.method, none]).toEqual(['resources/unsubscribe', []]);
    await says(answer(given?.id));
    expect(methods(await answerAll({ sent, says }))).toEqual(['resources/subscribe']);
    expect(next.ear.heard).toEqual([answer(1)]);
  });

  it('[ORDER-1] sends the next level when the server has answered the one before: shared and exclusive', async () => {
    for (const { join, sent, says } of [shared(), exclusive()]) {
      const first = join();
      await first.at.send(setLevel(1, 'error'));
      const [early] = await sent();
      first.at.detach();
      const next = join();
      await next.at.send(setLevel(1, 'emergency'));
      await next.at.send(setLevel(2, 'debug'));
      expect(await sent()).toEqual([]);
      await says(answer(early?.id));
      const late = await answerAll({ sent, says });
      // What was wanted in between is not sent at all.
      expect(late.map(({ params }) => params).filter((params) => params !== undefined)).toEqual(
        early?.params && (early.params as { level: string }).level === 'debug' ? [] : [{ level: 'debug' }],
      );
      expect(ids(next.ear.heard)).toEqual([1, 2]);
    }
  });

  it('[ORDER-1] sends nothing that was only wanted while the server was busy', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await a.at.send(unsubscribe(2));
    await b.at.send(subscribe(3));
    await b.at.send(unsubscribe(4));
    await a.at.send(subscribe(5));
    const wire = await answerAll({ sent, says });
    expect(methods(wire)).toEqual(['resources/subscribe']);
    expect([ids(a.ear.heard), ids(b.ear.heard)]).toEqual([
      [1, 2, 5],
      [3, 4],
    ]);
  });

  it('[ORDER-1] does not mix up URIs: what one waits for does not delay another', async () => {
    const { a, sent, says } = shared();
    for (const [index, uri] of ['x', 'y', 'z'].entries()) await a.at.send(subscribe(index, uri));
    const wire = await sent();
    expect(wire.map(({ params }) => params)).toEqual([{ uri: 'x' }, { uri: 'y' }, { uri: 'z' }]);
    await a.at.send(unsubscribe('end', 'y'));
    await says(answer(wire[1]?.id));
    expect(await sent()).toMatchObject([{ method: 'resources/unsubscribe', params: { uri: 'y' } }]);
  });

  it('[ORDER-1] goes on after a time when the server never answers, also with maxInFlight: 1', async () => {
    for (const maxInFlight of [1, Infinity]) {
      const { a, b, sent, clock } = shared({ maxInFlight });
      await a.at.send(subscribe(1));
      await sent();
      a.at.detach();
      await b.at.send(subscribe(1));
      void b.at.send(request(2));
      expect(methods(await sent())).toEqual(maxInFlight === 1 ? [] : ['tools/call']);
      clock.advance(60_000);
      expect(b.ear.heard).toMatchObject([{ id: 1, error: { code: -32_000 } }]);
      expect(methods(await sent())).toEqual(maxInFlight === 1 ? ['tools/call'] : []);
    }
  });

  it.each([
    ['a crash', true],
    ['a replacement', false],
  ])(
    '[ORDER-4] goes on after a time when the next process never answers what it is asked for again: %s',
    async (_what, isLost) => {
      for (const maxInFlight of [1, Infinity]) {
        const { a, b, mux, upstream, start, sent, says, clock } = shared({ maxInFlight });
        await a.at.send(setLevel(1, 'error'));
        await a.at.send(subscribe(2));
        await answerAll({ sent, says });
        if (isLost) mux.lose(upstream, crash);
        const next = start();
        next.connect();
        expect(methods(await next.sent())).toEqual(['logging/setLevel', 'resources/subscribe']);
        await b.at.send(subscribe(1));
        await b.at.send(setLevel(2, 'error'));
        expect(await next.sent()).toEqual([]);
        clock.advance(60_000);
        expect(b.ear.heard).toMatchObject([{ id: 1, error: { code: -32_000 } }]);
        expect(await answerAll(next)).toMatchObject([{ method: 'logging/setLevel', params: { level: 'error' } }]);
        await b.at.send(subscribe(3));
        expect(methods(await answerAll(next))).toEqual(['resources/subscribe']);
        expect(b.ear.heard.slice(1)).toEqual([answer(2), answer(3)]);
        // The next one answers, or is lost before: then nothing waits for it.
        const last = start();
        last.connect();
        await last.sent();
        mux.lose(last.upstream, crash);
        mux.lose(next.upstream, crash);
        expect(clock.pending).toBe(0);
      }
    },
  );

  it('[ORDER-2] unsubscribes nothing that the server refused, whichever session leaves while it decides', async () => {
    const ends = {
      unsubscribe: (at: ReturnType<typeof attach>['at']) => at.send(unsubscribe(2)),
      cancel: (at: ReturnType<typeof attach>['at']) => at.send(cancel(1)),
      detach: async (at: ReturnType<typeof attach>['at']) => at.detach(),
    };
    for (const end of Object.values(ends)) {
      for (const { join, sent, says } of [shared(), exclusive()]) {
        const { at } = join();
        await at.send(subscribe(1));
        const [wire] = await sent();
        await end(at);
        await says(failure(wire?.id, -32_002));
        expect(await sent()).toEqual([]);
      }
    }
  });

  it('[ORDER-2] asks again for what the server refused to give back, and says what it answered', async () => {
    const { a, b, sent, says } = shared();
    await a.at.send(subscribe(1));
    await answerAll({ sent, says });
    await a.at.send(unsubscribe(2));
    await says(failure(ids(await sent())[0]));
    expect(a.ear.heard.at(-1)).toEqual(failure(2));
    expect(await sent()).toEqual([]);
    await b.at.send(subscribe(1));
    expect(methods(await answerAll({ sent, says }))).toEqual(['resources/subscribe']);
    expect(b.ear.heard).toEqual([answer(1)]);
  });

  it('[ORDER-1] [FAIL-2] asks the next process for the latest wish only, not for what the last one was busy with', async () => {
    for (const isLost of [true, false]) {
      const { a, b, mux, upstream, start, sent, says } = shared();
      await a.at.send(subscribe(1, 'x'));
      await a.at.send(subscribe(2, 'y'));
      await answerAll({ sent, says });
      await a.at.send(unsubscribe(3, 'x'));
      await a.at.send(unsubscribe(4, 'y'));
      await b.at.send(subscribe(5, 'y'));
      const late = await sent();
      if (isLost) mux.lose(upstream, crash);
      const next = start();
      next.connect();
      await says(...late.map(({ id }) => failure(id)));
      const wire = await answerAll(next);
      expect(wire).toMatchObject([{ method: 'resources/subscribe', params: { uri: 'y' } }]);
      expect(ids(a.ear.heard).sort()).toEqual([1, 2, 3, 4]);
      expect(b.ear.heard).toEqual([answer(5)]);
    }
  });
});

describe('requests that the pool sends for itself', () => {
  const tools = (...names: string[]) => ({ tools: names.map((name) => ({ name, inputSchema: {} })) });

  it('[ORDER-3] lists the tools again when the server has announced a change in between, a few times', async () => {
    for (const { shared: isShared } of [{ shared: true }, { shared: false }]) {
      const { mux, start, reported } = multiplexed({ shared: isShared, sessionsStay: true });
      const first = start();
      first.connect();
      const { at } = attach(mux);
      await at.send(request(1, 'tools/list', {}));
      await first.says(answer(ids(await first.sent())[0], tools('a')));
      mux.lose(first.upstream, crash);
      const next = start();
      next.connect();
      const changed = { method: 'notifications/tools/list_changed' };
      await next.says(changed, answer(ids(await next.sent())[0], tools('a')));
      expect(reported.tools).toEqual([]);
      await next.says(answer(ids(await next.sent())[0], tools('a', 'b')));
      expect(reported.tools).toMatchObject([{ added: ['b'] }]);
      expect(await next.sent()).toEqual([]);
      // One that announces a change whenever it is asked.
      const last = start();
      last.connect();
      let asked = 0;
      for (let wire = await last.sent(); wire.length > 0; wire = await last.sent()) {
        asked += wire.length;
        await last.says(changed, ...wire.map(({ id }) => answer(id, tools('a'))));
      }
      expect(asked).toBe(3);
      expect(reported.tools).toMatchObject([{ added: ['b'] }, { lost: ['b'] }]);
    }
  });
});
