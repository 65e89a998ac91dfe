import { describe, expect, it } from 'vitest';
import type { MCPServerPool } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import type { EndCause } from '../../src/server/end-cause.js';
import type { EndReason } from '../../src/server/end-reason.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const exclusive = { command: 'fake', sharing: 'exclusive' } as const;
const MEMORY = { option: 'memoryLimitMB', value: 563.4, limit: 512 } as const;
const LEVEL = { level: 'nuclear', measured: 61, threshold: 50, by: 'processes' } as const;

/** The monitor ends the instances of the pool. */
function end(pool: MCPServerPool, reason: EndReason, cause?: EndCause): void {
  for (const instance of [...partsOf(pool).fleet.instances()]) void instance.stop(reason, 'graceful', cause);
}

describe('a server that is ended for a limit', () => {
  it.each([
    ['memory-limit', MEMORY, /its processes use 563 MB, more than the 512 of memoryLimitMB; raise it/],
    [
      'cpu-limit',
      { ...MEMORY, option: 'cpuLimitPercent' },
      /use 563 % of a core, more than the 512 of cpuLimitPercent/,
    ],
    ['process-limit', { ...MEMORY, option: 'maxTreeProcesses' }, /it has 563 processes, more than the 512 of maxTree/],
    ['memory-limit', { ...MEMORY, option: 'limits.memoryLimitMB' }, /all servers together use 563 MB.* of limits\.mem/],
    ['cpu-limit', { ...MEMORY, option: 'limits.cpuLimitPercent' }, /all servers together use 563 % .*limits\.cpu/],
  ] as const)(
    '[OVER-1] ends its lease with an error that has the limit and the figure: %s, %j',
    async (reason, cause, message) => {
      const { pool, reasons } = setUp({ servers: { a: exclusive } }, { answer: false });
      const { transport } = await pool.getServer('a');
      const client = await RawClient.connect(transport);
      const lost = rejection(client.request('tools/list'));
      end(pool, reason, cause);
      expect(await rejection(client.notify('notifications/cancelled'))).toMatchObject({
        code: 'LIMIT_EXCEEDED',
        message: expect.stringMatching(message),
        data: { name: 'a', option: cause.option, value: 563.4, limit: 512 },
      });
      expect(await lost).toMatchObject({ code: -32_000, data: { reason: 'LIMIT_EXCEEDED', retryable: true } });
      expect(client.closeCount).toBe(1);
      expect(reasons()).toEqual([reason]);
    },
  );

  it.each([
    [LEVEL, /level 'nuclear', with 61 processes more than expected \(it begins at 50, monitoring\.levels\)/],
    [
      { ...LEVEL, by: 'memory', measured: 8_192.6, threshold: 8_192 },
      /with 8193 MB of memory in use \(it begins at 8192/,
    ],
  ] as const)('[OVER-1] says the level that asked for it: %j', async (cause, message) => {
    const { pool } = setUp({ servers: { a: exclusive } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    end(pool, 'overload', cause);
    expect(await rejection(client.notify('notifications/cancelled'))).toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringMatching(message),
      data: { level: 'nuclear', value: cause.measured, limit: cause.threshold },
    });
  });

  it.each(['memory-limit', 'cpu-limit', 'process-limit', 'memory-leak', 'overload'] as const)(
    '[OVER-2] is no failure of it, however often it happens: %s',
    async (reason) => {
      const { pool, emitted } = setUp({ servers: { a: { ...exclusive, restart: { maxRestarts: 0 } } } });
      for (let round = 0; round < 3; round++) {
        await pool.getServer('a');
        end(pool, reason, MEMORY);
        await flush();
      }
      await pool.getServer('a');
      expect(emitted.filter(({ event }) => event === 'breaker:opened' || event === 'server:failed')).toEqual([]);
      expect(pool.status().servers.a?.breakers).toEqual([]);
      expect(pool.metrics().crashes).toBe(0);
      const exits = emitted.flatMap(({ event, payload }) => (event === 'server:exited' ? [payload.unexpected] : []));
      expect(exits).toEqual([false, false, false]);
    },
  );
});
