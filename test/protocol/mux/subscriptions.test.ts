import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../../src/protocol/json-rpc.js';
import type { Asker } from '../../../src/protocol/mux/latest-wish.js';
import { Subscriptions } from '../../../src/protocol/mux/subscriptions.js';

interface Ask extends Asker<string> {
  readonly number: number;
}
interface Sent {
  readonly method: string;
  readonly uri: string;
  readonly onAnswer: (answer: Answer | undefined) => void;
}

const OK: Answer = { result: {} };
const NO: Answer = { error: { code: -32_002, message: 'no such resource' } };

/** Subscriptions, with the server and the sessions written down. */
function subscriptions() {
  const sent: Sent[] = [];
  const answers: [number, Answer][] = [];
  let number = 0;
  const all = new Subscriptions<string, Ask>({
    send: (method, params, _how, onAnswer) => sent.push({ method, uri: (params as { uri: string }).uri, onAnswer }),
    answer: (asker, answer) => answers.push([asker.number, answer]),
  });
  /** Returns its number; an answer that is known at once is an answer like any other. */
  const ask = (what: 'subscribe' | 'unsubscribe', session: string, uri: string) => {
    const asker = { session, number: ++number };
    const answer = all[what]({ jsonrpc: '2.0', params: { uri } }, asker);
    if (answer) answers.push([number, answer]);
    return number;
  };
  const words = () => sent.map(({ method, uri }) => `${method.slice('resources/'.length)} ${uri}`);
  return { all, ask, sent, words, answers };
}

