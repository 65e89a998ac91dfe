import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { type MCPServerPool, POOL_EVENTS, type ServerDefinition } from '../../src/index.js';
import { KeepAlive } from '../../src/runtime/keep-alive.js';
import { codeOf, failStart, leases, scopeOf, setUp, shared } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

describe('a call that waits for leases', () => {
  it.each<[string, string, (pool: MCPServerPool) => unknown]>([
    ['restart', 'restart', (pool) => pool.restart('a')],
    ['updateServer', 'replaced', (pool) => pool.updateServer('a', { ...server, args: ['new'] })],
    ['setServer', 'replaced', (pool) => pool.setServer('a', { ...server, args: ['new'] })],
    ['removeServer', 'removed', (pool) => pool.removeServer('a')],
  ])('[DEF-3] %s says for which', async (_what, reason, call) => {
    const { pool, emitted } = setUp({ servers: { a: server } });
    const lease = await pool.getServer('a', { owner: 'session-1', tenant: 't' });
    (await pool.getServer('a', { owner: 'session-2' })).release();
    void call(pool);
    const draining = emitted.flatMap(({ event, payload }) => (event === 'server:draining' ? [payload] : []));
    expect(draining).toEqual([
      {
        ...{ name: 'a', instanceId: lease.instanceId, pid: lease.pid, tenant: 't', reason, timeout: Infinity },
        leases: [{ leaseId: lease.id, owner: 'session-1' }],
        callers: [],
      },
    ]);
    lease.release();
  });

  it.each([
    ['dedicated', 'restart'],
    ['shared', 'remove'],
  ] as const)('[DEF-3] of a %s server', async (sharing, what) => {
    const { pool, emitted } = setUp({ servers: { a: { ...server, sharing } } });
    const lease = await pool.getServer('a', { owner: 'o' });
    const call = what === 'restart' ? pool.restart('a') : pool.removeServer('a');
    expect(emitted.filter(({ event }) => event === 'server:draining')).toHaveLength(1);
    lease.release();
    await call;
  });

  it.each<[string, string, object, (pool: MCPServerPool) => Promise<void>]>([
    ['removed', 'the next one is still starting', {}, (pool) => pool.removeServer('a')],
    ['removed', 'the old one still finishes its requests', { maxInstances: 1 }, (pool) => pool.removeServer('a')],
    [
      'replaced',
      'the next one is still starting',
      {},
      (pool) => pool.updateServer('a', { ...server, sharing: 'exclusive' }),
    ],
    [
      'replaced',
      'the old one still finishes its requests',
      { maxInstances: 1 },
      (pool) => pool.updateServer('a', { ...server, sharing: 'exclusive', maxInstances: 1 }),
    ],
  ])('[DEF-3] of a shared server that is %s during a restart, while %s', async (reason, _while, policy, change) => {
    const { pool, launcher, emitted } = setUp({ servers: { a: { ...shared, ...policy } } }, { answer: false });
    const [one] = await leases(pool, 1);
    void one?.client.request('tools/call', { name: 'slow' });
    await flush();
    launcher.auto = { ...launcher.auto, initialize: false };
    const restarted = outcome(pool.restart('a'));
    await flush();
    const draining = () => emitted.flatMap(({ event, payload }) => (event === 'server:draining' ? [payload] : []));
    expect(draining()).toEqual([]);
    const changed = change(pool);
    await flush();
    expect(draining()).toMatchObject([{ reason, timeout: Infinity, leases: [{ leaseId: one?.lease.id }] }]);
    one?.lease.release();
    await changed;
    await restarted;
    expect(draining()).toHaveLength(1);
  });

  it('[DEF-3] says nothing when no lease is in its way', async () => {
    const { pool, emitted } = setUp({ servers: { a: server, s: { ...server, sharing: 'shared' } } });
    await pool.getServer('s');
    (await pool.getServer('a')).release();
    await Promise.all([pool.restart('a'), pool.restart('s')]);
    expect(emitted.filter(({ event }) => event === 'server:draining')).toEqual([]);
  });
});

