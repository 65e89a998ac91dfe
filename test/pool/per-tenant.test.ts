import { describe, expect, it, vi } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { ServerDefinition } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { RawClient } from '../helpers/client.js';
import type { Automatic } from '../helpers/fake-launcher.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { flush, rejection } from '../helpers/until.js';

const server = { command: 'fake', args: ['serve'], env: { MODE: 'plain' } };

function poolOf(policy: Partial<ServerDefinition>, auto: Partial<Automatic> = {}) {
  return setUp({ servers: { a: { ...server, ...policy } } }, auto);
}

describe('perTenant of a definition', () => {
  const perTenant = (tenant: string | undefined) =>
    tenant === undefined ? undefined : { env: { KEY: `key-of-${tenant}`, MODE: 'tenant' }, args: [tenant] };

  it('[TENANT-10] says what differs for a tenant; what a call gives comes before it', async () => {
    const { pool, launcher } = poolOf({ perTenant, maxInstances: 5 });
    await pool.getServer('a', { tenant: 'alice' });
    expect(launcher.last.definition).toMatchObject({
      args: ['alice'],
      resolvedEnv: { KEY: 'key-of-alice', MODE: 'tenant' },
    });
    await pool.getServer('a', { tenant: 'alice', env: { MODE: 'call' }, args: [] });
    expect(launcher.last.definition).toMatchObject({ args: [], resolvedEnv: { KEY: 'key-of-alice', MODE: 'call' } });
    await pool.getServer('a');
    expect(launcher.last.definition).toMatchObject({ args: ['serve'], resolvedEnv: { MODE: 'plain' } });
    expect(launcher.last.definition.resolvedEnv).not.toHaveProperty('KEY');
  });

  it('[TENANT-10] is asked at each call, with the tenant: for getServer, warm, start and dependencies', async () => {
    const asked = vi.fn((tenant: string | undefined) => ({ env: { OF: String(tenant) } }));
    const { pool, launcher } = setUp({
      servers: { a: { ...server, perTenant: asked }, b: { ...server, dependsOn: ['a'] } },
    });
    await pool.warm('a', { tenant: 't' });
    const lease = await pool.getServer('a', { tenant: 't' });
    expect(launcher.servers).toHaveLength(1);
    lease.release();
    await pool.getServer('b', { tenant: 'u' });
    await pool.start({ only: ['a'] });
    const ofA = launcher.servers.filter(({ definition }) => definition.name === 'a');
    expect(ofA.map(({ definition }) => definition.resolvedEnv.OF)).toEqual(['t', 'u', 'undefined']);
    expect(asked.mock.calls.flat()).toEqual(['t', 't', 'u', undefined]);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-10] is not asked for spare instances, which serve calls without values alone', async () => {
    const asked = vi.fn(perTenant);
    const { pool, launcher } = poolOf({ perTenant: asked, minIdle: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(1);
    expect(asked).not.toHaveBeenCalled();
    const [spare] = launcher.servers;
    expect((await pool.getServer('a', { tenant: 'alice' })).pid).not.toBe(spare?.pid);
    expect((await pool.getServer('a')).pid).toBe(spare?.pid);
  });

  it('[TENANT-10] that throws or returns something else rejects the call, with the cause, and nothing is lost', async () => {
    const fault = new Error('the vault said secret-1234');
    const results: (() => unknown)[] = [
      () => {
        throw fault;
      },
      () => 'text',
      () => null,
      () => ({ env: { KEY: 1 } }),
      () => ({ environment: {} }),
      () => Promise.reject(new Error('late')),
      () => ({ env: { KEY: ['$', '{TOKEN}'].join('') } }),
    ];
    let next = results[0] as () => unknown;
    const { pool, launcher } = poolOf({ perTenant: (() => next()) as never });
    for (const result of results) {
      next = result;
      for (const call of [pool.getServer('a', { tenant: 't' }), pool.warm('a'), pool.getServer()]) {
        const error = (await rejection(call)) as PoolError;
        expect(error.code).toBe('INVALID_OPTIONS');
        expect(error.message).toContain('perTenant');
        expect(error.message).not.toContain('secret-1234');
        expect(error.cause).toBe(result === results[0] ? fault : undefined);
      }
    }
    next = () => undefined;
    await pool.getServer('a', { tenant: 't' });
    expect(launcher.servers).toHaveLength(1);
    expect(pool.status().waiting).toBe(0);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-10] that throws for a dependency fails the call that needs it', async () => {
    const failing = () => {
      throw new Error('no');
    };
    const { pool, launcher, clock } = setUp({
      servers: { a: { ...server, perTenant: failing }, b: { ...server, dependsOn: ['a'] } },
    });
    const call = rejection(pool.getServer('b', { tenant: 't' }));
    // It is tried again once, after a pause.
    await clock.advanceAndFlush(5_000);
    const error = (await call) as PoolError;
    expect(error.code).toBe('DEPENDENCY_FAILED');
    expect((error.cause as PoolError).code).toBe('INVALID_OPTIONS');
    expect(launcher.servers).toHaveLength(0);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-10] may be another function: equal values keep the process, and leases keep theirs', async () => {
    const of = (key: string) => ({ ...server, sharing: 'shared' as const, perTenant: () => ({ env: { KEY: key } }) });
    const { pool, launcher } = setUp({ servers: { a: of('one') } });
    const lease = await pool.getServer('a');
    expect(pool.setServer('a', of('one'))).toBe(false);
    expect((await pool.getServer('a')).pid).toBe(lease.pid);
    expect(pool.setServer('a', of('two'))).toBe(false);
    expect((await pool.getServer('a')).pid).not.toBe(lease.pid);
    expect(launcher.servers.map(({ definition }) => definition.resolvedEnv.KEY)).toEqual(['one', 'two']);
  });

  it('[TENANT-10] must be a function', async () => {
    expect(await codeOf((async () => poolOf({ perTenant: {} as never }))())).toBe('INVALID_OPTIONS');
  });
});