describe('Subscriptions', () => {
  it('[SHARE-2] reports the first and the last subscriber of each URI to the server', () => {
    const { ask, sent, words, answers } = subscriptions();
    ask('subscribe', 'a', 'x');
    ask('subscribe', 'b', 'x');
    expect(answers).toEqual([]);
    sent[0]?.onAnswer(OK);
    expect(answers).toEqual([
      [1, OK],
      [2, OK],
    ]);
    ask('subscribe', 'c', 'x');
    ask('subscribe', 'a', 'y');
    ask('unsubscribe', 'a', 'x');
    ask('unsubscribe', 'c', 'x');
    ask('unsubscribe', 'd', 'x');
    expect(words()).toEqual(['subscribe x', 'subscribe y']);
    ask('unsubscribe', 'b', 'x');
    expect(words()).toEqual(['subscribe x', 'subscribe y', 'unsubscribe x']);
    sent[2]?.onAnswer(NO);
    expect(answers.at(-1)).toEqual([8, NO]);
  });

  it('[SHARE-2] has no subscriber when the server refuses the first', () => {
    const { all, ask, sent, words, answers } = subscriptions();
    ask('subscribe', 'a', 'x');
    ask('subscribe', 'b', 'x');
    sent[0]?.onAnswer(NO);
    expect(answers).toEqual([
      [1, NO],
      [2, NO],
    ]);
    expect([...all.subscribers('x')]).toEqual([]);
    ask('subscribe', 'b', 'x');
    expect(words()).toEqual(['subscribe x', 'subscribe x']);
    all.drop('a');
    expect(words()).toHaveLength(2);
  });

  it('[SHARE-2] finds the subscribers of a URI, and of what it is part of', () => {
    const { all, ask } = subscriptions();
    ask('subscribe', 'dir', 'file:///d');
    ask('subscribe', 'slash', 'file:///d/');
    ask('subscribe', 'root', 'file:///');
    ask('subscribe', 'other', 'file:///do');
    for (const [uri, sessions] of [
      ['file:///d/x/y', ['dir', 'root', 'slash']],
      ['file:///d?x', ['dir', 'root']],
      ['file:///d#x', ['dir', 'root']],
      ['file:///dx', ['root']],
      ['file:///e', ['root']],
      ['http://d', []],
      ['', []],
    ] as const) {
      expect([...all.subscribers(uri)].sort(), uri).toEqual(sessions);
    }
    expect([...all.subscribers('file:///d')]).toContain('dir');
    expect([...all.subscribers('file:///d')]).not.toContain('slash');
  });

  it('[FAIL-2] [SHARE-4] subscribes again at the next server to what is still wanted, and answers the subscribers that waited', () => {
    const { all, ask, sent, words, answers } = subscriptions();
    for (const uri of ['x', 'y', 'z']) ask('subscribe', 'a', uri);
    ask('subscribe', 'b', 'z');
    sent[0]?.onAnswer(OK);
    sent[1]?.onAnswer(OK);
    sent[2]?.onAnswer(undefined);
    ask('unsubscribe', 'a', 'y');
    sent[3]?.onAnswer(OK);
    expect(answers.map(([number]) => number)).toEqual([1, 2, 5]);
    sent.length = 0;
    all.replay();
    expect(words()).toEqual(['subscribe x', 'subscribe z']);
    sent[1]?.onAnswer(OK);
    sent[0]?.onAnswer(OK);
    expect(answers.map(([number]) => number)).toEqual([1, 2, 5, 3, 4]);
    sent.length = 0;
    all.drop('a');
    all.drop('a');
    expect(words()).toEqual(['unsubscribe x']);
    all.drop('b');
    expect(words()).toEqual(['unsubscribe x', 'unsubscribe z']);
  });

  it('[SHARE-2] [SHARE-4] leaves the server with exactly what is wanted, and every asker with one answer', () => {
    const step = fc.record({
      does: fc.constantFrom('subscribe', 'subscribe', 'unsubscribe', 'drop', 'answer', 'answer'),
      session: fc.constantFrom('a', 'b', 'c'),
      uri: fc.constantFrom('x', 'y'),
      refuses: fc.integer({ min: 0, max: 3 }).map((value) => value === 0),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const { all, ask, sent, answers } = subscriptions();
        // A server does one thing after the other.
        const server = new Set<string>();
        /** What each session would have at a server of its own, as far as the server does not refuse it. */
        const wanted = new Map<string, Set<string>>(['x', 'y'].map((uri) => [uri, new Set()]));
        const asked: number[] = [];
        const givingBack = new Set<number>();
        let refused: number[] = [];
        const answer = (refuses: boolean) => {
          const next = sent.shift();
          if (next === undefined) return;
          const { method, uri, onAnswer } = next;
          const isRefused = refuses && method === 'resources/subscribe';
          if (method === 'resources/unsubscribe') server.delete(uri);
          else if (!isRefused) server.add(uri);
          const before = answers.length;
          onAnswer(isRefused ? NO : OK);
          if (isRefused) wanted.get(uri)?.clear();
          const answered = answers.slice(before).map(([number]) => number);
          if (isRefused) refused = [...refused, ...answered.filter((number) => !givingBack.has(number))];
        };
        for (const { does, session, uri, refuses } of steps) {
          if (does === 'answer') answer(refuses);
          else if (does === 'drop') {
            for (const sessions of wanted.values()) sessions.delete(session);
            all.drop(session);
          } else {
            const number = ask(does as 'subscribe' | 'unsubscribe', session, uri);
            asked.push(number);
            if (does === 'unsubscribe') givingBack.add(number);
            if (does === 'subscribe') wanted.get(uri)?.add(session);
            else wanted.get(uri)?.delete(session);
          }
          for (const [each, sessions] of wanted)
            expect([...all.subscribers(each)].sort()).toEqual([...sessions].sort());
        }
        while (sent.length > 0) answer(false);
        expect([...server].sort()).toEqual([...wanted.keys()].filter((uri) => wanted.get(uri)?.size).sort());
        expect(answers.map(([number]) => number).sort((x, y) => x - y)).toEqual(asked);
        for (const [number, { error }] of answers) expect(error !== undefined).toBe(refused.includes(number));
      }),
      { numRuns: 500 },
    );
  });
});
