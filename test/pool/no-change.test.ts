import { describe, expect, it } from 'vitest';
import { type MCPServerPool, POOL_EVENTS, type ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { codeOf, failStart, leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';

const server = { command: 'fake' };
const MODES: [string, ServerDefinition][] = [
  ['shared', { ...server, sharing: 'shared' }],
  ['exclusive', { ...server, sharing: 'exclusive' }],
  ['dedicated', { ...server, sharing: 'dedicated' }],
];

/** The names of all events from now on. */
function events(pool: MCPServerPool): string[] {
  const names: string[] = [];
  for (const event of POOL_EVENTS) pool.on(event, () => void names.push(event));
  return names;
}

describe('a call that changes nothing changes nothing', () => {
  it.each(MODES)(
    '[SAME-1] updateServer() with an equal definition keeps the breaker open: %s',
    async (_mode, policy) => {
      const definition = { ...policy, restart: { maxRestarts: 0 } };
      const { pool, launcher } = setUp({ servers: { a: definition } }, { spawn: false, initialize: false });
      await failStart(pool, launcher);
      for (let get = 0; get < 8; get++) {
        await pool.updateServer('a', { ...definition, restart: { ...definition.restart } });
        expect(await codeOf(pool.getServer('a'))).toBe('BREAKER_OPEN');
      }
      expect(launcher.servers).toHaveLength(1);
      await pool.updateServer('a', { ...definition, args: ['corrected'] });
      await failStart(pool, launcher);
      expect(launcher.servers).toHaveLength(2);
    },
  );

  it('[SAME-1] nor does it forget why the last start failed, nor the pause before the next one for minIdle', async () => {
    const definition = { ...server, minIdle: 1 };
    const { clock, pool, launcher } = setUp({ servers: { a: definition } }, { initialize: false });
    launcher.last.exit({ exitCode: 1 });
    await flush();
    const { lastFailure } = pool.status().servers.a ?? {};
    expect(lastFailure).toContain('code 1');
    await pool.updateServer('a', definition);
    expect(launcher.servers).toHaveLength(1);
    expect(pool.status().servers.a?.lastFailure).toBe(lastFailure);
    await clock.advanceAndFlush(1_000);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[SAME-1] nor does it report an undeclared capability once more', async () => {
    const { pool, emitted } = setUp({ servers: { a: server } });
    for (let session = 0; session < 2; session++) {
      const lease = await pool.getServer('a');
      const client = new RawClient(lease.transport);
      await lease.transport.start();
      await client.request('initialize', { protocolVersion: '2025-11-25', capabilities: { roots: {} } });
      lease.release();
      await pool.updateServer('a', server);
    }
    expect(emitted.filter(({ event }) => event === 'capability:undeclared')).toHaveLength(1);
  });

  const CALLS: [string, (pool: MCPServerPool) => unknown][] = [
    [
      'updateServer() with an equal definition',
      (pool) => pool.updateServer('a', { args: [], env: {}, command: 'fake' }),
    ],
    ['updateServer() of an unknown server', (pool) => pool.updateServer('x', server)],
    ['updateServer() with a wrong definition', (pool) => pool.updateServer('a', { command: '' })],
    ['addServer() with a name that is taken', async (pool) => pool.addServer('a', { command: 'other' })],
    ['removeServer() of an unknown server', (pool) => pool.removeServer('x')],
    ['restart() of a server without a process', (pool) => pool.restart('b')],
    ['warm() when enough are idle', (pool) => pool.warm('a')],
    ['releaseServer() with an unknown id', (pool) => pool.releaseServer('lease-x')],
    ['releaseOwner() without a lease', (pool) => pool.releaseOwner('x')],
    ['releaseTenant() without a lease', (pool) => pool.releaseTenant('x')],
  ];
  it.each(CALLS)('[SAME-1] %s', async (_what, call) => {
    const { pool } = setUp({ servers: { a: server, b: server, s: shared } });
    (await pool.getServer('a')).release();
    await pool.getServer('s', { owner: 'o' });
    const before = pool.status();
    const seen = events(pool);
    await Promise.resolve(call(pool)).catch(() => {});
    await flush();
    expect(pool.status()).toEqual(before);
    expect(seen).toEqual([]);
  });
});

describe('minIdle after a crash', () => {
  it('[SAME-2] a shared server with leases that move is not started twice', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...shared, minIdle: 1 } } });
    await flush();
    const [one] = await leases(pool, 1);
    for (let crash = 0; crash < 2; crash++) {
      launcher.last.exit({ exitCode: 1 });
      // The second restart may have a pause before it.
      await clock.advanceAndFlush(200);
      expect(launcher.living).toHaveLength(1);
    }
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(launcher.maximum).toBe(1);
  });

  it('[SAME-2] neither when no lease is on it', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...shared, minIdle: 1 } } });
    await flush();
    (await pool.getServer('a')).release();
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(60_000);
    expect(launcher.living).toHaveLength(1);
    expect(launcher.maximum).toBe(1);
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1 });
  });

  it('[SAME-2] when its breaker opens, one is started for minIdle after that', async () => {
    const definition = { ...shared, minIdle: 1, restart: { maxRestarts: 0, cooldown: 500 } };
    const { clock, pool, launcher } = setUp({ servers: { a: definition } });
    await flush();
    await leases(pool, 1);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.living).toEqual([]);
    await clock.advanceAndFlush(60_000);
    expect(launcher.living).toHaveLength(1);
    expect(pool.status()).toMatchObject({ idle: 1, processes: 1, leases: 0 });
  });

  it('[SAME-2] an exclusive server with onCrash: restart has one idle beside the one that is restarted', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, onCrash: 'restart', minIdle: 1 } } });
    await flush();
    const lease = await pool.getServer('a');
    await flush();
    launcher.servers[0]?.exit({ exitCode: 1 });
    await flush();
    expect(lease.pid).toBe(launcher.last.pid);
    expect(launcher.living).toHaveLength(2);
    expect(pool.status()).toMatchObject({ idle: 1, processes: 2 });
  });

  it('[SAME-2] what is more than minIdle asks for ends after idleTimeout, also while another one is in use', async () => {
    const definition = { ...shared, minIdle: 1, maxSessions: 2, idleTimeout: 5_000, leaseIdleTimeout: Infinity };
    const { clock, pool, launcher, reasons } = setUp({ servers: { a: definition } });
    await flush();
    // A full one makes another necessary; one of its leases ends, and there is room for a caller again.
    const [one] = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    await flush();
    expect(launcher.living).toHaveLength(2);
    await clock.advanceAndFlush(20_000);
    expect(launcher.living).toHaveLength(2);
    one?.release();
    await clock.advanceAndFlush(10_000);
    expect(reasons()).toEqual(['idle']);
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(20_000);
    expect(launcher.living).toHaveLength(1);
  });
});
