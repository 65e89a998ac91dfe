import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { ServerDefinition } from '../../src/index.js';
import type { FakeLauncher } from '../helpers/fake-launcher.js';
import { leases, setUp, shared } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const VARIABLE = 'MCP_POOL_TEST_TOKEN';
const server = { command: 'fake', inheritEnv: [VARIABLE] };
const MODES: [string, ServerDefinition][] = [
  ['shared', { ...server, sharing: 'shared' }],
  ['exclusive', { ...server, sharing: 'exclusive' }],
  ['dedicated', { ...server, sharing: 'dedicated' }],
];

const tokens = (launcher: FakeLauncher) => launcher.servers.map(({ definition }) => definition.resolvedEnv[VARIABLE]);
const rotate = (value: string | undefined) => vi.stubEnv(VARIABLE, value);

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('what a server inherits from the host', () => {
  it.each(MODES)('[HOST-1] is read at each start, not when the pool is made: %s', async (_mode, definition) => {
    rotate(undefined);
    const { pool, launcher } = setUp({ servers: { a: definition } });
    vi.stubEnv('PATH', '/completed/later');
    rotate('one');
    await pool.getServer('a', { tenant: 't' });
    rotate('two');
    await pool.getServer('a', { tenant: 'u' });
    rotate(undefined);
    await pool.getServer('a', { tenant: 'v' });
    expect(tokens(launcher)).toEqual(['one', 'two', undefined]);
    expect(launcher.last.definition.resolvedEnv.PATH).toBe('/completed/later');
  });

  it('[HOST-1] is new after restart(), and the leases stay', async () => {
    rotate('old');
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing: 'shared' }, b: server } });
    const [one] = await leases(pool, 1);
    (await pool.getServer('b')).release();
    rotate('new');
    await pool.restart('a');
    await pool.restart('b');
    await pool.getServer('b');
    expect(tokens(launcher)).toEqual(['old', 'old', 'new', 'new']);
    expect(one?.lease.pid).toBe(launcher.servers[2]?.pid);
  });

  it('[HOST-1] is new after a crash, for minIdle, and for warm()', async () => {
    rotate('old');
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing: 'shared' }, b: server } });
    const [one] = await leases(pool, 1);
    rotate('new');
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(one?.lease.pid).toBe(launcher.last.pid);
    rotate('newer');
    await pool.warm('b');
    rotate('newest');
    await pool.updateServer('b', { ...server, minIdle: 2 });
    await flush();
    expect(tokens(launcher)).toEqual(['old', 'new', 'newer', 'newest', 'newest']);
  });

  it('[HOST-1] [TURN-2] is read when the turn of a start has come', async () => {
    rotate('old');
    const { pool, launcher } = setUp(
      { servers: { a: server, b: server }, limits: { concurrentStarts: 1 } },
      { initialize: false },
    );
    const calls = [pool.getServer('a'), pool.getServer('b')];
    await flush();
    rotate('new');
    launcher.last.initialize();
    await flush();
    launcher.last.initialize();
    await Promise.all(calls);
    expect(tokens(launcher)).toEqual(['old', 'new']);
  });

  it('[HOST-1] the objects of the host are read once, when it defines the server', async () => {
    const env = { A: '1' };
    const inheritEnv = [VARIABLE];
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', env, inheritEnv } } });
    env.A = '2';
    inheritEnv.pop();
    rotate('kept');
    await pool.getServer('a');
    expect(launcher.last.definition.resolvedEnv).toMatchObject({ A: '1', [VARIABLE]: 'kept' });
  });

  it('[HOST-1] [SECRET-1] the value of its process is hidden in what it writes', async () => {
    rotate('old-secret');
    const { pool, launcher } = setUp({ servers: { a: server } }, { initialize: false });
    rotate('new-secret');
    const call = rejection(pool.getServer('a'));
    await flush();
    launcher.last.complain('Error: new-secret is refused');
    launcher.last.exit({ exitCode: 1 });
    expect(((await call) as PoolError).message).toContain('Error: [hidden] is refused');
  });
});

describe('processes with different environments', () => {
  it.each(MODES)('[HOST-2] updateServer() replaces those that see another host: %s', async (mode, definition) => {
    rotate('old');
    const { pool, launcher, reasons } = setUp({ servers: { a: definition } });
    const lease = await pool.getServer('a');
    if (mode !== 'dedicated') lease.release();
    vi.stubEnv('MCP_POOL_TEST_UNRELATED', 'new');
    await pool.updateServer('a', definition);
    expect(reasons()).toEqual([]);
    rotate('new');
    const updated = pool.updateServer('a', definition);
    lease.release();
    await updated;
    expect(reasons()).toHaveLength(1);
    expect((await pool.getServer('a')).pid).toBe(launcher.last.pid);
    expect(tokens(launcher)).toEqual(['old', 'new']);
  });

  it('[HOST-2] it keeps those that see the same, though the host was another meanwhile', async () => {
    rotate('one');
    const { pool, launcher, reasons } = setUp({ servers: { a: server } });
    const leased = [await pool.getServer('a'), await pool.getServer('a')];
    rotate('two');
    leased.push(await pool.getServer('a'));
    for (const lease of leased) lease.release();
    rotate('one');
    await pool.updateServer('a', server);
    expect(reasons()).toEqual(['replaced']);
    expect(launcher.living.map(({ definition }) => definition.resolvedEnv[VARIABLE])).toEqual(['one', 'one']);
  });

  it('[HOST-2] it moves the leases of a shared one', async () => {
    rotate('old');
    const definition = { ...shared, inheritEnv: [VARIABLE] };
    const { pool, launcher } = setUp({ servers: { a: definition } });
    const [one] = await leases(pool, 1);
    rotate('new');
    await pool.updateServer('a', definition);
    expect(one?.lease.pid).toBe(launcher.last.pid);
    expect(tokens(launcher)).toEqual(['old', 'new']);
  });

  it('[HOST-2] the working directory of the host is one that a process sees', async () => {
    const before = process.cwd();
    const { pool, reasons } = setUp({ servers: { a: server, b: { ...server, cwd: '/' } } });
    for (const name of ['a', 'b']) (await pool.getServer(name)).release();
    try {
      process.chdir('/');
      await pool.updateServer('a', server);
      await pool.updateServer('b', { ...server, cwd: '/' });
    } finally {
      process.chdir(before);
    }
    expect(reasons()).toEqual(['replaced']);
  });

  it('[HOST-2] [FAIL-5] the old one serves on when the restart with a new token fails', async () => {
    rotate('old');
    const { pool, launcher } = setUp({ servers: { a: { ...shared, inheritEnv: [VARIABLE] } } });
    await leases(pool, 1);
    const old = launcher.last;
    rotate('wrong');
    launcher.auto = { ...launcher.auto, initialize: false };
    const failed = rejection(pool.restart('a'));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await failed;
    expect((await pool.getServer('a')).pid).toBe(old.pid);
  });
});
