import { describe, expect, it } from 'vitest';
import type { Answer, JsonRpcMessage } from '../../../src/protocol/json-rpc.js';
import { Tasks } from '../../../src/protocol/mux/tasks.js';

const created = (taskId: unknown): Answer => ({ result: { task: { taskId, status: 'working' } } });
const list = (...taskIds: unknown[]): JsonRpcMessage => ({
  ...{ jsonrpc: '2.0', id: 1 },
  result: { tasks: taskIds.map((taskId) => ({ taskId })), nextCursor: 'n' },
});

describe('Tasks', () => {
  it('[SHARE-3] belong to the session that began them with its request', () => {
    const tasks = new Tasks<string>();
    tasks.began('a', created('t1'), undefined);
    tasks.began('b', created('t2'), undefined);
    // An id that is taken is not the next one's.
    tasks.began('b', created('t1'), undefined);
    expect(['t1', 't2', 't3', undefined, 1].map((id) => tasks.ownerOf(id))).toEqual([
      ...['a', 'b', undefined],
      ...[undefined, undefined],
    ]);
  });

  it('[SHARE-3] are none where the answer is an error, an ordinary result, or nonsense', () => {
    const tasks = new Tasks<string>();
    const answers: Answer[] = [
      ...[created(undefined), created(1), { result: {} }, { result: null }, { result: { task: 'x' } }],
      { error: { code: 1, message: 'no' } },
    ];
    for (const answer of answers) tasks.began('a', answer, { wireId: 1, token: 't' });
    expect(tasks.ownerOf(1)).toBeUndefined();
    expect(tasks.ownerOfToken(1)).toBeUndefined();
    expect(tasks.drop('a')).toEqual([]);
  });

  it('[SHARE-3] are listed for their own session', () => {
    const tasks = new Tasks<string>();
    for (const id of ['t1', 't3']) tasks.began('a', created(id), undefined);
    tasks.began('b', created('t2'), undefined);
    const answer = list('t3', 't2', 'of none', undefined, 't1');
    expect(tasks.filterList('a', answer)).toEqual(list('t3', 't1'));
    expect(tasks.filterList('b', answer)).toEqual(list('t2'));
    expect(tasks.filterList('c', answer)).toEqual(list());
    const error: JsonRpcMessage = { jsonrpc: '2.0', id: 1, error: { code: 1, message: 'no' } };
    expect(tasks.filterList('a', error)).toBe(error);
  });

  it('[SHARE-3] [SHARE-1] have progress for their session, with its own token, until they are over', () => {
    for (const last of ['completed', 'failed', 'cancelled']) {
      const tasks = new Tasks<string>();
      tasks.began('a', created('t1'), { wireId: 7, token: '7' });
      for (const state of ['working', 'input_required', undefined]) tasks.statusChanged('t1', state);
      tasks.statusChanged('unknown', last);
      expect(tasks.ownerOfToken(7)).toEqual({ session: 'a', token: '7' });
      expect(tasks.ownerOfToken('7')).toBeUndefined();
      tasks.statusChanged('t1', last);
      expect(tasks.ownerOfToken(7)).toBeUndefined();
      // Its result can still be asked for.
      expect(tasks.ownerOf('t1')).toBe('a');
    }
  });

  it('[SHARE-4] are forgotten with their session, and `drop` returns those that it began', () => {
    const tasks = new Tasks<string>();
    tasks.began('a', created('t1'), { wireId: 1, token: 'x' });
    tasks.began('b', created('t2'), { wireId: 2, token: 'x' });
    tasks.began('a', created('t3'), undefined);
    expect(tasks.drop('a')).toEqual(['t1', 't3']);
    expect(tasks.drop('a')).toEqual([]);
    expect(['t1', 't2', 't3'].map((id) => tasks.ownerOf(id))).toEqual([undefined, 'b', undefined]);
    expect([1, 2].map((id) => tasks.ownerOfToken(id))).toEqual([undefined, { session: 'b', token: 'x' }]);
    tasks.clear();
    expect(tasks.ownerOf('t2')).toBeUndefined();
    expect(tasks.ownerOfToken(2)).toBeUndefined();
    expect(tasks.drop('b')).toEqual([]);
  });

  it('[SHARE-3] [FLOW-2] are remembered up to a thousand for a session, the newest of them', () => {
    const tasks = new Tasks<string>();
    tasks.began('b', created('of b'), undefined);
    for (let index = 0; index < 1_005; index++) tasks.began('a', created(`t${index}`), { wireId: index, token: 't' });
    expect(['t0', 't4', 't5', 't1004', 'of b'].map((id) => tasks.ownerOf(id))).toEqual([
      ...[undefined, undefined, 'a', 'a', 'b'],
    ]);
    expect([4, 5].map((id) => tasks.ownerOfToken(id)?.session)).toEqual([undefined, 'a']);
    expect(tasks.drop('a')).toHaveLength(1_000);
  });
});