describe('waitFor', () => {
  it('[EVENT-7] resolves with the first payload that the filter accepts, and leaves no listener', async () => {
    const { pool, launcher } = setUp({ servers: { a: server, b: server } });
    const exited = pool.waitFor('server:exited', { filter: ({ name }) => name === 'b' });
    await pool.getServer('a');
    launcher.last.exit({ exitCode: 1 });
    await pool.getServer('b');
    expect(await outcome(exited)).toBe('pending');
    launcher.last.exit({ exitCode: 2 });
    expect(await exited).toMatchObject({ name: 'b', exitCode: 2, unexpected: true });
    for (const event of ['server:exited', 'pool:closed'] as const) {
      // That of the test.
      expect(pool.listenerCount(event)).toBe(event === 'server:exited' ? 1 : 0);
    }
  });

  it('[EVENT-7] [GUEST-2] keeps the host alive, and only while it waits', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const take = KeepAlive.prototype.take;
    const drop = KeepAlive.prototype.drop;
    let held = 0;
    KeepAlive.prototype.take = function () {
      held += 1;
      take.call(this);
    };
    KeepAlive.prototype.drop = function () {
      held -= 1;
      drop.call(this);
    };
    try {
      const ready = pool.waitFor('server:ready');
      expect(held).toBe(1);
      await pool.getServer('a');
      await ready;
      await flush();
      expect(held).toBe(0);
    } finally {
      KeepAlive.prototype.take = take;
      KeepAlive.prototype.drop = drop;
    }
  });

  it('[EVENT-7] has a timeout and a signal', async () => {
    const { clock, pool } = setUp({ servers: { a: server } });
    const late = rejection(pool.waitFor('server:ready', { timeout: 50 }));
    await clock.advanceAndFlush(50);
    expect(await late).toMatchObject({ code: 'WAIT_TIMEOUT', data: { after: 50 } });
    const abort = new AbortController();
    const aborted = rejection(pool.waitFor('server:ready', { signal: abort.signal }));
    abort.abort('enough');
    expect(await aborted).toMatchObject({ code: 'WAIT_ABORTED', cause: 'enough' });
    expect(await codeOf(pool.waitFor('server:ready', { signal: abort.signal }))).toBe('WAIT_ABORTED');
    expect(await codeOf(pool.waitFor('server:ready', { timeout: -1 }))).toBe('INVALID_OPTIONS');
  });

  it.each([
    ['server:exitted', /got 'server:exitted'; did you mean 'server:exited'\?/],
    ['Server:Ready', /did you mean 'server:ready'/],
    ['cleanup:finish', /did you mean 'cleanup:finished'/],
    ['toString', /got 'toString'; POOL_EVENTS lists them/],
    ['x'.repeat(1_000), /got a string; POOL_EVENTS/],
    ['', /got ''/],
    [undefined, /got undefined/],
    [null, /got null/],
    [Symbol('server:ready'), /got a symbol/],
    [['server:ready'], /got an array/],
  ])('[EVENT-7] refuses what is no event, which it would wait for without end: %#', async (event, hint) => {
    const { pool } = setUp({ servers: { a: server } });
    const error = await rejection(pool.waitFor(event as never));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringMatching(hint) });
    await pool.shutdown();
    expect(await codeOf(pool.waitFor(event as never))).toBe('INVALID_OPTIONS');
  });

  it('[EVENT-7] waits for every event', async () => {
    const { pool } = setUp({});
    const waits = POOL_EVENTS.map((event) => pool.waitFor(event, { timeout: 1_000 }).catch((error: unknown) => error));
    expect(await Promise.race([...waits, 'all wait'])).toBe('all wait');
    await pool.shutdown({ mode: 'emergency' });
    await Promise.all(waits);
  });

  it('[EVENT-7] rejects with what its filter throws, and when the pool is closed', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const bad = rejection(
      pool.waitFor('lease:acquired', {
        filter: () => {
          throw new Error('my fault');
        },
      }),
    );
    await pool.getServer('a');
    expect(await bad).toEqual(new Error('my fault'));
    const never = codeOf(pool.waitFor('tools:changed'));
    const closed = pool.waitFor('pool:closed');
    await pool.shutdown({ mode: 'emergency' });
    expect(await never).toBe('POOL_CLOSED');
    expect(await closed).toMatchObject({ survivors: [] });
    expect(await codeOf(pool.waitFor('server:ready'))).toBe('POOL_CLOSED');
  });
});

