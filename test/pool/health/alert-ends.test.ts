import { describe, expect, it } from 'vitest';
import { leases, setUp, shared } from '../../helpers/fake-pool.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { record } from '../../helpers/real-pool.js';
import { flush } from '../../helpers/until.js';

describe('the crash of a server that a spare stands in for at once', () => {
  it('[ALERT-9] is no alert of its tenant', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { command: 'fake', minIdle: 1 } } });
    const raised = record(pool, 'alert:raised');
    await flush();
    await pool.getServer('a', { tenant: 'alice' });
    await flush();
    launcher.servers[0]?.exit({ exitCode: 1 });
    await flush();
    await pool.getServer('a', { tenant: 'alice' });
    await flush();
    await clock.advanceAndFlush(120_000);
    expect(raised).toEqual([]);
  });

  it('[ALERT-9] is none without tenants', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { command: 'fake', minIdle: 1 } } });
    const raised = record(pool, 'alert:raised');
    await flush();
    await pool.getServer('a');
    await flush();
    launcher.servers[0]?.exit({ exitCode: 1 });
    await flush();
    await pool.getServer('a');
    await flush();
    await clock.advanceAndFlush(120_000);
    expect(raised).toEqual([]);
  });
});

describe('monitor.stop()', () => {
  it('[ALERT-9] ends the alerts of limits that nothing watches any more', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { a: { command: 'fake' } } });
    const raised = record(pool, 'alert:raised');
    await pool.getServer('a');
    server(0).load = { memoryMB: 6_000 };
    for (let step = 0; step < 40 && !raised.some(({ kind }) => kind === 'memory-pressure'); step++) await pass(10_000);
    expect(raised.map(({ kind }) => kind)).toContain('memory-pressure');
    pool.monitor.stop();
    server(0).load = { memoryMB: 10 };
    await pass(600_000);
    expect(
      pool.alerts
        .active()
        .filter(({ holds }) => holds)
        .map(({ kind, subject }) => [kind, subject]),
    ).toEqual([]);
  });
});

describe('a server that fails after it was removed', () => {
  it('[ALERT-9] [BREAKER-1] opens no breaker', async () => {
    const { pool, launcher, clock } = setUp({
      servers: { a: { ...shared, restart: { maxRestarts: 0, cooldown: Infinity } } },
    });
    await leases(pool, 1);
    const removed = pool.removeServer('a');
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await removed;
    await clock.advanceAndFlush(86_400_000);
    expect(() => pool.resetBreaker('a')).toThrow(/not defined/);
    expect(pool.alerts.active()).toEqual([]);
  });
});

describe('tenants in alerts', () => {
  it('[ALERT-7] are quoted and bounded', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { command: 'fake' } } });
    const tenant = `\u001b[2J${'x'.repeat(1_000_000)}`;
    await pool.getServer('a', { tenant });
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(60_000);
    const [alert] = pool.alerts.active();
    expect(alert?.sources).toHaveLength(1);
    const text = alert?.sources.join() ?? '';
    expect.soft(text.length).toBeLessThan(10_000);
    expect(text).not.toContain('\u001b');
  });
});