describe('env as a function', () => {
  it('[TENANT-11] is called once for each start, and its values are in no key', async () => {
    let count = 0;
    const env = vi.fn(() => ({ KEY: `key-${++count}` }));
    const { pool, launcher } = poolOf({ env, sharing: 'shared' });
    const lease = await pool.getServer('a');
    await RawClient.connect(lease.transport);
    pool.status();
    expect(env).toHaveBeenCalledTimes(1);
    expect(pool.setServer('a', { ...server, env, sharing: 'shared' })).toBe(false);
    expect((await pool.getServer('a')).pid).toBe(lease.pid);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers.map(({ definition }) => definition.resolvedEnv.KEY)).toEqual(['key-1', 'key-2']);
    expect(env).toHaveBeenCalledTimes(2);
  });

  it('[TENANT-11] another function makes another server', async () => {
    const { pool, launcher } = poolOf({ env: () => ({ KEY: 'one' }), sharing: 'shared' });
    const lease = await pool.getServer('a');
    expect(pool.setServer('a', { ...server, env: () => ({ KEY: 'one' }), sharing: 'shared' })).toBe(true);
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(lease.pid).toBe(launcher.last.pid);
  });

  it('[TENANT-11] is merged like values, at a call and per tenant: the later one wins', async () => {
    const ofCall = vi.fn(() => ({ B: 'call', C: 'call' }));
    const { pool, launcher } = poolOf({
      env: () => ({ A: 'definition', B: 'definition', C: 'definition' }),
      perTenant: () => ({ env: { A: 'tenant', C: 'tenant' } }),
    });
    const lease = await pool.getServer('a', { env: ofCall });
    expect(launcher.last.definition.resolvedEnv).toMatchObject({ A: 'tenant', B: 'call', C: 'call' });
    lease.release();
    const again = await pool.getServer('a', { env: ofCall });
    expect(again.pid).toBe(lease.pid);
    again.release();
    expect((await pool.getServer('a', { env: () => ({ B: 'call', C: 'call' }) })).pid).not.toBe(lease.pid);
    expect(ofCall).toHaveBeenCalledTimes(1);
  });

  it('[TENANT-11] with nothing merged into it, it is the same function', async () => {
    const env = () => ({ KEY: 'one' });
    const { pool } = poolOf({ perTenant: () => ({ env }), sharing: 'shared' });
    const { pid } = await pool.getServer('a');
    expect((await pool.getServer('a', { env: {} })).pid).toBe(pid);
  });

  it('[TENANT-11] its values are secrets of what the server writes', async () => {
    const { pool, launcher } = poolOf({ env: () => ({ KEY: 'secret-1234' }) });
    await pool.getServer('a');
    launcher.last.complain('the key secret-1234 is wrong');
    const exited = new Promise<{ stderrTail: string }>((resolve) => pool.once('server:exited', resolve));
    launcher.last.exit({ exitCode: 1 });
    expect((await exited).stderrTail).toContain('the key [hidden] is wrong');
  });

  it('[TENANT-11] that throws, or returns something else, fails the start with its cause', async () => {
    const fault = new Error('the vault said secret-1234');
    const results: (() => unknown)[] = [
      () => {
        throw fault;
      },
      () => undefined,
      () => ({ KEY: 1 }),
      () => Promise.reject(new Error('late')),
      () => process.env,
    ];
    let next = results[0] as () => unknown;
    const { pool, launcher, emitted } = poolOf({ env: (() => next()) as never, restart: { maxRestarts: Infinity } });
    for (const result of results) {
      next = result;
      for (const options of [undefined, { env: { MORE: 'x' } }]) {
        const error = (await rejection(pool.getServer('a', options))) as PoolError;
        expect(error.code).toBe('SPAWN_FAILED');
        expect(error.message).toMatch(/^server 'a' could not be started: its env function /);
        expect(error.message).not.toContain('secret-1234');
        expect(error.cause).toBe(result === results[0] ? fault : undefined);
      }
    }
    expect(emitted.filter(({ event }) => event === 'server:failed').length).toBeGreaterThan(0);
    expect(launcher.servers).toHaveLength(0);
    expect(pool.status()).toMatchObject({ processes: 0, waiting: 0 });
    assertInsides(partsOf(pool));
  });
});
