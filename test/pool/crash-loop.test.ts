import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import { RawClient } from '../helpers/client.js';
import { failStart, leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

describe('a server that fails again and again', () => {
  const looping = { ...shared, restart: { maxRestarts: 2, minDelay: 100, cooldown: 5_000 } };

  it('[FAIL-6] opens its breaker: leases end, callers are refused at once with the last words, a probe decides', async () => {
    const { pool, launcher, clock, emitted } = setUp({ servers: { a: looping } });
    const [one] = await leases(pool, 1);
    for (let crash = 0; crash < 3; crash++) {
      launcher.last.complain(`crash ${crash}`);
      launcher.last.exit({ exitCode: 1 });
      await flush();
      await clock.advanceAndFlush(400);
    }
    await one?.client.closed;
    expect(one?.client.closeCount).toBe(1);
    expect(one?.client.errors[0]).toMatchObject({ code: 'BREAKER_OPEN', data: { stderrTail: 'crash 2\n' } });
    expect(pool.status()).toMatchObject({ processes: 0, leases: 0 });
    const refused = await rejection(pool.getServer('a'));
    expect(refused).toBeInstanceOf(PoolError);
    expect(refused).toMatchObject({ code: 'BREAKER_OPEN', data: { stderrTail: 'crash 2\n' } });
    expect(launcher.servers).toHaveLength(3);
    launcher.auto = { ...launcher.auto, initialize: false };
    await clock.advanceAndFlush(5_000);
    const probe = pool.getServer('a');
    await flush();
    expect(launcher.servers).toHaveLength(4);
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.last.exit({ exitCode: 1 });
    expect(await rejection(probe)).toMatchObject({ code: 'SERVER_EXITED' });
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.auto = { ...launcher.auto, initialize: true };
    await clock.advanceAndFlush(5_000);
    expect((await pool.getServer('a')).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(5);
    expect(emitted.filter(({ event }) => event.startsWith('breaker')).map(({ event }) => event)).toEqual([
      'breaker:opened',
      'breaker:half-opened',
      'breaker:opened',
      'breaker:half-opened',
      'breaker:closed',
    ]);
  });

  it('[FAIL-6] [TENANT-1] refuses nothing to another tenant, and shows it no word of this one', async () => {
    const { pool, launcher } = setUp({ servers: { a: looping } });
    for (let crash = 0; crash < 3; crash++) {
      launcher.auto = { ...launcher.auto, initialize: false };
      await failStart(pool, launcher, { tenant: 'alice' });
    }
    expect(await rejection(pool.getServer('a', { tenant: 'alice' }))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.auto = { ...launcher.auto, initialize: true };
    expect((await pool.getServer('a', { tenant: 'bob' })).tenant).toBe('bob');
  });

  it('[FAIL-6] rejects those that wait when the breaker opens, also where maxInstances is reached', async () => {
    const { pool, launcher } = setUp(
      { servers: { a: { command: 'fake', maxInstances: 1, restart: { maxRestarts: 0 } } } },
      { initialize: false },
    );
    const calls = Array.from({ length: 3 }, () => rejection(pool.getServer('a')));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    expect(await Promise.all(calls)).toMatchObject([
      { code: 'SERVER_EXITED' },
      { code: 'BREAKER_OPEN' },
      { code: 'BREAKER_OPEN' },
    ]);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[FAIL-6] is forgiven when its definition is changed', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...looping, restart: { maxRestarts: 0 } } } });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.auto = { ...launcher.auto, initialize: true };
    await pool.updateServer('a', { ...shared, args: ['better'] });
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });

  it('[FAIL-6] counts no end of an exclusive server that was of use to a caller', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', restart: { maxRestarts: 0 } } } });
    for (let lease = 0; lease < 3; lease++) {
      const [one] = await leases(pool, 1);
      await one?.client.request('tools/list');
      launcher.last.exit({ exitCode: 0 });
      await one?.client.closed;
    }
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });

  it('[FAIL-6] [BREAKER-1] has its probe made for a caller that waits, as soon as its cooldown is over', async () => {
    const { pool, launcher, clock } = setUp({
      servers: { a: { command: 'fake', maxInstances: 2, restart: { maxRestarts: 0, cooldown: 1_000 } } },
    });
    const running = await pool.getServer('a');
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    launcher.auto = { ...launcher.auto, initialize: true };
    // It waits for the one that runs, as no other is started now.
    const waiting = pool.getServer('a', { timeout: 60_000 });
    await clock.advanceAndFlush(999);
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(1);
    expect((await waiting).pid).toBe(launcher.last.pid);
    expect(launcher.servers).toHaveLength(3);
    running.release();
  });

  it('[FAIL-6] [SPAWN-2] a probe that cannot even be spawned lets the next start be the probe', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { command: 'fake', restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    launcher.onLaunch = () => {
      throw new PoolError('COMMAND_NOT_FOUND', 'there is none');
    };
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
    launcher.onLaunch = undefined;
    launcher.auto = { ...launcher.auto, initialize: true };
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });

  it('[FAIL-6] [START-4] a probe decides when its caller has given up, too; ended on purpose, the next start is the probe', async () => {
    const { pool, launcher, clock, emitted } = setUp(
      { servers: { a: { ...looping, restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    const abort = new AbortController();
    const given = rejection(pool.getServer('a', { signal: abort.signal }));
    await flush();
    abort.abort();
    await given;
    await pool.restart('a');
    const last = new AbortController();
    const probed = rejection(pool.getServer('a', { signal: last.signal }));
    await flush();
    last.abort();
    await probed;
    launcher.last.initialize();
    await flush();
    expect(await pool.getServer('a')).toMatchObject({ pid: launcher.last.pid });
    expect(launcher.servers).toHaveLength(3);
    expect(emitted.filter(({ event }) => event === 'breaker:closed')).toHaveLength(1);
  });
});

describe('definitions, breakers and limits', () => {
  it('[DEF-1] [TENANT-3] a replaced definition stays replaced, though its replacement and a restart fail', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    await leases(pool, 1);
    const old = launcher.last.pid;
    launcher.auto = { ...launcher.auto, initialize: false };
    for (const call of [() => pool.updateServer('a', { ...shared, env: { X: 'new' } }), () => pool.restart('a')]) {
      const failed = rejection(call());
      await flush();
      launcher.last.exit({ exitCode: 1 });
      await failed;
    }
    launcher.auto = { ...launcher.auto, initialize: true };
    expect((await pool.getServer('a')).pid).not.toBe(old);
  });

  it('[FAIL-6] an open breaker evicts no instance, and refuses at once in a full pool', async () => {
    const { pool, launcher } = setUp({
      servers: { a: { ...shared, restart: { maxRestarts: 0 } }, b: { command: 'fake' } },
      limits: { maxProcesses: 1 },
    });
    launcher.auto = { ...launcher.auto, initialize: false };
    await failStart(pool, launcher);
    launcher.auto = { ...launcher.auto, initialize: true };
    (await pool.getServer('b')).release();
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'BREAKER_OPEN' });
    expect(pool.status().servers.b?.idle).toBe(1);
  });

  it('[FAIL-6] a probe that gets another policy in its definition has all its seats when it is ready', async () => {
    const one = { ...shared, maxInstances: 1, restart: { maxRestarts: 0, cooldown: 1_000 } };
    const { pool, launcher, clock } = setUp({ servers: { a: one } }, { initialize: false });
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    const probe = pool.getServer('a');
    await flush();
    await pool.updateServer('a', { ...one, idleTimeout: 7 });
    launcher.last.initialize();
    expect((await pool.getServer('a')).pid).toBe((await probe).pid);
  });

  it('[FAIL-6] another tenant that fails later does not make an open breaker forget', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { command: 'fake', restart: { maxRestarts: 0, cooldown: 1_000 } } } },
      { initialize: false },
    );
    await failStart(pool, launcher, { tenant: 'x' });
    await clock.advanceAndFlush(1_000);
    await failStart(pool, launcher, { tenant: 'y' });
    const calls = [pool.getServer('a', { tenant: 'x' }), pool.getServer('a', { tenant: 'x' })].map(rejection);
    await flush();
    expect(launcher.living).toHaveLength(1);
    expect(await calls[1]).toMatchObject({ code: 'BREAKER_OPEN' });
    launcher.last.exit({ exitCode: 1 });
    await calls[0];
  });

  it('[LEASE-1] silent leases of one tenant are not taken back for another that gains nothing', async () => {
    const { pool, clock } = setUp({ servers: { a: { ...shared, maxInstances: 1, leaseIdleTimeout: 1_000 } } });
    const [busy, silent] = [await pool.getServer('a', { tenant: 'x' }), await pool.getServer('a', { tenant: 'x' })];
    const client = await RawClient.connect(busy.transport);
    const waiting = pool.getServer('a', { tenant: 'y' });
    for (let round = 0; round < 3; round++) {
      await clock.advanceAndFlush(900);
      await client.request('tools/list');
    }
    expect(await outcome(waiting)).toBe('pending');
    expect(silent.release()).toBe(true);
    busy.release();
    expect((await waiting).tenant).toBe('y');
  });

  it('[FAIL-5] [PROOF-1] restart() says when no other could be started, because the old one could not be ended', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...shared, maxInstances: 1 } }, cleanup: { retries: 0 } },
      { end: false },
    );
    const [one] = await leases(pool, 1);
    const restarting = rejection(pool.restart('a'));
    await flush();
    launcher.last.survive();
    await clock.advanceAndFlush(1);
    expect(await restarting).toMatchObject({ code: 'SERVER_EXITED', message: expect.stringContaining('slot') });
    await one?.client.closed;
    launcher.last.exit();
    await clock.advanceAndFlush(30_000);
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });
});
