import { expect, it } from 'vitest';
import { Caller, expectUntouched } from '../../helpers/caller.js';
import { gone, QUICK, watchCosts } from '../../helpers/costly.js';
import { fixture } from '../../helpers/fixture.js';
import { open, record } from '../../helpers/real-pool.js';
import { until } from '../../helpers/until.js';

it('[HEAL-9] a real server that leaks is suspected, confirmed, and replaced under its leases before any limit; no call fails', async () => {
  const one = { ...fixture('costly'), sharing: 'shared', maxInstances: 2, restartOnMemoryLeak: true } as const;
  const pool = open(
    { leaks: one, good: one },
    // The windows of a day in some seconds: the slope is that of a very fast leak.
    { monitoring: { ...QUICK, interval: 100, leak: { window: 4_000, warmup: 500 } } },
  );
  const { actions, stopping, exceeded } = watchCosts(pool);
  const suspected = record(pool, 'leak:suspected');
  const confirmed = record(pool, 'leak:confirmed');
  const neighbour = await Caller.of(pool, 'good');
  const callers = [await Caller.of(pool, 'leaks'), await Caller.of(pool, 'leaks')];
  const [{ client, pid, lease }] = callers as [Caller];
  const { instanceId } = lease;
  await client.callTool('leak', { mb: 6, most: 280 });
  await until('it is confirmed', () => confirmed.length > 0, { timeout: 100_000 });
  await gone(pid);
  for (const caller of callers) {
    await caller.more(5);
    expect([caller.failures, caller.client.closeCount]).toEqual([[], 0]);
  }
  expect(lease.pid).not.toBe(pid);
  expect(suspected).toMatchObject([{ name: 'leaks', instanceId }]);
  expect(confirmed).toMatchObject([{ name: 'leaks', instanceId }]);
  expect(confirmed[0]?.slopeMBPerHour).toBeGreaterThan(5);
  expect(actions).toMatchObject([{ action: 'replace', name: 'leaks', instanceId, dryRun: false }]);
  expect(stopping).toMatchObject([{ name: 'leaks', reason: 'memory-leak' }]);
  expect(exceeded).toEqual([]);
  await expectUntouched(neighbour);
});
