import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { PoolOptions, ServerDefinition } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { RawClient } from '../helpers/client.js';
import type { Automatic } from '../helpers/fake-launcher.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const alice = { tenant: 'alice' };

function poolOf(policy: Partial<ServerDefinition>, auto: Partial<Automatic> = {}, options: PoolOptions = {}) {
  return setUp({ servers: { a: { command: 'fake', maxInstances: 4, ...policy } }, ...options }, auto);
}

describe('maxInstancesPerTenant', () => {
  it('[TENANT-13] keeps the callers of a tenant waiting, and no others', async () => {
    const { pool, launcher, emitted } = poolOf({ maxInstancesPerTenant: 1 });
    const held = await pool.getServer('a', alice);
    const waiting = pool.getServer('a', { ...alice, owner: 'o' });
    expect(await outcome(waiting)).toBe('pending');
    await pool.getServer('a', { tenant: 'bob' });
    await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    expect(launcher.living).toHaveLength(4);
    expect(emitted.find(({ event }) => event === 'limit:reached')?.payload).toEqual({
      ...{ name: 'a', limit: 'maxInstancesPerTenant', value: 1 },
    });
    held.release();
    expect((await waiting).pid).not.toBe(held.pid);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] an idle instance of the same tenant, with other values or of another owner, makes room', async () => {
    const { pool, launcher, reasons } = poolOf({ maxInstancesPerTenant: 1 });
    (await pool.getServer('a', { ...alice, env: { KEY: 'one' } })).release();
    (await pool.getServer('a', { tenant: 'bob' })).release();
    (await pool.getServer('a', { ...alice, env: { KEY: 'two' } })).release();
    const own = await pool.getServer('a', { ...alice, owner: 'o' });
    own.release();
    expect(reasons()).toEqual(['evicted', 'evicted']);
    expect(launcher.living).toHaveLength(2);
    expect((await pool.getServer('a', { ...alice, owner: 'o' })).pid).toBe(own.pid);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] its error says so', async () => {
    const { pool, clock } = poolOf({ maxInstancesPerTenant: 1 });
    await pool.getServer('a', alice);
    const late = rejection(pool.getServer('a', { ...alice, timeout: 100 }));
    await clock.advanceAndFlush(100);
    const error = (await late) as PoolError;
    expect(error.code).toBe('ACQUIRE_TIMEOUT');
    expect(error.message).toContain('its tenant has all 1 instances that it may have of this server');
  });

  it('[TENANT-13] its waiting callers count against maxWaiting, those of others do not', async () => {
    const { pool } = poolOf({ maxInstancesPerTenant: 1 }, {}, { maxWaiting: 1 });
    await pool.getServer('a', alice);
    const waiting = pool.getServer('a', alice);
    expect(await codeOf(pool.getServer('a', alice))).toBe('QUEUE_FULL');
    await pool.getServer('a', { tenant: 'bob' });
    pool.releaseTenant('alice');
    expect(await codeOf(waiting)).toBe('ACQUIRE_ABORTED');
  });

  it('[TENANT-13] a spare is given to a caller whose tenant may have it, not to an older one', async () => {
    const { pool, launcher } = poolOf({ maxInstancesPerTenant: 1, minIdle: 1, maxInstances: 2 });
    await flush();
    await pool.getServer('a', alice);
    const second = pool.getServer('a', alice);
    await flush();
    expect(launcher.living).toHaveLength(2);
    expect(await outcome(second)).toBe('pending');
    expect((await pool.getServer('a', { tenant: 'bob' })).pid).toBe(launcher.last.pid);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] a start that its owner has left serves another owner of the tenant', async () => {
    const { pool, launcher } = poolOf({ maxInstancesPerTenant: 1 }, { initialize: false });
    const abort = new AbortController();
    const left = codeOf(pool.getServer('a', { ...alice, owner: 'one', signal: abort.signal }));
    await flush();
    const other = pool.getServer('a', { ...alice, owner: 'two' });
    abort.abort();
    await left;
    await flush();
    launcher.last.initialize();
    await other;
    expect(launcher.servers).toHaveLength(1);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] a silent lease of the tenant is taken back for its callers, not one of another tenant', async () => {
    const { pool, clock, emitted } = poolOf({ maxInstancesPerTenant: 1, leaseIdleTimeout: 1_000 });
    const other = await pool.getServer('a', { tenant: 'bob' });
    const own = await pool.getServer('a', { ...alice, owner: 'one' });
    await clock.advanceAndFlush(1_000);
    await pool.getServer('a', { ...alice, owner: 'two' });
    const taken = emitted.flatMap((one) => (one.event === 'lease:reclaimed' ? [one.payload.leaseId] : []));
    expect(taken).toEqual([own.id]);
    expect(other.release()).toBe(true);
  });

  it('[TENANT-13] holds while a shared instance is replaced, and after a crash', async () => {
    const { pool, launcher } = poolOf({ maxInstancesPerTenant: 1, sharing: 'shared' });
    const lease = await pool.getServer('a', alice);
    await RawClient.connect(lease.transport);
    await pool.restart('a');
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(3);
    expect(launcher.maximum).toBe(1);
    expect(lease.pid).toBe(launcher.last.pid);
  });

  it('[TENANT-13] counts for warm(), and when it is lowered for what is idle', async () => {
    const { pool, launcher, reasons } = poolOf({ maxInstancesPerTenant: 2, reuse: 'tenant' });
    expect(await pool.warm('a', { ...alice, env: { KEY: 'x' }, count: 3 })).toBe(2);
    const [one, two] = [await pool.getServer('a', { tenant: 'bob' }), await pool.getServer('a', { tenant: 'bob' })];
    one.release();
    two.release();
    await pool.updateServer('a', { command: 'fake', maxInstances: 4, maxInstancesPerTenant: 1, reuse: 'tenant' });
    await flush();
    expect(reasons()).toEqual(['surplus', 'surplus']);
    expect(launcher.living).toHaveLength(2);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] one process for each of many owners, in order: none ends before the caller that it was started for has it', async () => {
    const { pool, launcher, reasons } = poolOf({ maxInstancesPerTenant: 2, maxInstances: 2 });
    const served: number[] = [];
    const owners = Array.from({ length: 12 }, (_, index) => index);
    const calls = owners.map(async (index) => {
      const lease = await pool.getServer('a', { ...alice, owner: `owner ${index}` });
      served.push(index);
      lease.release();
    });
    await Promise.all(calls);
    expect(served).toEqual(owners);
    expect(launcher.servers).toHaveLength(owners.length);
    expect(reasons()).toEqual(Array.from({ length: owners.length - 2 }, () => 'evicted'));
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] two slots that come free at once are for the two callers that have waited longest', async () => {
    const { pool, launcher } = poolOf({ maxInstancesPerTenant: 2, maxInstances: 2 });
    const held = await Promise.all(['one', 'two'].map((owner) => pool.getServer('a', { ...alice, owner })));
    const calls = ['three', 'four', 'five'].map((owner) => pool.getServer('a', { ...alice, owner }));
    for (const lease of held) lease.release();
    await Promise.all(calls.slice(0, 2));
    expect(launcher.servers).toHaveLength(4);
    expect(await outcome(calls[2] as Promise<unknown>)).toBe('pending');
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] a limit that is raised, or is no more, lets the callers that wait have their own', async () => {
    const { pool, launcher } = poolOf({ maxInstancesPerTenant: 1, maxInstances: 6 });
    await pool.getServer('a', { ...alice, owner: 'one' });
    const calls = ['2', '3', '4', '5'].map((owner) => pool.getServer('a', { ...alice, owner }));
    await pool.updateServer('a', { command: 'fake', maxInstances: 6, maxInstancesPerTenant: 3 });
    await Promise.all(calls.slice(0, 2));
    expect(launcher.living).toHaveLength(3);
    await pool.updateServer('a', { command: 'fake', maxInstances: 6 });
    await Promise.all(calls);
    expect(launcher.living).toHaveLength(5);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-13] must be a positive integer', () => {
    expect(() => poolOf({ maxInstancesPerTenant: 0 })).toThrow(/maxInstancesPerTenant must be/);
  });
});
