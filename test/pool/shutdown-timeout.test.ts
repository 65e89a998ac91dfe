import { expect, it } from 'vitest';
import { setUp } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';

const exclusive = { command: 'fake', sharing: 'exclusive' } as const;

it.each(['shutdown', 'endAll'] as const)('[ENVIRONMENT-6] shutdownTimeout is the time that %s() has', async (call) => {
  const { pool, launcher, clock } = setUp({ servers: { a: exclusive }, shutdownTimeout: 700 }, { end: false });
  await pool.getServer('a');
  const ending = pool[call]();
  await flush();
  await clock.advance(699);
  expect(launcher.servers[0]?.ends.at(-1)?.mode).toBe('graceful');
  await clock.advance(1);
  launcher.living[0]?.exit();
  expect((await ending).mode).toBe('emergency');
});

it('[ENVIRONMENT-6] the time that the call says wins', async () => {
  const { pool, launcher, clock } = setUp({ servers: { a: exclusive }, shutdownTimeout: 700 }, { end: false });
  await pool.getServer('a');
  const ending = pool.shutdown({ timeout: 5_000 });
  await flush();
  await clock.advance(4_000);
  launcher.living[0]?.exit();
  expect((await ending).mode).toBe('graceful');
});
