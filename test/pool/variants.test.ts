import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { AcquireOptions, MCPServerPool, ServerDefinition } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { RawClient } from '../helpers/client.js';
import type { Automatic } from '../helpers/fake-launcher.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { flush, rejection } from '../helpers/until.js';

const server = { command: 'fake', args: ['serve'], env: { MODE: 'plain', LEVEL: '1' }, cwd: '/' };

/** As hosts that replace it write it. */
const PLACEHOLDER = ['$', '{SECRET_TOKEN}'].join('');

function poolOf(policy: Partial<ServerDefinition> = {}, auto: Partial<Automatic> = {}) {
  return setUp({ servers: { a: { ...server, ...policy } } }, auto);
}

async function pidOf(pool: MCPServerPool, options?: AcquireOptions): Promise<number | undefined> {
  const lease = await pool.getServer('a', options);
  const { pid } = lease;
  lease.release();
  return pid;
}

describe('what a call changes of a definition', () => {
  it('[TENANT-7] reaches the process: args and cwd replace, env is merged', async () => {
    const { pool, launcher } = poolOf();
    await pool.getServer('a', { env: { MODE: 'own', KEY: 'k' }, args: [], cwd: '/tmp' });
    const { args, cwd, resolvedEnv } = launcher.last.definition;
    expect({ args, cwd }).toEqual({ args: [], cwd: '/tmp' });
    expect(resolvedEnv).toMatchObject({ MODE: 'own', LEVEL: '1', KEY: 'k' });
    await pool.getServer('a', { env: { KEY: 'k' } });
    expect(launcher.last.definition).toMatchObject({ args: ['serve'], cwd: '/' });
    expect(launcher.last.definition.resolvedEnv).toMatchObject({ MODE: 'plain', KEY: 'k' });
  });

  it.each([
    ['env', { env: { A: '1', B: '2' } }, { env: { B: '2', A: '1' } }, { env: { A: '1', B: '3' } }],
    ['args', { args: ['x', 'y'] }, { args: ['x', 'y'] }, { args: ['x y'] }],
    ['cwd', { cwd: '/tmp' }, { cwd: '/tmp' }, { cwd: '/' }],
  ] as const)('[TENANT-7] calls with equal %s share, others and plain ones do not', async (_, one, equal, other) => {
    const { pool, launcher } = poolOf({ maxInstances: 5 });
    const pid = await pidOf(pool, one);
    expect(await pidOf(pool, equal)).toBe(pid);
    const others = [await pidOf(pool, other), await pidOf(pool), await pidOf(pool, { ...one, tenant: 't' })];
    expect(new Set([pid, ...others]).size).toBe(4);
    expect(await pidOf(pool, { ...one, env: undefined, args: undefined, cwd: undefined, ...equal })).toBe(pid);
    expect(launcher.servers).toHaveLength(4);
  });

  it('[TENANT-7] with nothing in them they change nothing', async () => {
    const { pool } = poolOf();
    expect(await pidOf(pool, { env: {} })).toBe(await pidOf(pool));
  });

  it('[TENANT-7] is read once: what the host changes later has no effect', async () => {
    const { pool, launcher } = poolOf();
    const [env, args] = [{ KEY: 'one' }, ['one']];
    const waiting = pool.getServer('a', { env, args });
    env.KEY = 'two';
    args[0] = 'two';
    await waiting;
    expect(launcher.last.definition).toMatchObject({ args: ['one'], resolvedEnv: { KEY: 'one' } });
  });

  it('[TENANT-7] leases of a shared server with other values are on other instances', async () => {
    const { pool, launcher } = poolOf({ sharing: 'shared' });
    const [one, two, equal] = await Promise.all([
      pool.getServer('a', { env: { KEY: 'one' } }),
      pool.getServer('a', { env: { KEY: 'two' } }),
      pool.getServer('a', { env: { KEY: 'one' } }),
    ]);
    expect(equal.pid).toBe(one.pid);
    expect(two.pid).not.toBe(one.pid);
    expect(launcher.servers).toHaveLength(2);
  });

  it('[TENANT-7] reuseLease gives the lease with the same values only, held or waited for', async () => {
    const { pool, launcher } = poolOf({}, { initialize: false });
    const call = (key: string) =>
      pool.getServer('a', { owner: 'o', reuseLease: true, ...(key === '' ? {} : { env: { KEY: key } }) });
    const calls = ['one', 'two', 'one', ''].map(call);
    await flush();
    for (const fake of launcher.servers) fake.initialize();
    const [one, two, again, plain] = await Promise.all(calls);
    expect(again?.id).toBe(one?.id);
    expect(new Set([one?.id, two?.id, plain?.id]).size).toBe(3);
    expect((await call('two')).id).toBe(two?.id);
  });

  it('[TENANT-9] wrong values are one error, without the values', async () => {
    const { pool, launcher } = poolOf();
    const wrong = { env: { KEY: 1, TOKEN: PLACEHOLDER }, args: 'top-secret', cwd: '' } as object;
    const error = (await rejection(pool.getServer('a', wrong))) as PoolError;
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.data.problems).toHaveLength(3);
    expect(error.message).not.toContain('top-secret');
    expect(await codeOf(pool.warm('a', wrong))).toBe('INVALID_OPTIONS');
    const placeholder = (await rejection(pool.getServer('a', { env: { TOKEN: PLACEHOLDER } }))) as PoolError;
    expect(placeholder.data.problems?.[0]).toMatch(/^env\.TOKEN must not have a placeholder/);
    expect(launcher.servers).toHaveLength(0);
  });

  it("[TENANT-9] a placeholder passes where the definition says 'literal'", async () => {
    const { pool, launcher } = poolOf({ placeholders: 'literal' });
    await pool.getServer('a', { args: [PLACEHOLDER] });
    expect(launcher.last.definition.args).toEqual([PLACEHOLDER]);
  });
});

