import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PoolEvents } from '../../src/index.js';
import { Starts } from '../../src/pool/acquire/starts.js';
import { WaitReasons } from '../../src/pool/acquire/wait-reasons.js';
import { LeaseClasses } from '../../src/pool/instances/lease-classes.js';
import { PooledInstance } from '../../src/pool/instances/pooled-instance.js';
import { LeaseEvents } from '../../src/pool/leases/lease-events.js';
import { LeaseManager } from '../../src/pool/leases/lease-manager.js';
import { Shutdown } from '../../src/pool/shutdown/shutdown.js';
import { GiveUpWatch } from '../../src/server/give-up-watch.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

// A fault is injected by a method that throws once, while the pool handles what is due.

afterEach(() => {
  vi.restoreAllMocks();
});

const fault = new TypeError('injected');
const MODES = ['shared', 'exclusive', 'dedicated'] as const;

function throwsOnce<T extends object>(target: T, method: keyof T & string): void {
  vi.spyOn(target as Record<string, () => void>, method).mockImplementationOnce(() => {
    throw fault;
  });
}

function open(definition: object, options: object = {}) {
  const all = setUp({ servers: { a: { command: 'fake', ...definition }, b: { command: 'fake' } }, ...options });
  const faults: PoolEvents['internal:error'][] = [];
  all.pool.on('internal:error', (event) => faults.push(event));
  return { ...all, faults };
}

