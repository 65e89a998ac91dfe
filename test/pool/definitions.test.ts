import { describe, expect, it } from 'vitest';
import { MCPServerPool } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher } from '../helpers/fake-launcher.js';
import { codeOf, failStart, setUp } from '../helpers/fake-pool.js';
import { flush, outcome } from '../helpers/until.js';

const server = { command: 'fake' };

describe('definitions', () => {
  it('[DEF-1] a changed one ends idle and starting instances now, leased ones with their lease', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: server } });
    const leased = await pool.getServer('a');
    (await pool.getServer('a')).release();
    launcher.auto = { ...launcher.auto, initialize: false };
    const idle = await pool.getServer('a');
    const waiting = pool.getServer('a', { tenant: 'x' });
    idle.release();
    await flush();
    launcher.auto = { ...launcher.auto, initialize: true };
    const done = pool.updateServer('a', { command: 'fake', args: ['new'] });
    const fresh = await waiting;
    expect(launcher.servers.find(({ pid }) => pid === fresh.pid)?.definition.args).toEqual(['new']);
    expect(await outcome(done)).toBe('pending');
    leased.release();
    await done;
    expect(reasons()).toEqual(['replaced', 'replaced', 'replaced']);
    expect(launcher.living.map(({ pid }) => pid)).toEqual([fresh.pid]);
  });

  it.each(['exclusive', 'shared', 'dedicated'] as const)(
    '[DEF-1] an equal one joins the update under way and shortens its timeout: %s',
    async (sharing) => {
      const { clock, pool, launcher, reasons } = setUp({
        servers: { a: { ...server, sharing, onCrash: 'close', restart: { maxRestarts: 0 } } },
      });
      const lease = await pool.getServer('a');
      const changed = { ...server, sharing, onCrash: 'close', args: ['new'], restart: { maxRestarts: 0 } } as const;
      expect(pool.setServer('a', changed)).toBe(true);
      launcher.auto = { ...launcher.auto, spawn: false, initialize: false };
      await failStart(pool, launcher);
      expect(pool.setServer('a', changed)).toBe(false);
      const joined = pool.updateServer('a', changed, { timeout: 5_000 });
      await clock.advanceAndFlush(4_999);
      expect(await outcome(joined)).toBe('pending');
      expect(pool.status().leases).toBe(1);
      await clock.advanceAndFlush(1);
      await joined;
      expect(lease.release()).toBe(false);
      expect(reasons()).toContain('replaced');
      expect(launcher.living).toEqual([]);
      // The definition did not change, so its breaker is still open.
      expect(await codeOf(pool.getServer('a'))).toBe('BREAKER_OPEN');
    },
  );

  it('[DEF-1] [SAME-1] an equal one without a timeout waits for the update under way, and emits nothing', async () => {
    const { pool, emitted } = setUp({ servers: { a: server } });
    const lease = await pool.getServer('a');
    const changed = { ...server, args: ['new'] };
    pool.setServer('a', changed);
    const before = emitted.length;
    const joined = pool.updateServer('a', changed);
    expect(await outcome(joined)).toBe('pending');
    expect(emitted).toHaveLength(before);
    lease.release();
    await joined;
  });

  it('[DEF-1] a change of policy alone keeps the processes, and holds for them', async () => {
    const { clock, pool, launcher } = setUp({ servers: { a: { ...server, idleTimeout: 1_000 } } });
    const lease = await pool.getServer('a');
    await pool.updateServer('a', { ...server, idleTimeout: 10 });
    lease.release();
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(10);
    expect(launcher.living).toHaveLength(0);
  });

  it('[DEF-1] a lower maxInstances holds at once for idle instances, and for leased ones with their lease', async () => {
    const { pool, launcher, reasons } = setUp({ servers: { a: { ...server, maxInstances: 3 } } });
    const leases = await Promise.all([pool.getServer('a'), pool.getServer('a'), pool.getServer('a')]);
    leases[0]?.release();
    await pool.updateServer('a', { ...server, maxInstances: 1 });
    await flush();
    expect(launcher.living).toHaveLength(2);
    for (const lease of leases) lease.release();
    await flush();
    expect(launcher.living).toHaveLength(1);
    expect(reasons()).toEqual(['surplus', 'surplus']);
  });

  it('[DEF-1] a change forgets what failed before: the status shows no failure, and a spare is started at once', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, minIdle: 1 } } }, { spawn: false });
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(pool.status().servers.a?.lastFailure).toContain('exited with code 1');
    expect(launcher.servers).toHaveLength(1);
    launcher.auto = { ...launcher.auto, spawn: true };
    await pool.updateServer('a', { ...server, minIdle: 1, idleTimeout: 7 });
    expect(pool.status().servers.a?.lastFailure).toBeUndefined();
    expect(launcher.servers).toHaveLength(2);
  });

  it('[START-2] the status shows why the last start failed, until one succeeds', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    expect(pool.status().servers.a?.lastFailure).toContain('exited with code 1');
    launcher.auto = { ...launcher.auto, initialize: true };
    await pool.getServer('a');
    expect(pool.status().servers.a?.lastFailure).toBeUndefined();
  });

  it('[DEF-1] [SHARE-6] a change has capabilities that are missing emitted again', async () => {
    const { pool, emitted } = setUp({ servers: { a: { ...server, sharing: 'shared' } } });
    const connect = async () => {
      const client = new RawClient((await pool.getServer('a')).transport);
      await client.transport.start();
      await client.request('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: { roots: {} },
        clientInfo: {},
      });
    };
    const warnings = () => emitted.filter(({ event }) => event === 'capability:undeclared').length;
    await connect();
    await connect();
    expect(warnings()).toBe(1);
    await pool.updateServer('a', { ...server, sharing: 'shared', idleTimeout: 7 });
    await connect();
    expect(warnings()).toBe(2);
  });

  it('[DEF-1] a change that makes room serves the caller that waits', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } } });
    await pool.getServer('a');
    const waiting = pool.getServer('a');
    void pool.updateServer('a', { ...server, args: ['new'], maxInstances: 2 });
    await waiting;
  });

  it('[DEF-1] leases on the old process are taken back after the drain timeout', async () => {
    const { clock, pool, emitted } = setUp({ servers: { a: server } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    const done = pool.restart('a', { timeout: 500 });
    await clock.advanceAndFlush(500);
    await done;
    expect(client.closeCount).toBe(1);
    expect(emitted.some(({ event }) => event === 'lease:reclaimed')).toBe(true);
  });

  it('[DEF-2] a removed server rejects its waiters, is unknown, and can be added again within the caps', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } }, limits: { maxProcesses: 1 } });
    const lease = await pool.getServer('a');
    const waiting = pool.getServer('a');
    const removed = pool.removeServer('a');
    expect(await codeOf(waiting)).toBe('UNKNOWN_SERVER');
    expect(await codeOf(pool.getServer('a'))).toBe('UNKNOWN_SERVER');
    pool.addServer('a', { command: 'fake', args: ['again'] });
    const next = pool.getServer('a');
    expect(await outcome(next)).toBe('pending');
    lease.release();
    await removed;
    expect(launcher.servers.find(({ pid }) => pid === launcher.last.pid)?.definition.args).toEqual(['again']);
    await next;
    expect(launcher.maximum).toBe(1);
  });

  it('[DEF-2] adding a name twice is refused, with the call that would do', async () => {
    const { pool } = setUp({ servers: { a: server } });
    expect(() => pool.addServer('a', server)).toThrow(/updateServer/);
    expect(() => pool.addServer('b', { command: '' })).toThrow(/b\.command/);
  });

  it('the one-definition shorthand needs no name', async () => {
    const clock = new ManualClock();
    const launcher = new FakeLauncher();
    const pool = new MCPServerPool({ command: 'fake', args: ['x'], maxInstances: 2 }, { clock, launcher });
    const lease = await pool.getServer();
    expect(lease.name).toBe('default');
    await pool.shutdown();
  });
});
