import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

describe('readyCheck', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[READYCHECK-1] delays ready until it passes: %s',
    async (sharing) => {
      let isReady = false;
      const attempts: unknown[] = [];
      const readyCheck = async ({ name, request }: { name: string; request: (method: string) => Promise<unknown> }) => {
        attempts.push(name);
        if (!isReady) throw new Error('the index is being built');
        if (sharing !== 'dedicated') await request('tools/list');
      };
      const { pool, clock } = setUp({ servers: { a: { command: 'fake', sharing, readyCheck } } });
      const call = pool.getServer('a');
      await clock.advanceAndFlush(2_000);
      expect(await outcome(call)).toBe('pending');
      expect(attempts.length).toBeGreaterThan(3);
      expect(pool.status().servers.a?.instances).toMatchObject([{ state: 'starting' }]);
      isReady = true;
      await clock.advanceAndFlush(1_000);
      const lease = await call;
      const before = attempts.length;
      await clock.advanceAndFlush(60_000);
      expect(attempts).toHaveLength(before);
      lease.release();
    },
  );

  it('[READYCHECK-1] that does not pass within startTimeout fails the start with its last reason, secrets hidden', async () => {
    const readyCheck = () => Promise.reject(new Error('refused for hunter2-hunter2'));
    const { pool, clock, launcher } = setUp({
      servers: { a: { command: 'fake', startTimeout: 3_000, readyCheck, env: { TOKEN: 'hunter2-hunter2' } } },
    });
    const failed = rejection(pool.getServer('a')) as Promise<PoolError>;
    await clock.advanceAndFlush(3_000);
    const { code, message } = await failed;
    expect(code).toBe('START_TIMEOUT');
    expect(message).toContain('its readyCheck did not pass (refused for ');
    expect(message).not.toContain('hunter2');
    expect(launcher.living).toEqual([]);
  });

  it('[READYCHECK-1] one that hangs is made again, and ends with its server', async () => {
    const signals: AbortSignal[] = [];
    const readyCheck = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const { pool, clock, launcher } = setUp({ servers: { a: { command: 'fake', readyCheck } } });
    const failed = rejection(pool.getServer('a'));
    await clock.advanceAndFlush(12_000);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false]);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(((await failed) as PoolError).code).toBe('SERVER_EXITED');
    expect(signals.at(-1)?.aborted).toBe(true);
    await clock.advanceAndFlush(60_000);
    expect(signals).toHaveLength(3);
  });

  it('[READYCHECK-1] refuses what is no check', () => {
    expect(() => setUp({ servers: { a: { command: 'fake', readyCheck: 'ping' as never } } })).toThrow(
      /readyCheck must be a function/,
    );
  });
});
