import { describe, expect, it } from 'vitest';
import type { GivenUp } from '../../src/protocol/mux/given-up.js';
import { answer, cancel, failure, named, setLevel, shared, subscribe } from '../helpers/shared-server.js';
import { ids, request } from '../helpers/wire.js';

const isOpen = ({ givenUp: { any, isDoubtful } }: { givenUp: GivenUp }) => ({ any, isDoubtful });
const CLEAN = { any: false, isDoubtful: false };
const DOUBTFUL = { any: true, isDoubtful: true };
const ALIVE = { any: true, isDoubtful: false };

describe('the requests that a process got and that were given up', () => {
  it('[GIVEUP-2] [GIVEUP-4] are remembered until they are answered; an answer to a later request shows that it lives', async () => {
    const { a, b, upstream, sent, says } = shared();
    expect(isOpen(upstream)).toEqual(CLEAN);
    await a.at.send(named('a1'));
    await b.at.send(named('b1'));
    await a.at.send(cancel('a1'));
    const [a1, b1] = ids(await sent());
    expect(isOpen(upstream)).toEqual(DOUBTFUL);
    // It was sent before.
    await says(answer(b1));
    expect(isOpen(upstream)).toEqual(DOUBTFUL);
    await b.at.send(named('b2'));
    await says(answer(ids(await sent())[0]));
    expect(isOpen(upstream)).toEqual(ALIVE);
    await says(answer(a1, 'late'));
    expect(isOpen(upstream)).toEqual(CLEAN);
    expect(a.ear.heard).toEqual([]);
  });

  it('[GIVEUP-4] are answered by an error, too, and by a request of the pool itself', async () => {
    const { a, upstream, sent, says } = shared();
    for (const name of ['a1', 'a2']) await a.at.send(named(name));
    for (const name of ['a1', 'a2']) await a.at.send(cancel(name));
    const [a1, a2] = ids(await sent());
    upstream.request('ping', undefined, () => {});
    await says(failure(a1));
    expect(isOpen(upstream)).toEqual(DOUBTFUL);
    await says(failure(ids(await sent())[0], -32_601));
    expect(isOpen(upstream)).toEqual(ALIVE);
    await says(failure(a2));
    expect(isOpen(upstream)).toEqual(CLEAN);
  });

  it('[GIVEUP-3] are those of a session that ends, or has lost its server', async () => {
    for (const end of ['detach', 'fail'] as const) {
      const { a, upstream, sent, says } = shared();
      await a.at.send(named('a1'));
      const [a1] = ids(await sent());
      if (end === 'detach') a.at.detach();
      else a.at.fail({ message: 'taken back', code: 'LEASE_RECLAIMED', data: {} } as never);
      expect(isOpen(upstream)).toEqual(DOUBTFUL);
      await says(answer(a1));
      expect(isOpen(upstream)).toEqual(CLEAN);
    }
  });

  it('[GIVEUP-2] are those that keep their place with maxInFlight, too', async () => {
    const { a, upstream, sent, says } = shared({ maxInFlight: 1 });
    await a.at.send(named('a1'));
    const [a1] = ids(await sent());
    await a.at.send(cancel('a1'));
    expect([isOpen(upstream), upstream.openRequests]).toEqual([DOUBTFUL, 1]);
    await says(answer(a1, 'late'));
    expect([isOpen(upstream), upstream.openRequests]).toEqual([CLEAN, 0]);
  });

  it('[GIVEUP-4] are not those that wait for their turn, for a process, or to be sent again', async () => {
    const { a, b, mux, upstream, start, sent } = shared({ maxInFlight: 1 });
    await a.at.send(named('a1', 'resources/read'));
    void b.at.send(named('b1'));
    await b.at.send(cancel('b1'));
    void b.at.send(named('b2'));
    b.at.detach();
    expect(isOpen(upstream)).toEqual(CLEAN);
    await sent();
    mux.lose(upstream, { message: 'lost', code: 'SERVER_EXITED', data: {} } as never);
    await a.at.send(cancel('a1'));
    const next = start();
    next.connect();
    expect(await next.sent()).toEqual([]);
    expect([isOpen(upstream), isOpen(next.upstream)]).toEqual([CLEAN, CLEAN]);
  });

  it.each([
    ['subscribe', subscribe('s')],
    ['set level', setLevel('s', 'error')],
  ])('[GIVEUP-2] are those that the pool combines with others: %s', async (_what, message) => {
    const { a, upstream, sent, says } = shared();
    await a.at.send(message);
    const [own] = ids(await sent());
    await a.at.send(cancel('s'));
    expect(isOpen(upstream)).toEqual(DOUBTFUL);
    await says(answer(own));
    // What followed from the cancellation.
    for (const id of ids(await sent())) await says(answer(id));
    expect(isOpen(upstream)).toEqual(CLEAN);
  });

  it('[GIVEUP-4] are not those that the pool has sent for other sessions', async () => {
    const { a, b, mux, upstream, start, sent, says } = shared();
    await a.at.send(subscribe('s', 'x'));
    await b.at.send(subscribe('s', 'y'));
    const [own, other] = ids(await sent());
    await a.at.send(cancel('s'));
    expect(isOpen(upstream)).toEqual(DOUBTFUL);
    await says(answer(own));
    expect(isOpen(upstream)).toEqual(CLEAN);
    await says(answer(other));
    expect(b.ear.heard).toEqual([answer('s')]);
    // Nor those that the next process is asked for again.
    mux.lose(upstream, { message: 'lost', code: 'SERVER_EXITED', data: {} } as never);
    const next = start();
    next.connect();
    expect(ids(await next.sent())).toHaveLength(1);
    await a.at.send(subscribe('t', 'z'));
    const [mine] = ids(await next.sent());
    a.at.detach();
    await next.says(answer(mine));
    expect(isOpen(next.upstream)).toEqual(CLEAN);
  });

  it('[GIVEUP-2] are the tasks of a session that ends, until the server has cancelled them', async () => {
    const { a, upstream, sent, says } = shared();
    await a.at.send(request('t', 'tools/call', { name: 'x', task: {} }));
    const [id] = ids(await sent());
    await says(answer(id, { task: { taskId: 'one', status: 'working' } }));
    expect(isOpen(upstream)).toEqual(CLEAN);
    a.at.detach();
    const [cancelled] = await sent();
    expect(cancelled).toMatchObject({ method: 'tasks/cancel' });
    expect(isOpen(upstream)).toEqual(DOUBTFUL);
    await says(answer(cancelled?.id));
    expect(isOpen(upstream)).toEqual(CLEAN);
  });

  it('[GIVEUP-1] are bounded: beyond that, it is never known that all were answered', () => {
    const { upstream } = shared();
    const givenUp = upstream.givenUp;
    for (let id = 1; id <= 10_001; id++) givenUp.add(id, id + 1);
    for (let id = 1; id <= 10_001; id++) givenUp.answered(id);
    expect(isOpen({ givenUp })).toEqual(DOUBTFUL);
    givenUp.answered(10_002);
    expect(isOpen({ givenUp })).toEqual(ALIVE);
  });
});
