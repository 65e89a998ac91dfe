import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const shared = { command: 'fake', sharing: 'shared' } as const;

describe('shared leases', () => {
  it('[SHARE-5] are many on one instance, and one start serves all that wait for it', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const leases = await Promise.all(Array.from({ length: 50 }, () => pool.getServer('a')));
    expect(launcher.servers).toHaveLength(1);
    expect(new Set(leases.map(({ instanceId }) => instanceId)).size).toBe(1);
    expect(pool.status()).toMatchObject({ processes: 1, leases: 50, idle: 0 });
    for (const lease of leases) lease.release();
    expect(pool.status()).toMatchObject({ processes: 1, leases: 0, idle: 1 });
  });

  it('[SHARE-5] fill an instance up to maxSessions, then the next, then wait; the least loaded takes the next', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxSessions: 2, maxInstances: 2 } } });
    const leases = await Promise.all(Array.from({ length: 4 }, () => pool.getServer('a')));
    expect(launcher.servers).toHaveLength(2);
    const fifth = pool.getServer('a');
    expect(await outcome(fifth)).toBe('pending');
    const [first, second, third, fourth] = leases;
    expect([first?.pid, second?.pid, third?.pid, fourth?.pid]).toEqual([
      launcher.servers[0]?.pid,
      launcher.servers[0]?.pid,
      launcher.servers[1]?.pid,
      launcher.servers[1]?.pid,
    ]);
    third?.release();
    expect((await fifth).pid).toBe(third?.pid);
    first?.release();
    second?.release();
    expect((await pool.getServer('a')).pid).toBe(first?.pid);
    fourth?.release();
    // One each: whichever has fewer.
    expect(pool.status().servers.a?.instances.map(({ leases: held }) => held)).toEqual([1, 1]);
  });

  it('[SHARE-5] are of an instance that is idle between them, counted once, and no more once it has ended', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    for (let round = 0; round < 4; round++) (await pool.getServer('a')).release();
    expect(await pool.warm('a', { count: 1 })).toBe(1);
    expect(await pool.warm('a', { count: 2 })).toBe(2);
    expect(launcher.servers).toHaveLength(2);
    for (const server of launcher.living) server.exit({ exitCode: 1 });
    const lease = await pool.getServer('a');
    expect(launcher.living.map(({ pid }) => pid)).toEqual([lease.pid]);
    expect(pool.status()).toMatchObject({ leases: 1, idle: 0 });
  });

  it('[SHARE-5] wait with an error that names maxSessions', async () => {
    const { pool, clock } = setUp({ servers: { a: { ...shared, maxSessions: 1, maxInstances: 1 } } });
    await pool.getServer('a');
    const refused = rejection(pool.getServer('a', { timeout: 50 }));
    await clock.advanceAndFlush(50);
    expect(await refused).toMatchObject({ code: 'ACQUIRE_TIMEOUT', message: expect.stringContaining('maxSessions') });
  });

  it('[SHARE-5] of an exclusive server wait with an error that says how to share it', async () => {
    const { pool, clock } = setUp({ servers: { a: { command: 'fake', maxInstances: 1 } } });
    await pool.getServer('a');
    const refused = rejection(pool.getServer('a', { timeout: 50 }));
    await clock.advanceAndFlush(50);
    expect(await refused).toMatchObject({ message: expect.stringMatching(/sharing: 'shared'.*docs\/sharing\.md/) });
  });

  it('[TENANT-1] of two tenants are never on one instance, nor of two owners where reuse says so', async () => {
    const { pool } = setUp({ servers: { a: shared, b: { ...shared, reuse: 'owner' } } });
    const [alice, bob] = [await pool.getServer('a', { tenant: 'alice' }), await pool.getServer('a', { tenant: 'bob' })];
    expect(alice.pid).not.toBe(bob.pid);
    const owners = await Promise.all(['x', 'y', 'x'].map((owner) => pool.getServer('b', { owner })));
    expect(owners[0]?.pid).toBe(owners[2]?.pid);
    expect(owners[0]?.pid).not.toBe(owners[1]?.pid);
  });

  it('[LIFE-1] [LIFE-4] are not interrupted by idleTimeout, maxUses or maxLifetime', async () => {
    const { pool, clock, launcher } = setUp({
      servers: { a: { ...shared, idleTimeout: 100, maxUses: 2, maxLifetime: 10_000 } },
    });
    const first = await pool.getServer('a');
    await clock.advanceAndFlush(500);
    const second = await pool.getServer('a');
    expect(second.pid).toBe(first.pid);
    const third = await pool.getServer('a');
    expect(third.pid).not.toBe(first.pid);
    first.release();
    await flush();
    expect(launcher.living).toHaveLength(2);
    second.release();
    await flush();
    expect(launcher.living).toHaveLength(1);
    await clock.advanceAndFlush(11_000);
    expect((await pool.getServer('a')).pid).not.toBe(third.pid);
  });

  it('[LIFE-4] are given out on an instance until it is too old, and not at that time any more', async () => {
    // No jitter.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0);
    onTestFinished(() => random.mockRestore());
    const { pool, clock } = setUp({ servers: { a: { ...shared, maxLifetime: 1_000 } } });
    const first = await pool.getServer('a');
    clock.advance(999);
    expect((await pool.getServer('a')).pid).toBe(first.pid);
    clock.advance(1);
    expect((await pool.getServer('a')).pid).not.toBe(first.pid);
  });

  it('[LIFE-2] minIdle keeps an instance ready, which may be one that has room', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, minIdle: 1 } } });
    await flush();
    await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    expect(launcher.servers).toHaveLength(1);
    expect(await pool.warm('a')).toBe(1);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[SHARE-4] end one by one; what one leaves open is cancelled, and the instance goes on', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } }, { answer: false });
    const [one, two] = [await pool.getServer('a'), await pool.getServer('a')];
    const [first, second] = [await RawClient.connect(one.transport), await RawClient.connect(two.transport)];
    void first.request('tools/call', { name: 'slow' });
    const kept = second.request('tools/call', { name: 'kept' });
    await flush();
    one.release();
    await flush();
    const wire = launcher.last.received.slice(2);
    expect(wire.map(({ method }) => method)).toEqual(['tools/call', 'tools/call', 'notifications/cancelled']);
    expect(wire[2]?.params).toMatchObject({ requestId: wire[0]?.id });
    launcher.last.answer(wire[1]?.id ?? 0, 'done');
    expect(await kept).toBe('done');
    expect(first.closeCount).toBe(1);
    expect(launcher.last.alive).toBe(true);
  });

  it('[LEASE-1] a silent one is taken back when a caller waits for its seat', async () => {
    const { pool, clock } = setUp({
      servers: { a: { ...shared, maxSessions: 2, maxInstances: 1, leaseIdleTimeout: 1_000 } },
    });
    const [busy, silent] = [await pool.getServer('a'), await pool.getServer('a')];
    const client = await RawClient.connect(busy.transport);
    await clock.advanceAndFlush(900);
    await client.request('tools/list');
    const waiting = pool.getServer('a');
    expect(await outcome(waiting)).toBe('pending');
    await clock.advanceAndFlush(200);
    expect((await waiting).pid).toBe(busy.pid);
    expect(silent.release()).toBe(false);
    expect(client.closeCount).toBe(0);
  });

  it('[LEASE-1] a silent one is not taken back for a slot that another lease on its instance needs anyway', async () => {
    const { pool, clock } = setUp({
      servers: { a: { ...shared, leaseIdleTimeout: 1_000 }, b: { command: 'fake' } },
      limits: { maxProcesses: 1 },
    });
    const [busy, silent] = [await pool.getServer('a'), await pool.getServer('a')];
    const client = await RawClient.connect(busy.transport);
    const waiting = pool.getServer('b');
    for (let round = 0; round < 3; round++) {
      await clock.advanceAndFlush(900);
      await client.request('tools/list');
    }
    expect(await outcome(waiting)).toBe('pending');
    expect(silent.release()).toBe(true);
    busy.release();
    expect((await waiting).name).toBe('b');
  });

  it('[SHARE-6] a client that counts on undeclared capabilities causes one warning that names the option', async () => {
    const { pool, emitted } = setUp({
      servers: { a: shared, b: { command: 'fake', clientCapabilities: { roots: {} } } },
    });
    const connect = async (name: string, capabilities: object) => {
      const client = new RawClient((await pool.getServer(name)).transport);
      await client.transport.start();
      await client.request('initialize', { protocolVersion: '2025-11-25', capabilities, clientInfo: {} });
    };
    await connect('a', { sampling: {}, experimental: {} });
    await connect('a', { sampling: {} });
    await connect('b', { roots: {}, elicitation: {} });
    const warnings = emitted.flatMap(({ event, payload }) => (event === 'capability:undeclared' ? [payload] : []));
    expect(warnings).toMatchObject([
      { name: 'a', capabilities: ['sampling'], message: expect.stringContaining('docs/sharing.md') },
      { name: 'b', capabilities: ['elicitation'], message: expect.stringContaining('clientCapabilities') },
    ]);
  });

  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[SHARE-7] tasks, extensions and experimental capabilities that are not passed on are named: %s',
    async (sharing) => {
      const { pool, launcher, emitted } = setUp({ servers: { a: { command: 'fake', sharing } } });
      const client = new RawClient((await pool.getServer('a')).transport);
      await client.transport.start();
      const capabilities = { tasks: { list: {} }, extensions: { 'x/y': {} }, experimental: { z: {} } };
      const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'c', version: '1' } };
      await client.request('initialize', params);
      const warnings = emitted.flatMap(({ event, payload }) => (event === 'capability:undeclared' ? [payload] : []));
      if (sharing === 'dedicated') {
        // Its client initializes it itself: everything is passed on.
        expect(warnings).toEqual([]);
        expect(launcher.last.received).toMatchObject([{ method: 'initialize', params }]);
      } else {
        expect(warnings).toMatchObject([{ name: 'a', capabilities: ['tasks', 'experimental', 'extensions'] }]);
      }
    },
  );

  it('[LEASE-3] the last of which a listener releases within the end of another is parked once', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const [one, two] = [await pool.getServer('a'), await pool.getServer('a')];
    pool.once('lease:released', () => void two.release());
    one.release();
    expect(pool.status()).toMatchObject({ processes: 1, idle: 1, leases: 0 });
  });

  it('[START-1] a start that fails rejects all that counted on it, and no others', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...shared, maxSessions: 2 } } }, { spawn: false });
    const calls = Array.from({ length: 3 }, () => outcome(pool.getServer('a').then((lease) => lease.id)));
    await flush();
    expect(launcher.servers).toHaveLength(2);
    launcher.servers[0]?.exit({ exitCode: 1 });
    await flush();
    launcher.servers[1]?.spawned();
    await flush();
    expect((await Promise.all(calls)).filter((state) => state === 'rejected').length).toBeLessThanOrEqual(2);
    expect(pool.status().waiting).toBe(0);
  });
});
