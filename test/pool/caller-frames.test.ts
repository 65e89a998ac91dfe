import { describe, expect, it } from 'vitest';
import { MCPServerPool, PoolError } from '../../src/index.js';
import { failStart, setUp } from '../helpers/fake-pool.js';
import { endGlobalPoolAfterEach, program, Watched } from '../helpers/stdio.js';
import { flush, rejection } from '../helpers/until.js';

endGlobalPoolAfterEach();

/** Code of a host: its name has to be in the stack of an error. */
async function codeOfTheHost(call: () => Promise<unknown>): Promise<unknown> {
  return await call();
}

/** Without the word `async`, which vitest leaves out. */
const FRAME = ' codeOfTheHost (';

describe.each(['shared', 'exclusive', 'dedicated'] as const)(
  'the error of a call that waited for a %s server',
  (sharing) => {
    const full = { command: 'fake', sharing, maxInstances: 1, maxSessions: sharing === 'shared' ? 1 : undefined };

    async function waiting(happens: (pool: MCPServerPool) => unknown, options = {}): Promise<PoolError> {
      const { clock, pool } = setUp({ servers: { a: full } });
      await pool.getServer('a');
      const call = rejection(codeOfTheHost(() => pool.getServer('a', { owner: 'me', ...options })));
      await flush();
      happens(pool);
      await clock.advanceAndFlush(30_000);
      return (await call) as PoolError;
    }

    it('[SHOW-4] has the frame of its caller: ACQUIRE_TIMEOUT', async () => {
      const error = await waiting(() => {});
      expect(error).toMatchObject({ code: 'ACQUIRE_TIMEOUT', data: { after: 30_000 } });
      expect(error.stack).toContain(FRAME);
      expect(error.stack).toContain(error.message);
    });

    it('[SHOW-4] has the frame of its caller: ACQUIRE_ABORTED, POOL_CLOSED, UNKNOWN_SERVER', async () => {
      const reason = new Error('the user left');
      const controller = new AbortController();
      const aborted = await waiting(() => controller.abort(reason), { signal: controller.signal });
      expect(aborted).toMatchObject({ code: 'ACQUIRE_ABORTED', cause: reason });
      const released = await waiting((pool) => pool.releaseOwner('me'));
      expect(released.code).toBe('ACQUIRE_ABORTED');
      const closed = await waiting((pool) => void pool.shutdown());
      expect(closed.code).toBe('POOL_CLOSED');
      const removed = await waiting((pool) => void pool.removeServer('a'));
      expect(removed.code).toBe('UNKNOWN_SERVER');
      for (const error of [aborted, released, closed, removed]) expect(error.stack).toContain(FRAME);
    });

    it('[SHOW-4] has the frame of its caller, each that of its own: a start that fails for all', async () => {
      const { launcher, pool } = setUp(
        { servers: { a: { ...full, maxInstances: 2 } } },
        { initialize: false, spawn: false },
      );
      const one = rejection(codeOfTheHost(() => pool.getServer('a')));
      const other = rejection(
        (async function otherCodeOfTheHost() {
          await pool.getServer('a');
        })(),
      );
      await flush();
      for (const started of launcher.living) started.exit({ exitCode: 1 });
      const [first, second] = [(await one) as PoolError, (await other) as PoolError];
      expect([first.code, second.code]).toEqual(['SERVER_EXITED', 'SERVER_EXITED']);
      expect(first.stack).toContain(FRAME);
      expect(second.stack).not.toContain(FRAME);
      expect(second.stack).toContain('otherCodeOfTheHost');
    });

    it('[SHOW-4] has the frame of its caller: restart(), updateServer(), warm()', async () => {
      const { launcher, pool } = setUp({ servers: { a: { ...full, maxInstances: 2, maxSessions: undefined } } });
      if (sharing === 'shared') {
        await pool.getServer('a');
        for (const call of [
          () => pool.restart('a'),
          () => pool.updateServer('a', { ...full, maxSessions: undefined, args: ['x'] }),
        ]) {
          launcher.auto = { ...launcher.auto, initialize: false };
          const failed = rejection(codeOfTheHost(call));
          await flush();
          launcher.last.exit({ exitCode: 1 });
          const error = (await failed) as PoolError;
          expect(error).toBeInstanceOf(PoolError);
          expect(error.stack).toContain(FRAME);
        }
      }
      const { pool: cold, launcher: fake } = setUp({ servers: { a: full } }, { spawn: false });
      const warmed = rejection(codeOfTheHost(() => cold.warm('a')));
      await flush();
      fake.last.exit({ exitCode: 1 });
      expect(((await warmed) as PoolError).stack).toContain(FRAME);
    });
  },
);

describe('a call of the drop-in', () => {
  it('[SHOW-4] that could not start its server has the frame of its caller, with and without an errno', async () => {
    MCPServerPool.global({ limits: { maxProcesses: 1 }, acquireTimeout: 100 });
    const missing = new Watched({ command: 'no-such-command' }).transport;
    const error = (await rejection(codeOfTheHost(() => missing.start()))) as PoolError;
    expect(error).toMatchObject({ code: 'COMMAND_NOT_FOUND', cause: { code: 'ENOENT' } });
    expect(error.stack).toContain(FRAME);
    const one = new Watched(program('cat')).transport;
    await one.start();
    const other = new Watched(program('cat')).transport;
    const late = (await rejection(codeOfTheHost(() => other.start()))) as PoolError;
    expect(late.code).toBe('ACQUIRE_TIMEOUT');
    expect(late.stack).toContain(FRAME);
  });
});

it('[SHOW-4] [QUEUE-1] callers learn in the order of their calls, also those that need not wait after one was rejected', async () => {
  const { pool } = setUp({ servers: { a: { command: 'fake', maxInstances: 1 }, b: { command: 'fake' } } });
  const lease = await pool.getServer('a');
  (await pool.getServer('b')).release();
  const learnt: number[] = [];
  const abort = new AbortController();
  const calls = [
    pool.getServer('a', { signal: abort.signal }).catch(() => learnt.push(0)),
    pool.getServer('a').then(() => learnt.push(1)),
  ];
  abort.abort();
  lease.release();
  calls.push(pool.getServer('b').then(() => learnt.push(2)));
  await Promise.all(calls);
  expect(learnt).toEqual([0, 1, 2]);
});

it('[SHOW-4] the error of an event is the error of the start, with the same data', async () => {
  const { launcher, pool, emitted } = setUp({ servers: { a: { command: 'fake' } } }, { initialize: false });
  await failStart(pool, launcher);
  expect(emitted).toContainEqual({
    event: 'server:failed',
    payload: expect.objectContaining({ error: expect.objectContaining({ code: 'SERVER_EXITED' }) }),
  });
});
