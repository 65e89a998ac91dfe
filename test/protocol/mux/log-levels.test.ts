import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer, JsonRpcMessage } from '../../../src/protocol/json-rpc.js';
import type { Asker } from '../../../src/protocol/mux/latest-wish.js';
import { hears, isLogLevel, type Listener, type LogLevel, LogLevels } from '../../../src/protocol/mux/log-levels.js';

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;

interface Ask extends Asker<Listener> {
  readonly onAnswer: (answer: Answer) => void;
}

/** A server that remembers the levels that it received, and answers when asked to. */
function levels() {
  const received: unknown[] = [];
  const open: ((answer: Answer | undefined) => void)[] = [];
  const all = new LogLevels<Ask>({
    send(method, params, _how, onAnswer) {
      expect(method).toBe('logging/setLevel');
      received.push((params as { level: unknown }).level);
      open.push(onAnswer);
    },
    answer: ({ onAnswer }, answer) => onAnswer(answer),
  });
  const logLevels = {
    attach: (listener: Listener) => all.attach(listener),
    detach: (listener: Listener) => all.detach(listener),
    replay: () => all.replay(),
    set: (session: Listener, level: LogLevel, onAnswer: (answer: Answer) => void) => {
      return all.set(level, { jsonrpc: '2.0', params: { level } }, { session, onAnswer });
    },
  };
  const join = (): Listener => {
    const listener: Listener = { level: undefined, isListening: false };
    logLevels.attach(listener);
    return listener;
  };
  const answer = (one: Answer | undefined) => open.shift()?.(one);
  return { logLevels, received, join, answer, hasOpen: () => open.length > 0 };
}

const wanting = (level: LogLevel | undefined): Listener => ({ level, isListening: true });
const log = (level?: unknown): JsonRpcMessage => ({
  ...{ jsonrpc: '2.0', method: 'notifications/message' },
  params: { level, data: 'x' },
});

describe('hears', () => {
  it('[SHARE-2] a listener what is at least as grave as it asked for', () => {
    for (const [own, level] of LEVELS.entries()) {
      for (const [other, said] of LEVELS.entries()) expect(hears(wanting(level), log(said))).toBe(other >= own);
    }
  });

  it('[SHARE-2] all that is unknown, and all for one that asked for nothing', () => {
    for (const level of [undefined, ...LEVELS]) {
      for (const said of ['verbose', undefined, 3]) expect(hears(wanting(level), log(said))).toBe(true);
      expect(hears(wanting(level), { jsonrpc: '2.0', method: 'notifications/message' })).toBe(true);
    }
    for (const said of LEVELS) expect(hears(wanting(undefined), log(said))).toBe(true);
  });

  it('[SHARE-2] knows the eight levels of the specification, and no others', () => {
    for (const level of LEVELS) expect(isLogLevel(level)).toBe(true);
    for (const level of ['Debug', 'warn', '', 0, undefined, null, ['debug']]) expect(isLogLevel(level)).toBe(false);
  });
});