describe('a fault of this library in what is due', () => {
  it('[FAULT-4] about an idle instance ends that one; the others are handled in the same tick', async () => {
    for (const sharing of ['shared', 'exclusive'] as const) {
      const { pool, clock, launcher, faults, reasons } = open(
        { sharing, idleTimeout: 1_000 },
        { defaults: { idleTimeout: 1_000 } },
      );
      const first = await pool.getServer('a');
      (await pool.getServer('b')).release();
      const { pid } = first;
      first.release();
      throwsOnce(LeaseClasses.prototype, 'classOf');
      await clock.advanceAndFlush(1_000);
      expect(faults).toMatchObject([{ name: expect.any(String), error: { code: 'INTERNAL_ERROR', cause: fault } }]);
      expect(reasons().sort()).toEqual(['broken', 'idle']);
      expect(launcher.living).toEqual([]);
      const next = await pool.getServer('a');
      expect(next.pid).not.toBe(pid);
      next.release();
      // The timer is set again.
      await clock.advanceAndFlush(1_000);
      expect(reasons().sort()).toEqual(['broken', 'idle', 'idle']);
    }
  });

  it.each(MODES)('[FAULT-4] about a lease ends its instance with the lease: %s', async (sharing) => {
    const { pool, clock, faults, reasons } = open({ sharing, onCrash: 'close' }, { leakDetection: 1_000 });
    const lease = await pool.getServer('a', { owner: 'x' });
    throwsOnce(LeaseEvents.prototype, 'leaked');
    await clock.advanceAndFlush(1_000);
    expect(faults).toMatchObject([{ name: 'a', leases: [{ leaseId: lease.id, owner: 'x' }], error: { cause: fault } }]);
    expect(reasons()).toEqual(['broken']);
    expect(await lease.ended).toMatchObject({ confirmed: true });
    (await pool.getServer('a')).release();
  });

  it.each([false, true])(
    '[FAULT-4] about a caller rejects it; others have their deadlines (reuseLease: %s)',
    async (reuseLease) => {
      const { pool, clock, faults, reasons } = open({ maxInstances: 1 });
      const lease = await pool.getServer('a', { owner: 'holder', tenant: 't' });
      const call = (timeout: number) =>
        rejection(pool.getServer('a', { owner: 'x', tenant: 't', timeout, reuseLease }));
      const calls = [call(100), call(100), call(100), call(200)];
      await flush();
      throwsOnce(WaitReasons.prototype, 'timeout');
      await clock.advanceAndFlush(100);
      const first = await Promise.all(calls.slice(0, 3));
      expect(first).toMatchObject([
        { code: 'INTERNAL_ERROR', cause: fault, data: { name: 'a' }, message: expect.stringContaining('report it') },
        { code: 'ACQUIRE_TIMEOUT' },
        { code: 'ACQUIRE_TIMEOUT' },
      ]);
      expect(faults).toMatchObject([{ name: 'a', tenant: 't', error: { code: 'INTERNAL_ERROR' } }]);
      await clock.advanceAndFlush(100);
      expect(await calls[3]).toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
      // No server is concerned.
      expect(reasons()).toEqual([]);
      lease.release();
    },
  );

  it('[FAULT-4] about a quarantined tree: it is looked at again', async () => {
    const { pool, clock, launcher, faults, emitted } = open({}, { cleanup: { retries: 0 } });
    launcher.auto = { ...launcher.auto, end: false };
    await pool.getServer('a');
    const removed = pool.removeServer('a', { timeout: 0 });
    await clock.advanceAndFlush(0);
    launcher.last.survive();
    await flush();
    expect(emitted.some(({ event }) => event === 'server:quarantined')).toBe(true);
    throwsOnce(PooledInstance.prototype, 'recheck');
    await clock.advanceAndFlush(30_000);
    expect(faults).toMatchObject([{ name: 'a', error: { cause: fault } }]);
    const looks = launcher.last.ends.length;
    await clock.advanceAndFlush(30_000);
    expect(launcher.last.ends.length).toBeGreaterThan(looks);
    launcher.last.exit();
    await removed.catch(() => {});
  });

  it('[FAULT-4] about no server is an event only, and what is due later is handled', async () => {
    const { pool, clock, faults, reasons } = open({ idleTimeout: 1_000, minIdle: 1 });
    const lease = await pool.getServer('b');
    (await pool.getServer('a')).release();
    await flush();
    throwsOnce(Starts.prototype, 'fillMinimum');
    throwsOnce(Starts.prototype, 'spawnInTurn');
    await clock.advanceAndFlush(1_000);
    expect(faults).toEqual([{ error: expect.objectContaining({ code: 'INTERNAL_ERROR', cause: fault }) }]);
    vi.restoreAllMocks();
    await clock.advanceAndFlush(1_000);
    expect(reasons()).not.toContain('broken');
    lease.release();
    (await pool.getServer('a')).release();
  });

  it.each(['shared', 'exclusive'] as const)(
    '[FAULT-4] while a process is watched after a request was given up ends that one: %s',
    async (sharing) => {
      const { pool, clock, launcher, faults, reasons } = open({ sharing, onCrash: 'close' });
      const client = await RawClient.connect((await pool.getServer('a')).transport);
      launcher.last.auto = { ...launcher.last.auto, answer: false };
      void client.request('tools/call', { name: 'slow' }, 'slow');
      await client.notify('notifications/cancelled', { requestId: 'slow' });
      await flush();
      throwsOnce(GiveUpWatch.prototype, 'test');
      await clock.advanceAndFlush(5_000);
      expect(faults).toMatchObject([{ name: 'a', error: { cause: fault } }]);
      expect(reasons()).toEqual(['broken']);
      await client.closed;
      (await pool.getServer('a')).release();
    },
  );

  it('[FAULT-4] when a drain timeout is over is an event, and the pool goes on', async () => {
    const { pool, clock, faults } = open({});
    const lease = await pool.getServer('a');
    const restarted = pool.restart('a', { timeout: 1_000 });
    throwsOnce(LeaseManager.prototype, 'of');
    await clock.advanceAndFlush(1_000);
    expect(faults).toMatchObject([{ error: { cause: fault } }]);
    lease.release();
    await restarted;
  });

  it('[FAULT-4] when a shutdown becomes an emergency is an event, and the shutdown goes on', async () => {
    const { pool, clock, launcher, faults } = open({});
    await pool.getServer('a');
    launcher.last.auto = { ...launcher.last.auto, end: false };
    const closed = pool.shutdown({ timeout: 1_000 });
    await flush();
    throwsOnce(Shutdown.prototype, 'hurry');
    await clock.advanceAndFlush(1_000);
    expect(faults).toMatchObject([{ error: { cause: fault } }]);
    launcher.last.exit();
    expect((await closed).survivors).toEqual([]);
  });
});
