import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CleanupOptions } from '../../src/config/call-options.js';
import { type CleanupJob, CleanupQueue, type CleanupReport } from '../../src/process/cleanup-queue.js';
import type { EndOptions } from '../../src/process/launcher.js';
import type { TerminationReport } from '../../src/process/termination-report.js';
import { fixture } from '../helpers/fixture.js';
import { launch } from '../helpers/launch.js';
import { isLiving, marked } from '../helpers/processes.js';

const stuck = { pid: 77, command: 'stuck' };

function termination(survivors: TerminationReport['survivors'] = []): TerminationReport {
  return { pid: 77, endedBy: 'eof', steps: [{ step: 'eof', at: 0, processes: 1 }], duration: 1, survivors };
}

interface Attempt {
  readonly id: string;
  readonly options: EndOptions;
  resolve(report: TerminationReport): void;
  reject(error: unknown): void;
}

/** A queue in fake time, with jobs that end when the test says so. */
function queue(options: CleanupOptions = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const cleanup = new CleanupQueue(options);
  const attempts: Attempt[] = [];
  const emitted: string[] = [];
  cleanup.on('cleanup:started', ({ id, mode, attempt }) => emitted.push(`started ${id} ${mode} ${attempt}`));
  cleanup.on('cleanup:escalated', ({ id, reason }) => emitted.push(`escalated ${id} ${reason}`));
  cleanup.on('cleanup:finished', ({ id }) => emitted.push(`finished ${id}`));
  cleanup.on('cleanup:failed', ({ id }) => emitted.push(`failed ${id}`));
  const job = (id: string, more: Partial<CleanupJob> = {}): CleanupJob => ({
    id,
    name: `name of ${id}`,
    pid: 77,
    end: (given) =>
      new Promise((resolve, reject) => {
        attempts.push({ id, options: given, resolve, reject });
      }),
    ...more,
  });
  const started = () => attempts.map(({ id }) => id);
  return { cleanup, attempts, emitted, job, started, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('CleanupQueue', () => {
  it('[CLEAN-1] ends 5 at once by default, the others in order', async () => {
    const { cleanup, attempts, job, started, pass } = queue();
    const ids = Array.from({ length: 12 }, (_, index) => `job-${index}`);
    const reports = ids.map((id) => cleanup.enqueue(job(id)));
    await pass(0);
    expect(started()).toEqual(ids.slice(0, 5));
    expect(cleanup.size).toBe(12);
    attempts[3]?.resolve(termination());
    attempts[1]?.resolve(termination());
    await pass(0);
    expect(started()).toEqual(ids.slice(0, 7));
    for (let ended = 0; ended < 12; ended++) {
      for (const attempt of attempts) attempt.resolve(termination());
      await pass(0);
    }
    expect(started()).toEqual(ids);
    expect((await Promise.all(reports)).map(({ id, confirmed }) => [id, confirmed])).toEqual(
      ids.map((id) => [id, true]),
    );
    expect(cleanup.size).toBe(0);
  });

  it('[CLEAN-1] ends as many at once as its option allows', async () => {
    const { cleanup, job, started, pass } = queue({ concurrency: 2 });
    for (const id of ['a', 'b', 'c']) void cleanup.enqueue(job(id));
    await pass(0);
    expect(started()).toEqual(['a', 'b']);
    expect(() => new CleanupQueue({ concurrency: 0 })).toThrowError(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  it('[CLEAN-5] reports what was done, how long it took, and that nothing survives', async () => {
    const { cleanup, attempts, emitted, job, pass } = queue({ concurrency: 1 });
    const first = cleanup.enqueue(job('a'));
    const second = cleanup.enqueue(job('b'));
    await pass(1_000);
    attempts[0]?.resolve(termination());
    await pass(500);
    attempts[1]?.resolve(termination());
    await pass(0);
    expect(await first).toEqual({
      id: 'a',
      name: 'name of a',
      pid: 77,
      confirmed: true,
      attempts: 1,
      escalated: undefined,
      waited: 0,
      duration: 1_000,
      termination: termination(),
      survivors: [],
      error: undefined,
    } satisfies CleanupReport);
    expect(await second).toMatchObject({ id: 'b', waited: 1_000, duration: 1_500 });
    expect(emitted).toEqual(['started a graceful 1', 'finished a', 'started b graceful 1', 'finished b']);
    expect(attempts[0]?.options.signal?.aborted).toBe(false);
  });

  it('[CLEAN-2] sends a job to SIGKILL that reaches its deadline', async () => {
    const { cleanup, attempts, emitted, job, pass } = queue({ timeout: 1_000 });
    const report = cleanup.enqueue(job('a'));
    await pass(999);
    expect(attempts[0]?.options.signal?.aborted).toBe(false);
    await pass(1);
    expect(attempts[0]?.options.signal?.aborted).toBe(true);
    expect(cleanup.status('a')).toMatchObject({ state: 'running', mode: 'emergency', attempts: 1 });
    attempts[0]?.resolve(termination());
    await pass(0);
    expect(await report).toMatchObject({ confirmed: true, escalated: 'timeout', attempts: 1 });
    expect(emitted).toEqual(['started a graceful 1', 'escalated a timeout', 'finished a']);
  });

  it('[CLEAN-2] gives a job the time that its graces need', async () => {
    const { cleanup, attempts, job, pass } = queue({ timeout: 1_000 });
    void cleanup.enqueue(job('a', { leastTime: 3_000 }));
    await pass(2_999);
    expect(attempts[0]?.options.signal?.aborted).toBe(false);
    await pass(1);
    expect(attempts[0]?.options.signal?.aborted).toBe(true);
  });

  it.each([
    ['leastTime', {}, { leastTime: Infinity }],
    ['leastTime', {}, { leastTime: 2 ** 31 }],
    ['timeout', { timeout: 2 ** 31 }, {}],
  ])('[CLEAN-7] takes a very long %s for what it is: %j %j', async (_what, options, more) => {
    const { cleanup, attempts, job, pass } = queue(options);
    const report = cleanup.enqueue(job('a', more));
    // Of a delay that is too long for it, a timer makes 1 ms.
    await pass(60_000);
    expect(attempts).toHaveLength(1);
    expect(attempts[0]?.options.signal?.aborted).toBe(false);
    attempts[0]?.resolve(termination());
    await pass(0);
    expect(await report).toMatchObject({ confirmed: true, escalated: undefined });
  });

  it('[CLEAN-2] gives up an attempt that never comes back, and goes on', async () => {
    const { cleanup, attempts, job, pass } = queue({ timeout: 1_000, retries: 1, concurrency: 1 });
    const report = cleanup.enqueue(job('a'));
    const next = cleanup.enqueue(job('b'));
    await pass(1_000 + 5_000 + 100);
    expect(attempts.map(({ id, options }) => [id, options.mode])).toEqual([
      ['a', 'graceful'],
      ['a', 'emergency'],
    ]);
    await pass(1_000 + 5_000);
    expect(await report).toMatchObject({
      confirmed: false,
      attempts: 2,
      termination: undefined,
      // Nothing could be learnt of it, so it counts as alive.
      survivors: [{ pid: 77, command: 'unknown' }],
      error: expect.stringContaining('did not come back within 6000 ms'),
    });
    attempts.at(-1)?.resolve(termination());
    await pass(0);
    expect(await next).toMatchObject({ id: 'b', confirmed: true });
  });

  it('[CLEAN-3] tries again with exponential backoff, as an emergency, while something survives', async () => {
    const { cleanup, attempts, emitted, job, pass } = queue();
    const report = cleanup.enqueue(job('a'));
    await pass(0);
    for (const wait of [100, 200, 400]) {
      const before = attempts.length;
      attempts.at(-1)?.resolve(termination([stuck]));
      await pass(wait - 1);
      expect(attempts).toHaveLength(before);
      await pass(1);
      expect(attempts).toHaveLength(before + 1);
    }
    attempts.at(-1)?.resolve(termination([stuck]));
    await pass(60_000);
    expect(attempts.map(({ options }) => options.mode)).toEqual(['graceful', 'emergency', 'emergency', 'emergency']);
    expect(await report).toMatchObject({
      confirmed: false,
      attempts: 4,
      escalated: 'survivors',
      survivors: [stuck],
      error: expect.stringContaining('77 (stuck)'),
    });
    expect(emitted).toEqual([
      'started a graceful 1',
      'escalated a survivors',
      'started a emergency 2',
      'started a emergency 3',
      'started a emergency 4',
      'failed a',
    ]);
  });

  it('[CLEAN-3] never waits longer than 5 s between attempts', async () => {
    const { cleanup, attempts, job, pass } = queue({ retries: 9 });
    void cleanup.enqueue(job('a'));
    await pass(0);
    for (let attempt = 1; attempt < 10; attempt++) {
      attempts.at(-1)?.resolve(termination([stuck]));
      await pass(5_000);
      expect(attempts).toHaveLength(attempt + 1);
    }
    attempts.at(-1)?.resolve(termination());
    await pass(0);
  });

  it.each([
    ['an error', new Error('broken')],
    ['a TypeError, on which p-retry gives up by itself', new TypeError('broken')],
    ['a text', 'broken'],
  ])('[CLEAN-3] tries again after %s, and is confirmed when that succeeds', async (_what, error) => {
    const { cleanup, attempts, job, pass } = queue();
    const report = cleanup.enqueue(job('a'));
    await pass(0);
    attempts[0]?.reject(error);
    await pass(100);
    attempts[1]?.resolve(termination());
    await pass(0);
    expect(await report).toMatchObject({ confirmed: true, attempts: 2, survivors: [], error: undefined });
  });

  it('[CLEAN-8] tells the steps of each attempt when they are taken', async () => {
    const { cleanup, attempts, job, pass } = queue({ timeout: 1_000, retries: 3 });
    const told: string[] = [];
    cleanup.on('signal:sent', ({ id, name, pid, attempt, signal, processes }) => {
      told.push([id, name, pid, attempt, signal, processes].join(' '));
    });
    void cleanup.enqueue(job('a'));
    await pass(0);
    attempts[0]?.options.onStep?.('eof', 3);
    attempts[0]?.options.onStep?.('SIGTERM', 2);
    expect(told).toEqual(['a name of a 77 1 eof 3', 'a name of a 77 1 SIGTERM 2']);
    attempts[0]?.reject(new Error('EMFILE'));
    await pass(100);
    // Two kills in a row are one step; this attempt is abandoned.
    attempts[1]?.options.onStep?.('SIGKILL', 2);
    attempts[1]?.options.onStep?.('SIGKILL', 2);
    await pass(6_200);
    attempts[2]?.options.onStep?.('SIGKILL', 1);
    attempts[2]?.resolve(termination([stuck]));
    await pass(400);
    attempts[3]?.resolve(termination());
    await pass(0);
    expect(attempts).toHaveLength(4);
    expect(told.slice(2)).toEqual([
      'a name of a 77 2 SIGKILL 2',
      'a name of a 77 3 SIGKILL 1',
      // Of a job that tells nothing by itself, from its report.
      'a name of a 77 4 eof 1',
    ]);
  });

  it.each([
    ['that is no list', 7],
    ['without steps', undefined],
    ['with wrong items', [null, 7, {}, { step: 7 }]],
  ])('[CLEAN-8] is confirmed by a report of a host %s, which tells no step', async (_what, steps) => {
    const { cleanup, attempts, job, pass } = queue();
    let told = 0;
    cleanup.on('signal:sent', () => (told += 1));
    const report = cleanup.enqueue(job('a'));
    await pass(0);
    attempts[0]?.resolve({ ...termination(), steps } as never);
    await pass(0);
    expect(await report).toMatchObject({ confirmed: true, attempts: 1 });
    expect(told).toBe(0);
  });

  it('[CLEAN-3] survives an end that throws at once', async () => {
    const { cleanup, pass } = queue({ retries: 1 });
    const report = cleanup.enqueue({
      id: 'a',
      name: 'a',
      end: () => {
        throw new Error('at once');
      },
    });
    await pass(1_000);
    expect(await report).toMatchObject({ confirmed: false, attempts: 2, error: 'at once', termination: undefined });
  });

  it('[CLEAN-3] [CLEAN-5] says nothing of an escalation that never was: no retry is left', async () => {
    const { cleanup, attempts, emitted, job, pass } = queue({ retries: 0 });
    const report = cleanup.enqueue(job('a'));
    await pass(0);
    attempts[0]?.resolve(termination([stuck]));
    await pass(10_000);
    expect(await report).toMatchObject({ confirmed: false, attempts: 1, escalated: undefined });
    expect(emitted).toEqual(['started a graceful 1', 'failed a']);
  });

  it('[CLEAN-6] joins a job of the same id, and hurries it when it is an emergency', async () => {
    const { cleanup, attempts, emitted, job, pass } = queue({ concurrency: 1 });
    const first = cleanup.enqueue(job('a'));
    const waiting = cleanup.enqueue(job('b'));
    await pass(0);
    expect(cleanup.enqueue(job('a'))).toBe(first);
    expect(attempts[0]?.options.signal?.aborted).toBe(false);
    expect(cleanup.enqueue(job('a'), 'emergency')).toBe(first);
    expect(attempts[0]?.options.signal?.aborted).toBe(true);
    expect(cleanup.enqueue(job('b'), 'emergency')).toBe(waiting);
    expect(attempts).toHaveLength(1);
    attempts[0]?.resolve(termination());
    await pass(0);
    expect(attempts[1]?.options.mode).toBe('emergency');
    attempts[1]?.resolve(termination());
    await pass(0);
    expect(await first).toMatchObject({ escalated: 'asked' });
    expect(await waiting).toMatchObject({ escalated: 'asked', attempts: 1 });
    expect(emitted.filter((what) => what.startsWith('escalated'))).toEqual(['escalated a asked', 'escalated b asked']);

    // What has ended can be enqueued again: it may not be dead after all.
    const again = cleanup.enqueue(job('a'), 'emergency');
    expect(again).not.toBe(first);
    await pass(0);
    attempts.at(-1)?.resolve(termination());
    await pass(0);
    expect(await again).toMatchObject({ confirmed: true, escalated: undefined });
  });

  it('[CLEAN-6] escalates one job, or all', async () => {
    const { cleanup, attempts, job, pass } = queue({ concurrency: 2 });
    for (const id of ['a', 'b', 'c']) void cleanup.enqueue(job(id));
    await pass(0);
    cleanup.escalate('a');
    cleanup.escalate('unknown');
    expect(attempts.map(({ options }) => options.signal?.aborted)).toEqual([true, false]);
    cleanup.escalate();
    expect(attempts.map(({ options }) => options.signal?.aborted)).toEqual([true, true]);
    attempts[0]?.resolve(termination());
    await pass(0);
    expect(attempts[2]?.options.mode).toBe('emergency');
  });

  it('[CLEAN-4] knows the status of every job, the ended ones for a while', async () => {
    const { cleanup, attempts, job, pass } = queue({ concurrency: 1, retries: 0 });
    expect(cleanup.status('a')).toBeUndefined();
    const first = cleanup.enqueue(job('a'));
    void cleanup.enqueue(job('b', { pid: undefined }), 'emergency');
    expect(cleanup.list()).toEqual([
      { id: 'a', name: 'name of a', pid: 77, state: 'running', mode: 'graceful', attempts: 1, report: undefined },
      {
        id: 'b',
        name: 'name of b',
        pid: undefined,
        state: 'waiting',
        mode: 'emergency',
        attempts: 0,
        report: undefined,
      },
    ]);
    attempts[0]?.resolve(termination());
    await pass(0);
    expect(cleanup.status('a')).toMatchObject({ state: 'finished', report: await first });
    attempts[1]?.resolve(termination([stuck]));
    await pass(0);
    expect(cleanup.status('b')).toMatchObject({ state: 'failed', report: { survivors: [stuck] } });

    for (let index = 0; index < 300; index++) {
      void cleanup.enqueue(job(`more-${index}`, { end: async () => termination() }));
      await pass(0);
    }
    expect(cleanup.list()).toHaveLength(200);
    expect(cleanup.status('a')).toBeUndefined();
    expect(cleanup.status('more-299')).toMatchObject({ state: 'finished' });
  });

  it('[CLEAN-4] keeps a job that waits, however many end meanwhile', async () => {
    const { cleanup, job, pass } = queue({ concurrency: 3 });
    void cleanup.enqueue(job('long'));
    // It has ended once already, before it was enqueued again.
    void cleanup.enqueue(job('again', { end: async () => termination() }));
    await pass(0);
    void cleanup.enqueue(job('again'));
    for (let index = 0; index < 300; index++) {
      void cleanup.enqueue(job(`more-${index}`, { end: async () => termination() }));
      await pass(0);
    }
    expect(cleanup.status('long')).toMatchObject({ state: 'running' });
    expect(cleanup.status('again')).toMatchObject({ state: 'running' });
  });

  it('[CLEAN-4] says when nothing waits or runs', async () => {
    const { cleanup, attempts, job, pass } = queue({ concurrency: 1 });
    await cleanup.whenIdle();
    let idle = 0;
    void cleanup.enqueue(job('a'));
    void cleanup.enqueue(job('b'));
    for (let waiter = 0; waiter < 2; waiter++) {
      void cleanup.whenIdle().then(() => {
        idle += 1;
      });
    }
    await pass(0);
    attempts[0]?.resolve(termination());
    await pass(0);
    expect(idle).toBe(0);
    attempts[1]?.resolve(termination());
    await pass(0);
    expect(idle).toBe(2);
  });

  it('[EVENT-1] [CLEAN-1] is not held up by a listener that throws or enqueues', async () => {
    const { cleanup, job, pass } = queue({ concurrency: 1 });
    const errors: unknown[] = [];
    cleanup.on('listener:error', ({ error }) => errors.push(error));
    let more: Promise<CleanupReport> | undefined;
    cleanup.on('cleanup:finished', ({ id }) => {
      if (id === 'a') more = cleanup.enqueue(job('c', { end: async () => termination() }));
      throw new Error('listener');
    });
    const first = cleanup.enqueue(job('a', { end: async () => termination() }));
    const second = cleanup.enqueue(job('b', { end: async () => termination() }));
    await pass(0);
    expect(await first).toMatchObject({ confirmed: true });
    expect(await second).toMatchObject({ confirmed: true });
    expect(await more).toMatchObject({ id: 'c', confirmed: true });
    expect(errors).toHaveLength(3);
  });
});

describe('CleanupQueue with real processes', () => {
  it('[CLEAN-5] [LADDER-2] ends servers that ignore everything, and says how', async () => {
    const cleanup = new CleanupQueue({ concurrency: 2 });
    const servers = Array.from({ length: 4 }, () =>
      launch({ ...fixture('ignore-eof-and-term'), eofGrace: 100, termGrace: 100 }),
    );
    await Promise.all(servers.map((server) => server.request('initialize')));
    const reports = await Promise.all(
      servers.map(({ pid, process }) =>
        cleanup.enqueue({ id: `tree-${pid}`, name: 'ignorant', pid, end: (options) => process.end(options) }),
      ),
    );
    for (const report of reports) {
      expect(report).toMatchObject({ confirmed: true, attempts: 1, escalated: undefined, survivors: [] });
      expect(report.termination?.steps.map(({ step }) => step)).toEqual(['eof', 'SIGTERM', 'SIGKILL']);
    }
    expect(servers.filter(({ pid }) => isLiving(pid))).toEqual([]);
    expect(marked()).toEqual([]);
  });

  it('[CLEAN-2] [LADDER-7] does not wait for graces that are longer than its deadline', async () => {
    const cleanup = new CleanupQueue({ timeout: 200 });
    const server = launch({ ...fixture('ignore-eof-and-term'), eofGrace: 600_000, termGrace: 600_000 });
    await server.request('initialize');
    const report = await cleanup.enqueue({
      id: 'tree',
      name: 'ignorant',
      pid: server.pid,
      end: (options) => server.process.end(options),
    });
    expect(report).toMatchObject({ confirmed: true, escalated: 'timeout', attempts: 1, survivors: [] });
    expect(report.termination?.steps.map(({ step }) => step)).toEqual(['eof', 'SIGKILL']);
    expect(isLiving(server.pid)).toBe(false);
  });
});