describe('LogLevels', () => {
  it('[SHARE-2] answers at once when the server already has the level, else with what the server answers', () => {
    const { logLevels, received, join, answer } = levels();
    const [a, b] = [join(), join()];
    const answers: Answer[] = [];
    expect(logLevels.set(a, 'info', (late) => answers.push(late))).toBeUndefined();
    expect(received).toEqual(['debug']);
    answer({ result: { of: 'the server' } });
    expect(answers).toEqual([{ result: { of: 'the server' } }]);
    expect(logLevels.set(a, 'error', () => {})).toEqual({ result: {} });
    expect(logLevels.set(b, 'alert', (late) => answers.push(late))).toBeUndefined();
    expect(received).toEqual(['debug', 'error']);
    // A server that is lost gets it later.
    answer(undefined);
    expect(answers.at(-1)).toEqual({ result: {} });
  });

  it('[SHARE-2] goes back to the level before when the server refuses, unless another was asked for since', () => {
    const { logLevels, join, answer } = levels();
    const [a, b] = [join(), join()];
    logLevels.set(a, 'error', () => {});
    logLevels.set(b, 'error', () => {});
    answer({ result: {} });
    answer({ result: {} });
    const error = { code: -32_603, message: 'no' };
    logLevels.set(a, 'info', () => {});
    answer({ error });
    expect(a.level).toBe('error');
    logLevels.set(b, 'notice', () => {});
    logLevels.set(b, 'warning', () => {});
    answer({ error });
    expect(b.level).toBe('warning');
    // Nor does it go back to a level that was refused before.
    answer({ error });
    expect(b.level).toBe('error');
  });

  it('[SHARE-2] sends the server the most verbose level of the sessions that are there, as they come, go or change theirs', () => {
    const step = fc.record({
      does: fc.constantFrom('come', 'go', 'set', 'set', 'replay'),
      pick: fc.nat({ max: 100 }),
      level: fc.constantFrom<LogLevel>(...LEVELS),
      answers: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const { logLevels, received, join, answer, hasOpen } = levels();
        const listeners: Listener[] = [];
        let answered = 0;
        let asked = 0;
        let ofProcess = 0;
        for (const { does, pick, level, answers } of steps) {
          const listener = listeners[pick % Math.max(1, listeners.length)];
          if (does === 'come') listeners.push(join());
          else if (does === 'replay') {
            ofProcess = received.length;
            // The process is lost, with all that it was asked.
            while (hasOpen()) answer(undefined);
            logLevels.replay();
          } else if (listener && does === 'go') {
            listeners.splice(listeners.indexOf(listener), 1);
            logLevels.detach(listener);
          } else if (listener) {
            asked += 1;
            if (logLevels.set(listener, level, () => (answered += 1))) answered += 1;
            expect(listener.level).toBe(level);
          }
          if (answers) answer({ result: {} });
          // What came since the request on its way waits for its answer.
          if (hasOpen()) continue;
          const last = received.slice(ofProcess).at(-1);
          if (listeners.some((each) => each.level !== undefined)) {
            // It is not known what the server logs without a level, so one that asked for nothing must hear all.
            const wanted = LEVELS.find((one) => listeners.some((each) => (each.level ?? 'debug') === one));
            expect(last).toBe(wanted);
          } else expect(['debug', undefined]).toContain(last);
          // Never the same twice.
          const now = received.slice(ofProcess);
          expect(now.every((one, index) => one !== now[index - 1])).toBe(true);
        }
        while (answered < asked) answer({ result: {} });
        expect(answered).toBe(asked);
      }),
      { numRuns: 300 },
    );
  });

  it('[FAIL-2] sends the next server the level again, and nothing when no session has asked for one', () => {
    const { logLevels, received, join, answer } = levels();
    const a = join();
    logLevels.replay();
    expect(received).toEqual([]);
    logLevels.set(a, 'error', () => {});
    logLevels.replay();
    expect(received).toEqual(['error', 'error']);
    logLevels.detach(a);
    // The answer of the process before says nothing about this one.
    answer({ result: {} });
    expect(received).toHaveLength(2);
    answer({ result: {} });
    expect(received).toEqual(['error', 'error', 'debug']);
    logLevels.replay();
    join();
    expect(received).toHaveLength(3);
  });

  it('[SHARE-4] counts a listener that has left no more, when the server refuses what it asked for', () => {
    const { logLevels, received, join, answer } = levels();
    const [a, b] = [join(), join()];
    logLevels.set(b, 'alert', () => {});
    answer({ result: {} });
    logLevels.set(a, 'info', () => {});
    logLevels.detach(a);
    answer({ error: { code: -32_603, message: 'no' } });
    logLevels.replay();
    expect(received.at(-1)).toBe('alert');
  });
});
