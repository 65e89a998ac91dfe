import { describe, expect, it } from 'vitest';
import type { PooledServer } from '../../../src/index.js';
import { codeOf, failStart, setUp } from '../../helpers/fake-pool.js';
import { flush, outcome } from '../../helpers/until.js';

const server = { command: 'fake' };
const shared = { command: 'fake', sharing: 'shared' } as const;

describe('a caller that can be served', () => {
  it('[QUEUE-3] [SHARE-5] gets a seat that comes free, though an older caller of another tenant needs a process', async () => {
    const { pool } = setUp({ servers: { a: { ...shared, maxSessions: 2, maxInstances: 1 } } });
    const held = await Promise.all([pool.getServer('a', { tenant: 't' }), pool.getServer('a', { tenant: 't' })]);
    const older = pool.getServer('a', { tenant: 'u' });
    const younger = pool.getServer('a', { tenant: 't' });
    await flush();
    held[0]?.release();
    expect((await younger).instanceId).toBe(held[1]?.instanceId);
    expect(await outcome(older)).toBe('pending');
    for (const lease of [held[1], await younger]) lease?.release();
    (await older).release();
  });

  it('[QUEUE-3] [SHARE-5] gets a seat that comes free, though an older caller of another server needs a slot', async () => {
    const { pool } = setUp({
      servers: { a: { ...shared, maxSessions: 2 }, b: server },
      limits: { maxProcesses: 1 },
    });
    const held = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    const older = pool.getServer('b');
    const younger = pool.getServer('a');
    await flush();
    held[0]?.release();
    expect((await younger).instanceId).toBe(held[1]?.instanceId);
    expect(await outcome(older)).toBe('pending');
    for (const lease of [held[1], await younger]) lease?.release();
    (await older).release();
  });

  it('[FAIL-6] is refused at once by an open breaker, though older callers wait for the same server', async () => {
    const { pool, launcher } = setUp(
      { servers: { a: { ...server, maxInstances: 1, restart: { maxRestarts: 0 } } } },
      {},
    );
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher, { tenant: 'broken' });
    launcher.auto = { ...launcher.auto, initialize: true };
    const held = await pool.getServer('a', { tenant: 't' });
    const older = pool.getServer('a', { tenant: 'u' });
    await flush();
    expect(await codeOf(pool.getServer('a', { tenant: 'broken' }))).toBe('BREAKER_OPEN');
    held.release();
    (await older).release();
  });

  it('[FAIL-6] is refused at once while a probe is on its way, though older callers wait for the same server', async () => {
    const restart = { maxRestarts: 0, cooldown: 1_000 };
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 2, restart } } });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher, { tenant: 'broken' });
    clock.advance(1_000);
    const probe = pool.getServer('a', { tenant: 'broken' });
    await flush();
    const starting = launcher.last;
    launcher.auto = { ...launcher.auto, initialize: true };
    const held = await pool.getServer('a', { tenant: 't' });
    const older = pool.getServer('a', { tenant: 'u' });
    await flush();
    expect(await codeOf(pool.getServer('a', { tenant: 'broken' }))).toBe('BREAKER_OPEN');
    starting.initialize();
    (await probe).release();
    held.release();
    (await older).release();
  });

  it('[QUEUE-3] gets the slot of a start that has lost its last lease', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxInstances: 2 } } });
    const lease = await pool.getServer('a', { tenant: 't' });
    launcher.auto = { ...launcher.auto, initialize: false };
    // The next process starts beside the one that serves, and has the lease when that crashes.
    const restarted = pool.restart('a').catch(() => {});
    await flush();
    launcher.servers[0]?.exit({ exitCode: 1 });
    await flush();
    const calls = ['u', 'v'].map((tenant) => pool.getServer('a', { tenant }));
    await flush();
    expect(launcher.servers).toHaveLength(3);
    lease.release();
    await flush();
    expect(launcher.servers).toHaveLength(4);
    for (const server of launcher.living) server.initialize();
    for (const call of calls) (await call).release();
    await restarted;
  });

  it('[QUEUE-2] is looked at when it calls while a launcher starts a spare instance', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } }, { spawn: false });
    let call: Promise<PooledServer> | undefined;
    launcher.onLaunch = ({ name }) => {
      if (name === 'spare') call ??= pool.getServer('a');
    };
    pool.addServer('spare', { ...server, minIdle: 1 });
    expect(launcher.livingOf('a')).toHaveLength(1);
    launcher.livingOf('a')[0]?.spawned();
    (await call)?.release();
  });
});