describe('breakers', () => {
  const restart = { maxRestarts: 0, cooldown: 1_000 };
  const broken = (policy: Partial<ServerDefinition> = {}) =>
    setUp({ servers: { a: { ...server, restart, ...policy } } }, { initialize: false });
  const states = (pool: MCPServerPool) => pool.status().servers.a?.breakers.map(({ tenant, state }) => [tenant, state]);

  it('[BREAKER-3] status() shows each, with its last error', async () => {
    const { clock, pool, launcher } = broken();
    expect(pool.status().servers.a?.breakers).toEqual([]);
    await failStart(pool, launcher, { tenant: 't' });
    const [shown] = pool.status().servers.a?.breakers ?? [];
    expect(shown).toMatchObject({ tenant: 't', state: 'open', failures: 1, lastError: { code: 'SERVER_EXITED' } });
    expect(shown?.retryAt).toBeGreaterThan(Date.now() - 60_000);
    await clock.advanceAndFlush(1_000);
    const probe = pool.getServer('a', { tenant: 't' });
    expect(states(pool)).toEqual([['t', 'half-open']]);
    launcher.last.initialize();
    (await probe).release();
    expect(states(pool)).toEqual([['t', 'closed']]);
    await clock.advanceAndFlush(120_000);
    expect(pool.status().servers.a?.breakers).toEqual([]);
  });

  it('[BREAKER-3] resetBreaker closes that of one tenant, of calls without one, or all', async () => {
    const { pool, launcher, emitted } = broken();
    for (const tenant of [undefined, 't', 'u']) await failStart(pool, launcher, scopeOf({ tenant }));
    expect(pool.resetBreaker('a')).toBe(1);
    expect(states(pool)).toEqual([
      ['t', 'open'],
      ['u', 'open'],
    ]);
    expect(pool.resetBreaker('a')).toBe(0);
    expect(pool.resetBreaker('a', { tenant: 't' })).toBe(1);
    await failStart(pool, launcher);
    expect(pool.resetBreaker('a', { allTenants: true })).toBe(2);
    expect(states(pool)).toEqual([]);
    expect(emitted.filter(({ event }) => event === 'breaker:closed')).toHaveLength(4);
    expect(() => pool.resetBreaker('a', { tenant: 't', allTenants: true })).toThrow(/allTenants/);
    expect(() => pool.resetBreaker('b')).toThrow(expect.objectContaining({ code: 'UNKNOWN_SERVER' }));
  });

  it('[BREAKER-3] a caller that waits behind it is served after resetBreaker and restart', async () => {
    const { pool, launcher } = broken({ restart: { maxRestarts: 0, cooldown: Infinity } });
    for (const reset of [() => pool.resetBreaker('a'), () => pool.restart('a')]) {
      await failStart(pool, launcher);
      const refused = (await rejection(pool.getServer('a'))) as PoolError;
      expect(refused.message).toMatch(
        /it stays so until resetBreaker\(\), restart\(\) or updateServer\(\) with another definition/,
      );
      expect(refused.message).not.toContain('Infinity');
      expect(pool.status().servers.a?.breakers).toMatchObject([{ state: 'open', retryAt: Infinity }]);
      await reset();
      const call = pool.getServer('a');
      await flush();
      launcher.last.initialize();
      (await call).release();
      await pool.updateServer('a', {
        ...server,
        args: [String(launcher.servers.length)],
        restart: { maxRestarts: 0, cooldown: Infinity },
      });
    }
  });

  it('[BREAKER-3] the result of a probe that was under way when it was reset counts as any other', async () => {
    const { clock, pool, launcher } = broken();
    await failStart(pool, launcher);
    await clock.advanceAndFlush(1_000);
    const probe = rejection(pool.getServer('a'));
    await flush();
    expect(pool.resetBreaker('a')).toBe(1);
    launcher.last.exit({ exitCode: 1 });
    await probe;
    expect(states(pool)).toEqual([[undefined, 'open']]);
  });
});

describe('definitions', () => {
  it('[DEF-4] setServer adds, changes, and changes nothing when the definition is equal', async () => {
    const { pool, launcher, reasons } = setUp({ servers: {} });
    expect(pool.hasServer('a')).toBe(false);
    expect(pool.setServer('a', server)).toBe(true);
    expect(pool.hasServer('a')).toBe(true);
    const lease = await pool.getServer('a');
    expect(pool.setServer('a', { command: 'fake', args: [], env: undefined })).toBe(false);
    expect(pool.setServer('a', { command: 'other' })).toBe(true);
    // It does not wait for the lease on the old process.
    expect((await pool.getServer('a')).pid).toBe(launcher.last.pid);
    expect(launcher.last.definition.command).toBe('other');
    expect(reasons()).toEqual([]);
    lease.release();
    await flush();
    expect(reasons()).toEqual(['replaced']);
  });

  it('[DEF-4] setServer refuses in the same tick, and leaves everything as it is', () => {
    const { pool } = setUp({ servers: { a: server } });
    expect(() => pool.setServer('a', { command: '' })).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(() => pool.setServer('', server)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(pool.getDefinition('a')).toEqual(server);
  });

  it('[DEF-4] setServer reports a process that could not be replaced as an event', async () => {
    const { pool, launcher, emitted } = setUp({ servers: { a: { ...server, sharing: 'shared' } } });
    const lease = await pool.getServer('a');
    launcher.auto = { ...launcher.auto, initialize: false };
    pool.setServer('a', { command: 'broken', sharing: 'shared' });
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(emitted.some(({ event }) => event === 'server:failed')).toBe(true);
    expect(lease.release()).toBe(true);
  });

  it('[DEF-4] getDefinition returns what was given, env included, as a copy', async () => {
    const given = { command: 'fake', args: ['x'], env: { TOKEN: 'secret' }, maxInstances: 2 };
    const { pool } = setUp({ servers: { a: given }, defaults: { idleTimeout: 5 } });
    const definition = pool.getDefinition('a') as unknown as { args: string[] };
    expect(definition).toEqual(given);
    definition.args.push('y');
    expect(pool.getDefinition('a')).toEqual(given);
    expect(pool.setServer('a', pool.getDefinition('a'))).toBe(false);
    pool.addServer('b', { command: 'b' });
    await pool.updateServer('b', { command: 'c' });
    expect(pool.getDefinition('b')).toEqual({ command: 'c' });
    await pool.removeServer('b');
    expect(pool.hasServer('b')).toBe(false);
    expect(() => pool.getDefinition('b')).toThrow(expect.objectContaining({ code: 'UNKNOWN_SERVER' }));
  });
});