describe('an instance with values of calls', () => {
  const own = { env: { KEY: 'secret-one' } };

  it('[TENANT-8] is no spare: a start outlives its caller, and serves calls with the same values only', async () => {
    const { pool, launcher } = poolOf({}, { initialize: false });
    const abort = new AbortController();
    const call = codeOf(pool.getServer('a', { ...own, signal: abort.signal }));
    await flush();
    abort.abort();
    expect(await call).toBe('ACQUIRE_ABORTED');
    const plain = pool.getServer('a');
    await flush();
    expect(launcher.servers).toHaveLength(2);
    for (const fake of launcher.servers) fake.initialize();
    expect((await plain).pid).toBe(launcher.last.pid);
    expect((await pool.getServer('a', own)).pid).toBe(launcher.servers[0]?.pid);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] minIdle keeps plain instances, which serve no call with values of its own', async () => {
    const { pool, launcher } = poolOf({ minIdle: 1, maxInstances: 3 });
    await flush();
    const [spare] = launcher.servers;
    const lease = await pool.getServer('a', own);
    expect(lease.pid).not.toBe(spare?.pid);
    lease.release();
    await flush();
    expect(launcher.living).toHaveLength(2);
    expect(await pidOf(pool)).toBe(spare?.pid);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] a plain start that its caller has left ends for an older call with values, and serves a plain one', async () => {
    for (const isPlainOlder of [false, true]) {
      const { pool, launcher, reasons } = poolOf({ maxInstances: 1 }, { initialize: false });
      const abort = new AbortController();
      const left = codeOf(pool.getServer('a', { signal: abort.signal }));
      await flush();
      const plain = { tenant: 't' };
      const calls = (isPlainOlder ? [plain, own] : [own, plain]).map((options) => pool.getServer('a', options));
      abort.abort();
      expect(await left).toBe('ACQUIRE_ABORTED');
      await flush();
      assertInsides(partsOf(pool));
      for (const fake of launcher.living) fake.initialize();
      const first = await calls[0];
      expect(launcher.servers).toHaveLength(isPlainOlder ? 1 : 2);
      expect(reasons()).toEqual(isPlainOlder ? [] : ['evicted']);
      expect(launcher.last.definition.resolvedEnv.KEY).toBe(isPlainOlder ? undefined : 'secret-one');
      first?.release();
      await flush();
      launcher.last.initialize();
      await calls[1];
      expect(launcher.last.definition.resolvedEnv.KEY).toBe(isPlainOlder ? 'secret-one' : undefined);
      assertInsides(partsOf(pool));
    }
  });

  it('[TENANT-8] is evicted when idle, ends after idleTimeout, and with its tenant', async () => {
    const { pool, clock, reasons, launcher } = poolOf({ maxInstances: 1, idleTimeout: 1_000 });
    await pidOf(pool, own);
    await pidOf(pool);
    expect(reasons()).toEqual(['evicted']);
    await pidOf(pool, { ...own, tenant: 't' });
    expect(pool.releaseTenant('t')).toBe(0);
    await flush();
    expect(reasons().at(-1)).toBe('tenant-released');
    await pidOf(pool, own);
    await clock.advanceAndFlush(1_000);
    expect(reasons().at(-1)).toBe('idle');
    expect(launcher.living).toEqual([]);
    assertInsides(partsOf(pool));
  });

  it('[TENANT-8] a start for a tenant that is released ends: nobody else may have it', async () => {
    const { pool, launcher, reasons } = poolOf({}, { initialize: false });
    const call = codeOf(pool.getServer('a', { ...own, tenant: 't' }));
    await flush();
    pool.releaseTenant('t');
    expect(await call).toBe('ACQUIRE_ABORTED');
    await flush();
    expect(reasons()).toEqual(['tenant-released']);
    expect(launcher.living).toEqual([]);
  });

  it('[TENANT-8] its successor after a crash has the same values', async () => {
    const { pool, launcher } = poolOf({ sharing: 'shared' });
    const lease = await pool.getServer('a', { ...own, args: ['x'] });
    await RawClient.connect(lease.transport);
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(launcher.servers).toHaveLength(2);
    expect(launcher.last.definition).toMatchObject({ args: ['x'], resolvedEnv: { KEY: 'secret-one', MODE: 'plain' } });
    expect(lease.pid).toBe(launcher.last.pid);
    expect((await pool.getServer('a', { ...own, args: ['x'] })).pid).toBe(lease.pid);
  });

  it('[TENANT-8] a changed definition replaces it, and the next one has the values on top of the new ones', async () => {
    const { pool, launcher } = poolOf({ sharing: 'shared' });
    const lease = await pool.getServer('a', own);
    const old = lease.pid;
    await pool.updateServer('a', { ...server, sharing: 'shared', env: { MODE: 'new' } });
    expect(lease.pid).not.toBe(old);
    expect(launcher.last.definition.resolvedEnv).toMatchObject({ KEY: 'secret-one', MODE: 'new' });
    expect(launcher.last.definition.resolvedEnv).not.toHaveProperty('LEVEL');
  });

  it('[TENANT-8] a change of policy alone keeps it, with the new policy', async () => {
    const { pool, clock, launcher, reasons } = poolOf({ idleTimeout: 60_000 });
    const pid = await pidOf(pool, own);
    await pool.updateServer('a', { ...server, idleTimeout: 1_000 });
    expect(await pidOf(pool, own)).toBe(pid);
    expect(pool.setServer('a', { ...server, idleTimeout: 1_000 })).toBe(false);
    await clock.advanceAndFlush(1_000);
    expect(reasons()).toEqual(['idle']);
    expect(launcher.servers).toHaveLength(1);
  });

  it('[TENANT-8] a replacement that fails leaves the old one in use', async () => {
    const { pool, launcher } = poolOf({ sharing: 'shared' });
    const lease = await pool.getServer('a', own);
    launcher.auto = { ...launcher.auto, initialize: false };
    const restart = codeOf(pool.restart('a'));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    expect(await restart).toBe('SERVER_EXITED');
    expect((await pool.getServer('a', own)).pid).toBe(lease.pid);
  });

  it('[TENANT-8] its breaker stops calls with the same values, and no others', async () => {
    const { pool, launcher } = poolOf({ restart: { maxRestarts: 0, cooldown: 60_000 } }, { initialize: false });
    const fail = async () => {
      const call = codeOf(pool.getServer('a', own));
      await flush();
      launcher.last.exit({ exitCode: 1 });
      return call;
    };
    expect(await fail()).toBe('SERVER_EXITED');
    expect(await codeOf(pool.getServer('a', own))).toBe('BREAKER_OPEN');
    launcher.auto = { ...launcher.auto, initialize: true };
    await pool.getServer('a', { env: { KEY: 'two' } });
    await pidOf(pool);
    expect(pool.resetBreaker('a')).toBe(1);
    await pool.getServer('a', own);
  });

  it('[TENANT-8] warm() starts one, for calls with these values', async () => {
    const { pool, launcher } = poolOf({ maxInstances: 5 });
    expect(await pool.warm('a', { ...own, count: 2 })).toBe(2);
    expect(await pool.warm('a')).toBe(1);
    const pids = launcher.servers.map(({ pid }) => pid);
    expect(pids.slice(0, 2)).toContain(await pidOf(pool, own));
    expect(await pidOf(pool)).toBe(pids[2]);
    launcher.onLaunch = () => {
      throw new Error('not today');
    };
    expect(await pool.warm('a')).toBe(1);
    const failed = (await rejection(pool.warm('a', { args: ['z'] }))) as PoolError;
    expect(failed).toMatchObject({ code: 'SPAWN_FAILED' });
  });
});
