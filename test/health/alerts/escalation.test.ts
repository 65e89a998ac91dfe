import { describe, expect, it } from 'vitest';
import type { AlertReport } from '../../../src/index.js';
import { hang, report, setUpAlerts, threeTiers } from '../../helpers/alerts.js';
import { flush } from '../../helpers/until.js';

const HOLD = 30_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Tiers that are told for a reason of their own only, and what they are told. */
function triggeredTiers() {
  const { tiers, take } = threeTiers();
  return { tiers: tiers.map(({ notify }) => ({ after: Infinity, notify })), take };
}

describe('an alert that is not acknowledged', () => {
  it('[ALERT-4] escalates through all tiers, each in its time, and tells each that it is over', async () => {
    const { tiers, take } = threeTiers();
    const { alerts, clock, of } = setUpAlerts({ tiers });
    alerts.raise(hang());
    await clock.advanceAndFlush(HOLD - 1);
    expect(take()).toEqual([]);
    await clock.advanceAndFlush(1);
    expect(take()).toEqual(['1 raised']);
    await clock.advanceAndFlush(15 * MINUTE - 1);
    expect(take()).toEqual([]);
    await clock.advanceAndFlush(1);
    expect(take()).toEqual(['2 escalated']);
    await clock.advanceAndFlush(15 * MINUTE);
    expect(take()).toEqual(['3 escalated']);
    expect(of('alert:escalated')).toMatchObject([
      { from: 1, tier: 2, state: 'firing' },
      { from: 2, tier: 3 },
    ]);
    expect(alerts.active()).toMatchObject([{ tier: 3 }]);
    await clock.advanceAndFlush(4 * HOUR);
    expect(take()).toEqual(['1 repeated', '2 repeated', '3 repeated']);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    await clock.advanceAndFlush(MINUTE);
    expect(take()).toEqual(['1 resolved', '2 resolved', '3 resolved']);
    await clock.advanceAndFlush(24 * HOUR);
    expect(take()).toEqual([]);
  });

  it('[ALERT-4] tells each tier what ends it: the condition, the end of the alerts, or another alert that takes its place', async () => {
    const { tiers, take } = threeTiers();
    const { alerts, clock } = setUpAlerts({ tiers, for: 0 });
    alerts.raise(hang());
    await clock.advanceAndFlush(15 * MINUTE);
    take();
    for (let index = 0; index < 499; index++)
      alerts.raise(hang({ subject: { name: `server-${index}` }, severity: 'critical' }));
    alerts.raise(hang({ subject: { name: 'one more' }, severity: 'critical' }));
    await flush(500);
    // The second tier has nothing before it.
    expect(take().filter((text) => !text.includes('raised'))).toEqual(['2 displaced', '1 displaced']);
    alerts.close();
    await flush(500);
    expect(new Set(take())).toEqual(new Set(['1 closed']));
  });

  it('[ALERT-4] stays at its tier once it is acknowledged', async () => {
    const { tiers, take } = threeTiers();
    const { alerts, clock } = setUpAlerts({ tiers, for: 0 });
    alerts.raise(hang());
    await clock.advanceAndFlush(10 * MINUTE);
    alerts.acknowledge(alerts.active()[0]?.id ?? '', 'Ada');
    await clock.advanceAndFlush(24 * HOUR);
    expect(take()).toEqual(['1 raised']);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    await clock.advanceAndFlush(MINUTE);
    expect(take()).toEqual(['1 resolved']);
  });

  it('[ALERT-4] escalates no further while its condition does not hold', async () => {
    const { tiers, take } = threeTiers();
    const { alerts, clock } = setUpAlerts({ tiers, for: 0 });
    alerts.raise(hang());
    await clock.advanceAndFlush(15 * MINUTE - 1);
    alerts.resolve({ kind: 'stuck', subject: { name: 'files' } });
    await clock.advanceAndFlush(MINUTE);
    expect(take()).toEqual(['1 raised', '1 resolved']);
  });

  it('[ALERT-4] of severity info tells no tier, and from the moment at which it is more severe it does', async () => {
    const { tiers, take } = threeTiers();
    const { alerts, clock, of } = setUpAlerts({ tiers, for: 0 });
    alerts.raise(hang({ severity: 'info' }));
    await clock.advanceAndFlush(HOUR);
    expect([take(), of('alert:raised').length]).toEqual([[], 1]);
    alerts.raise(hang({ severity: 'warning' }));
    await clock.advanceAndFlush(15 * MINUTE - 1);
    expect(take()).toEqual(['1 raised']);
    await clock.advanceAndFlush(1);
    expect(take()).toEqual(['2 escalated']);
  });

  it('[ALERT-4] that gets worse after it was acknowledged tells the next tier as late as a new one', async () => {
    const { tiers, take } = threeTiers();
    const { alerts, clock } = setUpAlerts({ tiers, for: 0 });
    alerts.raise(hang());
    await clock.advanceAndFlush(MINUTE);
    alerts.acknowledge(alerts.active()[0]?.id ?? '', 'Ada');
    await clock.advanceAndFlush(HOUR);
    take();
    alerts.raise(hang({ severity: 'critical' }));
    await clock.advanceAndFlush(15 * MINUTE - 1);
    expect(take()).toEqual(['1 repeated']);
    await clock.advanceAndFlush(1);
    expect(take()).toEqual(['2 escalated']);
  });

  it('[ALERT-4] needs no tiers', async () => {
    const { alerts, clock, take } = setUpAlerts({ for: 0, repeatInterval: Infinity });
    alerts.raise(report({ kind: 'service-level' }));
    await clock.advanceAndFlush(24 * HOUR);
    expect(take()).toEqual(['alert:raised']);
    expect(alerts.active()).toMatchObject([{ tier: 0 }]);
  });
});

