import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PoolEvents } from '../../src/index.js';
import { Starts } from '../../src/pool/acquire/starts.js';
import { LeaseEvents } from '../../src/pool/leases/lease-events.js';
import { InstanceSupervisor } from '../../src/pool/supervision/instance-supervisor.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, outcome } from '../helpers/until.js';

// A fault is injected by a method that throws, while nothing but a promise waits for what it does. An unhandled rejection
// fails the test.

afterEach(() => {
  vi.restoreAllMocks();
});

const fault = new TypeError('injected');
const MODES = ['shared', 'exclusive', 'dedicated'] as const;

function throws<T extends object>(target: T, method: keyof T & string, times = 1): void {
  const spy = vi.spyOn(target as Record<string, () => void>, method);
  for (let time = 0; time < times; time++) {
    spy.mockImplementationOnce(() => {
      throw fault;
    });
  }
}

function open(definition: object, options: object = {}) {
  const all = setUp({ servers: { a: { command: 'fake', maxInstances: 1, ...definition } }, ...options });
  const faults: PoolEvents['internal:error'][] = [];
  all.pool.on('internal:error', (event) => faults.push(event));
  const stops: string[] = [];
  all.pool.on('server:stopped', ({ instanceId }) => stops.push(instanceId));
  const isOurs = { name: 'a', error: { code: 'INTERNAL_ERROR', cause: fault } };
  return { ...all, faults, stops, isOurs };
}

describe.each(MODES)('a fault of this library in the last change of a server that is %s', (sharing) => {
  it('[FAULT-5] its slot comes free: the next caller gets a server', async () => {
    const { pool, clock, faults, stops, isOurs } = open({ sharing });
    const lease = await pool.getServer('a');
    throws(InstanceSupervisor.prototype, 'stopped');
    const restarted = outcome(pool.removeServer('a'));
    lease.release();
    await clock.advanceAndFlush(0);
    expect(await restarted).toBe('resolved');
    expect(await outcome(lease.ended)).toBe('resolved');
    expect(faults).toMatchObject([isOurs]);
    expect(stops).toEqual([lease.instanceId]);
    pool.addServer('a', { command: 'fake', maxInstances: 1, sharing });
    (await pool.getServer('a')).release();
  });

  it('[FAULT-5] also after a crash, while a caller waits', async () => {
    const { pool, launcher, faults, isOurs } = open({
      sharing,
      onCrash: 'close',
      ...(sharing === 'shared' && { maxSessions: 1 }),
    });
    await pool.getServer('a');
    const next = pool.getServer('a');
    await flush();
    throws(InstanceSupervisor.prototype, 'stopped');
    launcher.last.exit({ exitCode: 1 });
    (await next).release();
    expect(faults).toMatchObject([isOurs]);
  });

  it('[FAULT-5] a fault that stays is emitted, and does not repeat for ever', async () => {
    const { pool, faults, isOurs } = open({ sharing });
    const lease = await pool.getServer('a');
    throws(InstanceSupervisor.prototype, 'stopped', 10);
    const removed = outcome(pool.removeServer('a'));
    lease.release();
    expect(await removed).toBe('resolved');
    expect(await outcome(lease.ended)).toBe('resolved');
    expect(faults).toMatchObject([isOurs, isOurs]);
    vi.restoreAllMocks();
    expect(await outcome(pool.shutdown())).toBe('resolved');
  });

  it('[FAULT-5] a quarantined one is looked at again', async () => {
    const { pool, clock, launcher, emitted, faults, stops, isOurs } = open({ sharing }, { cleanup: { retries: 0 } });
    launcher.auto = { ...launcher.auto, end: false };
    const lease = await pool.getServer('a');
    const removed = pool.removeServer('a', { timeout: 0 });
    throws(InstanceSupervisor.prototype, 'quarantined');
    await clock.advanceAndFlush(0);
    launcher.last.survive();
    await flush();
    expect(await lease.ended).toMatchObject({ confirmed: false });
    expect(await outcome(removed)).not.toBe('pending');
    expect(faults).toMatchObject([isOurs]);
    expect(emitted.filter(({ event }) => event === 'server:quarantined')).toHaveLength(1);
    // The next look finds that it is dead; another fault follows there.
    throws(InstanceSupervisor.prototype, 'stopped');
    await clock.advanceAndFlush(30_000);
    launcher.last.exit();
    await flush();
    expect(faults).toMatchObject([isOurs, isOurs]);
    expect(stops).toEqual([lease.instanceId]);
  });

  it('[FAULT-5] a start that is refused gives its slot back: its caller gets the next one', async () => {
    const { pool, launcher, faults, isOurs } = open({ sharing });
    launcher.auto = { ...launcher.auto, spawn: false };
    throws(Starts.prototype, 'failed');
    const call = pool.getServer('a');
    await flush();
    launcher.auto = { ...launcher.auto, spawn: true };
    launcher.last.refuse(new Error('refused'));
    (await call).release();
    expect(launcher.servers).toHaveLength(2);
    expect(faults).toMatchObject([isOurs]);
  });

  it('[FAULT-5] in the end of a lease: its `ended` settles, read before or after', async () => {
    const { pool } = open({ sharing });
    const lease = await pool.getServer('a');
    const { ended } = lease;
    throws(LeaseEvents.prototype, 'released');
    expect(() => lease.release()).toThrowError(fault);
    expect([await outcome(ended), await outcome(lease.ended)]).toEqual(['resolved', 'resolved']);
    expect(lease.release()).toBe(false);
  });

  it('[FAULT-5] a fault in what follows from it is an event, too', async () => {
    const { pool, launcher, faults } = open({ sharing, minIdle: 1, maxInstances: 2, onCrash: 'close' });
    const lease = await pool.getServer('a');
    await flush();
    throws(Starts.prototype, 'fillMinimum', 10);
    for (const server of launcher.servers) server.exit({ exitCode: 1 });
    await flush();
    expect(await outcome(lease.ended)).toBe('resolved');
    expect(faults.length).toBeGreaterThan(1);
    for (const { error } of faults) expect(error).toMatchObject({ code: 'INTERNAL_ERROR', cause: fault });
    vi.restoreAllMocks();
    (await pool.getServer('a')).release();
  });
});
