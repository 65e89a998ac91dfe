import { describe, expect, it } from 'vitest';
import { runRecoveryDrill } from '../../../src/index.js';
import { RawClient } from '../../helpers/client.js';
import { fixture, wrapped } from '../../helpers/fixture.js';
import { descendants, isLiving } from '../../helpers/processes.js';
import { open } from '../../helpers/real-pool.js';

/** No server is checked. */
const WITHOUT_HEALTH = { defaults: { health: { check: false } } } as const;
const health = { interval: 500, timeout: 500 };

describe('a drill on real processes', () => {
  it.each([
    ['kill', 'node', fixture('echo')],
    ['exit', 'node', fixture('echo')],
    ['kill', 'a shell with node below it', wrapped('echo')],
    ['exit', 'a shell with node below it', wrapped('echo')],
  ] as const)('[DRILL-1] %s %s: is found and replaced, and the pool is as it was', async (fault, _what, definition) => {
    const pool = open({ a: { ...definition } });
    await pool.warm('a');
    const old = descendants().map(({ pid }) => pid);
    const report = await runRecoveryDrill(pool, { server: 'a', fault });
    expect(report).toMatchObject({ verdict: 'passed', detectedBy: 'server:exited', restored: true });
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1, leases: 0 });
    expect(old.filter(isLiving)).toEqual([]);
    const lease = await pool.getServer('a');
    expect(lease.instanceId).toBe(report.newInstanceId);
    expect(await (await RawClient.connect(lease.transport)).callTool('echo', { text: 'well' })).toBe('well');
  });

  it('[DRILL-1] [DRILL-6] of a shared server that clients use: they go on', async () => {
    const pool = open({ a: { ...fixture('echo'), sharing: 'shared' } });
    const clients = await Promise.all(
      [0, 1, 2].map(async () => {
        const lease = await pool.getServer('a');
        return { lease, client: await RawClient.connect(lease.transport) };
      }),
    );
    const instance = clients[0]?.lease.instanceId;
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'kill', instance });
    expect(report).toMatchObject({ verdict: 'passed', restored: true });
    for (const { lease, client } of clients) {
      expect(lease.instanceId).toBe(report.newInstanceId);
      expect(await client.callTool('echo', { text: 'on' })).toBe('on');
    }
  });

  it.each([
    ['node', fixture('echo')],
    ['a shell with node below it', wrapped('echo')],
  ] as const)('[DRILL-1] hang %s: the health monitor finds it, and the pool replaces it', async (_what, definition) => {
    const pool = open({ a: { ...definition, health } });
    await pool.warm('a');
    const old = descendants().map(({ pid }) => pid);
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'hang' });
    expect(report).toMatchObject({ verdict: 'passed', detectedBy: 'health:changed', restored: true });
    expect(report.health).toMatchObject([{ to: 'unhealthy', reason: expect.stringContaining('stopped') }]);
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1, leases: 0 });
    expect(old.filter(isLiving)).toEqual([]);
    expect(String(report)).toMatch(/^health +unhealthy: .*stopped/m);
  });

  it('[DRILL-1] [DRILL-6] hang a shared server that clients use: they go on', async () => {
    const pool = open({ a: { ...fixture('echo'), sharing: 'shared', health } });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    const { instanceId } = lease;
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'hang', instance: instanceId });
    expect(report).toMatchObject({ verdict: 'passed', detectedBy: 'health:changed', instanceId });
    expect(lease.instanceId).toBe(report.newInstanceId);
    expect(await client.callTool('echo', { text: 'on' })).toBe('on');
  });

  it('[DRILL-2] hang, where the pool only reports it: the drill restarts the server when it is aborted', async () => {
    const pool = open({ a: { ...fixture('echo'), health: { ...health, onUnhealthy: 'report' } } });
    await pool.warm('a');
    const found = pool.waitFor('health:changed');
    const controller = new AbortController();
    const drill = runRecoveryDrill(pool, { server: 'a', fault: 'hang', signal: controller.signal });
    await found;
    controller.abort();
    expect(await drill).toMatchObject({ verdict: 'aborted', detectedBy: 'health:changed', restored: true });
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1, leases: 0 });
  });

  it('[DRILL-5] a hang that nothing would find: the server is restarted by the drill', async () => {
    const pool = open({ a: wrapped('echo') }, WITHOUT_HEALTH);
    await pool.warm('a');
    const old = descendants().map(({ pid }) => pid);
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'hang' });
    expect(report).toMatchObject({ verdict: 'failed', detection: undefined, restored: true });
    expect(old.filter(isLiving)).toEqual([]);
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1, leases: 0 });
  });

  it('[DRILL-1] of a dedicated server that was started ahead', async () => {
    const pool = open({ a: { ...fixture('echo'), sharing: 'dedicated' } });
    await pool.warm('a');
    expect(await runRecoveryDrill(pool, { server: 'a', fault: 'kill' })).toMatchObject({
      verdict: 'passed',
      restored: true,
    });
  });
});
