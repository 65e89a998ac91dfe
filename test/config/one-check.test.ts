import { describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../src/config/options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { MCPServerPool, type PoolError, type ServerPolicy } from '../../src/index.js';
import { codeOf, setUp } from '../helpers/fake-pool.js';
import { endGlobalPoolAfterEach, program, Watched } from '../helpers/stdio.js';
import { flush, rejection } from '../helpers/until.js';

endGlobalPoolAfterEach();

const server = { command: 'fake' };
const refused = expect.objectContaining({ code: 'INVALID_OPTIONS' });
const definition = (defaults: ServerPolicy, own: object) =>
  resolvePoolOptions({ defaults, servers: { a: { command: 'node', ...own } } }).servers.get('a');

function problemsOf(options: PoolOptions) {
  try {
    resolvePoolOptions(options);
  } catch (error) {
    return (error as PoolError).data.problems;
  }
  return [];
}

describe('defaults', () => {
  it.each([
    { onCrash: 'restart' },
    { sharedMemoryCache: true },
    { sharing: 'shared', maxSessions: 5, reuse: 'owner' },
    { reuse: 'never', minIdle: 2, maxInstances: 2 },
    { maxInstances: Infinity, maxInFlight: 1, retryTools: 'annotated' },
  ] as ServerPolicy[])('[RULE-1] that do not fit the drop-in hinder no start of it: %j', async (defaults) => {
    MCPServerPool.global({ defaults });
    const { transport } = new Watched(program('cat'));
    await transport.start();
    expect(transport.pid).not.toBeNull();
    await transport.close();
  });

  it.each([
    [{ onCrash: 'restart' }, { sharing: 'dedicated' }, { sharing: 'dedicated', onCrash: 'close' }],
    [{ sharedMemoryCache: true }, { sharing: 'dedicated' }, { sharing: 'dedicated' }],
    [{ sharedMemoryCache: true }, { sharing: 'exclusive' }, { sharing: 'exclusive' }],
    [{ sharing: 'exclusive' }, { sharedMemoryCache: true }, { sharing: 'shared' }],
    [{ sharing: 'dedicated' }, { sharedMemoryCache: true }, { sharing: 'shared' }],
    [{ reuse: 'never' }, { sharing: 'shared' }, { sharing: 'shared' }],
    [{ minIdle: 2 }, { maxInstances: 1 }, { minIdle: 1, maxInstances: 1 }],
    [{ restart: { minDelay: 500 } }, { restart: { maxDelay: 200 } }, { restart: { minDelay: 200, maxDelay: 200 } }],
    [{}, { restart: { maxDelay: 50 } }, { restart: { minDelay: 50, maxDelay: 50 } }],
    [{ restart: { maxDelay: 200 } }, { restart: { minDelay: 500 } }, { restart: { minDelay: 500, maxDelay: 500 } }],
    [{ maxSessions: 7 }, { sharing: 'shared' }, { maxSessions: 7 }],
  ] as [ServerPolicy, object, object][])(
    '[RULE-1] give way to what a server sets: %j, %j',
    (defaults, own, resolved) => {
      expect(definition(defaults, own)).toMatchObject(resolved);
    },
  );

  it.each([
    [{ sharing: 'dedicated', onCrash: 'restart' }, 'defaults.onCrash'],
    [{ sharing: 'shared', reuse: 'never' }, 'defaults.reuse'],
    [{ sharing: 'exclusive', sharedMemoryCache: true }, 'defaults.sharedMemoryCache'],
    [{ maxInstances: 16 }, 'defaults.maxInstances'],
    [{ minIdle: 4 }, 'defaults.minIdle'],
    [{ restart: { minDelay: 10, maxDelay: 5 } }, 'defaults.restart.minDelay'],
    [{ restart: { maxRestarts: -1 } }, 'defaults.restart.maxRestarts'],
    [{ containment: 'group', cgroupLimits: { memoryMB: 5 } }, 'defaults.cgroupLimits.memoryMB'],
  ] as [ServerPolicy, string][])('[RULE-1] are checked when the pool is made, once: %j', (defaults, problem) => {
    for (const servers of [{}, { a: { command: 'node' }, b: { command: 'node' } }]) {
      expect(problemsOf({ defaults, servers })).toEqual([expect.stringContaining(`${problem} must `)]);
    }
  });
});

describe('maxInstances: Infinity', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[RULE-2] is no cap of its own: that of the pool holds for a %s server',
    async (sharing) => {
      const own = { command: 'fake', sharing, maxInstances: Infinity };
      const more = sharing === 'shared' ? { maxSessions: 1 } : {};
      const { launcher, pool } = setUp({ servers: { a: { ...own, ...more } }, limits: { maxProcesses: 4 } });
      await Promise.all(Array.from({ length: 4 }, () => pool.getServer('a')));
      const error = (await rejection(pool.getServer('a', { signal: AbortSignal.timeout(1) }))) as PoolError;
      expect(error.code).toBe('ACQUIRE_ABORTED');
      expect(launcher.maximum).toBe(4);
    },
  );

  it('[RULE-2] is valid wherever it is written', () => {
    const limits = { maxProcesses: 4, maxProcessesPerServer: 2 };
    const infinite = { command: 'node', maxInstances: Infinity };
    expect(resolvePoolOptions({ servers: { a: infinite }, limits }).servers.get('a')).toMatchObject({
      maxInstances: 2,
    });
    expect(resolvePoolOptions({ ...infinite, limits: { maxProcesses: 4 } }).servers.size).toBe(1);
    const { pool } = setUp({ defaults: { maxInstances: Infinity }, limits });
    pool.addServer('a', server);
    expect(pool.status().servers.a).toMatchObject({ maxInstances: 2 });
  });
});

