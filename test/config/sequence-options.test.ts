import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { SequenceManager } from '../../src/index.js';

const start = () => {};

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    expect((error as PoolError).code).toBe('INVALID_OPTIONS');
    return (error as PoolError).data.problems ?? [];
  }
  throw new Error('it was accepted');
}

const ofSteps = (...steps: unknown[]) => problemsOf(() => new SequenceManager(steps as never));

describe('steps', () => {
  it('[SEQ-3] have all their problems listed in one error, cycles by their path', () => {
    const problems = ofSteps(
      { id: 'a', start, dependsOn: ['c'] },
      { id: 'b', start, dependsOn: ['a'] },
      { id: 'c', start, dependsOn: { b: { condition: 'ready' } } },
      { id: 'd', start, dependsOn: ['d', 'databse', 'a', 'a'] },
      { id: 'database', start, retries: -1, timeout: 0 },
      { id: 'database', start: 'now' },
      { id: 'x', start, dependsOn: ['y'] },
      { id: 'y', start, dependsOn: ['x'], onDependencyExit: 'panic' },
    );
    expect(problems).toEqual([
      "steps[3].dependsOn must not name 'a' twice",
      'steps[4].retries must be a whole number, 0 or more, or Infinity, got -1',
      'steps[4].timeout must be a number of milliseconds above 0, or Infinity, got 0',
      'steps[5].start must be a function, got a string',
      "steps[7].onDependencyExit must be one of 'restart', 'hold', 'ignore', 'stop', got 'panic'",
      "steps[5].id must not be that of steps[4], 'database'",
      "steps[3].dependsOn must not name 'd' itself",
      "steps[3].dependsOn must name a step, got 'databse'; did you mean 'database'?",
      "dependsOn must not lead in a circle: 'a' → 'c' → 'b' → 'a'",
      "dependsOn must not lead in a circle: 'x' → 'y' → 'x'",
    ]);
  });

  it.each([
    [{ start }, /^steps\[0\]\.id must be a string, got undefined$/],
    [{ id: 'a' }, /^steps\[0\]\.start must be a function, got undefined$/],
    [null, /^steps\[0\] must be an object, got null$/],
    [
      { id: 'a', start, dependsOn: 'b' },
      /^steps\[0\]\.dependsOn must be an array of names, or an object such as .*, got a string$/,
    ],
    [{ id: 'a', start, dependsOn: { a: 'ready' } }, /^steps\[0\]\.dependsOn\.a must be an object, got a string$/],
    [{ id: 'a', start, dependsOn: { a: { condition: 'up' } } }, /^steps\[0\]\.dependsOn\.a\.condition must be one of/],
    [{ id: 'a', start, stopp: start }, /^steps\[0\]\.stopp is not a known option; did you mean 'stop'\?$/],
    [
      { id: 'a', start, backoff: { minDelay: 10, maxDelay: 5 } },
      /^steps\[0\]\.backoff\.maxDelay must not be below minDelay \(10\), got 5$/,
    ],
    [{ id: 'a', start, backoff: 100 }, /^steps\[0\]\.backoff must be an object, got 100$/],
    [{ id: 'a', start, retries: 1.5 }, /^steps\[0\]\.retries must be a whole number/],
  ])('[SEQ-3] such as %o are refused', (step, message) => {
    expect(ofSteps(step)[0]).toMatch(message);
  });

  it('[SEQ-3] without healthy() cannot be waited for until they are healthy', () => {
    expect(ofSteps({ id: 'db', start }, { id: 'app', start, dependsOn: { db: { condition: 'healthy' } } })).toEqual([
      "steps[1].dependsOn.db.condition must not be 'healthy': the step 'db' has no healthy()",
    ]);
  });

  it('[SEQ-3] are an array of at most 10,000', () => {
    expect(problemsOf(() => new SequenceManager({} as never))).toEqual(['steps must be an array, got an object']);
    const many = Array.from({ length: 10_001 }, (_, index) => ({ id: `s${index}`, start }));
    expect(problemsOf(() => new SequenceManager(many))).toEqual(['steps must be at most 10000, got 10001']);
  });

  it('[SEQ-3] that are added are checked together with those that are there', () => {
    const manager = new SequenceManager([{ id: 'db', start }]);
    expect(
      problemsOf(() =>
        manager.add([
          { id: 'db', start },
          { id: 'app', start, dependsOn: ['dbb', 'db'] },
        ]),
      ),
    ).toEqual([
      "steps[0].id must not be that of a step that is there, 'db'",
      "steps[1].dependsOn must name a step, got 'dbb'; did you mean 'db'?",
    ]);
    expect(manager.status().steps.map(({ id }) => id)).toEqual(['db']);
  });
});

describe('the options of a sequence', () => {
  it('[SEQ-3] are refused beside the problems of its steps', () => {
    expect(
      problemsOf(
        () =>
          new SequenceManager([{ id: 'a' } as never], {
            concurrency: 0,
            onFailure: 'stop' as never,
            shutdownTimeout: -1,
          }),
      ),
    ).toEqual([
      'steps[0].start must be a function, got undefined',
      'concurrency must be a whole number, 1 or more, or Infinity, got 0',
      "onFailure must be one of 'rollback', 'keep', got 'stop'",
      'shutdownTimeout must be a finite number of milliseconds above 0, got -1',
    ]);
  });

  it('[SEQ-3] of a call are refused before anything is done', async () => {
    const manager = new SequenceManager([{ id: 'db', start }]);
    await expect(manager.start({ only: ['dbb'], timeout: 0, signal: {} as never })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      data: {
        problems: [
          'timeout must be a number of milliseconds above 0, or Infinity, got 0',
          'signal must be an AbortSignal',
          "only must name steps, got 'dbb'; did you mean 'db'?",
        ],
      },
    });
    await expect(manager.stop({ mode: 'fast' as never })).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(problemsOf(() => manager.plan('stop' as never))).toEqual([
      "the action must be one of 'start', 'shutdown', got 'stop'",
    ]);
    expect(problemsOf(() => manager.remove(undefined as never))).toEqual(['id must be a string, got undefined']);
    expect(manager.status().state).toBe('idle');
  });
});