describe('a condition that is not left to time', () => {
  const again = async (
    { alerts, clock }: Pick<ReturnType<typeof setUpAlerts>, 'alerts' | 'clock'>,
    what: AlertReport,
    pause: number,
  ) => {
    alerts.raise(what);
    await clock.advanceAndFlush(1_000);
    alerts.resolve({ kind: what.kind, subject: what.subject });
    await clock.advanceAndFlush(pause);
  };

  it('[ALERT-5] a server that is unhealthy for 5 minutes tells the first tier, 15 minutes later the second', async () => {
    const { tiers, take } = triggeredTiers();
    const { alerts, clock } = setUpAlerts({ tiers, for: HOUR });
    alerts.raise(report({ kind: 'unresponsive' }));
    await clock.advanceAndFlush(5 * MINUTE - 1);
    expect(take()).toEqual([]);
    await clock.advanceAndFlush(1);
    expect(take()).toEqual(['1 raised']);
    await clock.advanceAndFlush(15 * MINUTE - 1);
    expect(take()).toEqual([]);
    await clock.advanceAndFlush(1);
    expect(take()).toEqual(['2 escalated']);
    await clock.advanceAndFlush(2 * HOUR);
    expect(take()).toEqual([]);
  });

  it.each([
    ['resource-violation', 2],
    ['process-limit', 2],
    ['memory-pressure', 2],
    ['process-failure', 3],
  ] as const)(
    '[ALERT-5] tells the first tier when it comes back within 10 minutes: %s, the %ith time',
    async (kind, times) => {
      const { tiers, take } = triggeredTiers();
      const parts = setUpAlerts({ tiers });
      for (let time = 1; time < times; time++) await again(parts, report({ kind }), MINUTE);
      expect(take()).toEqual([]);
      parts.alerts.raise(report({ kind }));
      expect(take()).toEqual(['1 raised']);
      expect(parts.of('alert:raised')).toHaveLength(1);
    },
  );

  it('[ALERT-5] does not when it comes back later', async () => {
    const { tiers, take } = triggeredTiers();
    const parts = setUpAlerts({ tiers });
    for (let time = 0; time < 10; time++) await again(parts, report(), 10 * MINUTE);
    expect([take(), parts.take()]).toEqual([[], []]);
  });

  it('[ALERT-5] tells the second tier when the pool is exhausted again and again, also if that is acknowledged', async () => {
    const { tiers, take } = triggeredTiers();
    const parts = setUpAlerts({ tiers });
    for (let time = 0; time < 2; time++) await again(parts, report({ kind: 'process-limit', subject: {} }), MINUTE / 2);
    parts.alerts.acknowledge(parts.alerts.active()[0]?.id ?? '', 'Ada');
    await again(parts, report({ kind: 'process-limit', subject: {} }), MINUTE / 2);
    expect(take()).toEqual(['1 raised', '2 escalated']);
    expect(parts.alerts.active()).toMatchObject([{ state: 'acknowledged', tier: 2 }]);
  });

  it('[ALERT-5] a breaker that opens is told at once, a service level that is breached to all tiers', async () => {
    const { tiers, take } = triggeredTiers();
    const { alerts, of } = setUpAlerts({ tiers });
    alerts.raise(report({ kind: 'breaker-open' }));
    expect(take()).toEqual(['1 raised']);
    alerts.raise(report({ kind: 'service-level', severity: 'critical', subject: { part: 'acquireTime' } }));
    expect(take()).toEqual(['1 raised', '2 escalated', '3 escalated']);
    expect(of('alert:escalated')).toMatchObject([{ from: 0, tier: 3 }]);
  });

  it('[ALERT-5] leaves a service level that the host reports as a warning to time', async () => {
    const { tiers, take } = triggeredTiers();
    const { alerts, clock, of } = setUpAlerts({ tiers });
    alerts.raise(report({ kind: 'service-level', subject: { part: 'licences' } }));
    expect(of('alert:raised')).toEqual([]);
    await clock.advanceAndFlush(MINUTE);
    expect(of('alert:raised')).toHaveLength(1);
    expect(take()).toEqual([]);
    alerts.raise(report({ kind: 'service-level', severity: 'critical', subject: { part: 'licences' } }));
    expect(take()).toEqual(['1 raised', '2 escalated', '3 escalated']);
  });

  it('[ALERT-5] tells the last tier where there are fewer', async () => {
    const { tiers, take } = triggeredTiers();
    const { alerts, clock } = setUpAlerts({ tiers: tiers.slice(0, 1), repeatInterval: Infinity });
    alerts.raise(report({ kind: 'service-level', severity: 'critical' }));
    await clock.advanceAndFlush(24 * HOUR);
    expect(take()).toEqual(['1 raised']);
  });
});
