import { expect, it } from 'vitest';
import { codeOf, setUp, shared } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const exclusive = { command: 'fake', sharing: 'exclusive' } as const;

it('[ENDALL-1] ends every tree with its leases; the pool goes on, and starts servers anew', async () => {
  const { pool, launcher, reasons } = setUp({ servers: { a: exclusive, s: shared } });
  const a = await pool.getServer('a');
  const s = await pool.getServer('s');
  const transports = [a.transport, s.transport];
  (await pool.getServer('a', { owner: 'x' })).release();
  const report = await pool.endAll();
  expect(report).toMatchObject({ mode: 'graceful', leases: 2, survivors: [] });
  expect(report.servers).toHaveLength(3);
  expect(reasons()).toEqual(['end-all', 'end-all', 'end-all']);
  expect(launcher.living).toHaveLength(0);
  for (const transport of transports) {
    expect(await rejection(transport.start())).toMatchObject({
      code: 'SERVER_STOPPED',
      message: expect.stringMatching(
        /endAll\(\) was called while the lease .* was held; get another with getServer\(\)/,
      ),
    });
  }
  await pool.getServer('a');
  expect(launcher.living).toHaveLength(1);
});

it('[ENDALL-1] a caller that waits gets an instance that is started in the place of one that ended', async () => {
  const { pool, launcher } = setUp({ servers: { a: { ...exclusive, maxInstances: 1 } } });
  const held = await pool.getServer('a');
  const waiting = pool.getServer('a');
  await flush();
  await pool.endAll();
  const next = await waiting;
  expect(next.instanceId).not.toBe(held.instanceId);
  expect(launcher.living).toHaveLength(1);
});

it('[ENDALL-1] what is started while it runs is not ended, also when it becomes an emergency', async () => {
  const { pool, launcher, clock } = setUp({ servers: { a: exclusive } }, { end: false });
  await pool.getServer('a', { owner: 'x' });
  const ending = pool.endAll({ timeout: 500, drainTimeout: 0 });
  await flush();
  const fresh = await pool.getServer('a', { owner: 'y' });
  await clock.advance(500);
  launcher.living[0]?.exit();
  expect((await ending).mode).toBe('emergency');
  expect(fresh.pid).toBe(launcher.living[0]?.pid);
  expect(await codeOf(pool.getServer('nothing'))).toBe('UNKNOWN_SERVER');
});

it('[ENDALL-1] with an emergency, kills at once', async () => {
  const { pool, launcher } = setUp({ servers: { a: exclusive } });
  await pool.getServer('a');
  const report = await pool.endAll({ mode: 'emergency' });
  expect(report.mode).toBe('emergency');
  expect(launcher.living).toHaveLength(0);
});

it('[ENDALL-1] ends nothing in a pool that is shut down, and refuses wrong options', async () => {
  const { pool } = setUp({ servers: { a: exclusive } });
  expect(await codeOf(pool.endAll({ mode: 'now' as never }))).toBe('INVALID_OPTIONS');
  const closed = pool.shutdown();
  expect(await pool.endAll()).toEqual(await closed);
});