describe('the minIdle of all servers', () => {
  const two = { command: 'fake', minIdle: 2, maxInstances: 2 };

  it('[RULE-3] is checked by addServer and updateServer, as by the constructor', async () => {
    const { launcher, pool } = setUp({ servers: { a: two, b: { ...two, minIdle: 0 } }, limits: { maxProcesses: 3 } });
    const problem = 'the minIdle of all servers (4) must not be above limits.maxProcesses (3)';
    expect(() => pool.addServer('c', two)).toThrowError(problem);
    expect(() => pool.addServer('c', two)).toThrowError(refused);
    expect(((await rejection(pool.updateServer('b', two))) as PoolError).data.problems).toEqual([problem]);
    await flush();
    // Nothing of it was applied.
    expect(Object.keys(pool.status().servers)).toEqual(['a', 'b']);
    expect(launcher.living).toHaveLength(2);
    // Its own minimum counts once, and that of a removed server not at all.
    await pool.updateServer('a', { ...two, idleTimeout: 5 });
    await pool.removeServer('a');
    pool.addServer('c', two);
    expect(Object.keys(pool.status().servers)).toEqual(['b', 'c']);
  });
});

describe('maxWaiting: 0', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[RULE-4] refuses no caller of a %s server for which an idle tree can be ended',
    async (sharing) => {
      const own = { command: 'fake', sharing };
      const { pool } = setUp({ servers: { a: server, b: own }, limits: { maxProcesses: 1 }, maxWaiting: 0 });
      (await pool.getServer('a')).release();
      const lease = await pool.getServer('b');
      expect(lease.name).toBe('b');
      expect(await codeOf(pool.getServer('a'))).toBe('QUEUE_FULL');
    },
  );

  it('[RULE-4] refuses the second of two callers for one idle tree, and of its own server another tenant gets it', async () => {
    const { pool } = setUp({ servers: { a: { ...server, maxInstances: 1 } }, maxWaiting: 0 });
    (await pool.getServer('a', { tenant: 'one' })).release();
    const next = pool.getServer('a', { tenant: 'two' });
    expect(await codeOf(pool.getServer('a', { tenant: 'three' }))).toBe('QUEUE_FULL');
    expect((await next).tenant).toBe('two');
  });

  it('[RULE-4] lets a caller have the slot of a tree that is ending and that no other caller gets', async () => {
    const { launcher, pool } = setUp(
      { servers: { a: { ...server, maxInstances: 1, reuse: 'never' } }, maxWaiting: 0 },
      { end: false },
    );
    (await pool.getServer('a')).release();
    const next = pool.getServer('a');
    expect(await codeOf(pool.getServer('a'))).toBe('QUEUE_FULL');
    launcher.last.exit();
    await next;
  });
});
