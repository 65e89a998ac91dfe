import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { CleanupQueue, type MCPServerPool, PoolError, ProcessRegistry } from '../../src/index.js';
import { StdioClientTransport } from '../../src/stdio.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { endGlobalPoolAfterEach, program, Watched } from '../helpers/stdio.js';
import { rejection } from '../helpers/until.js';

const SECRET = 'swordfish';
const env = { TOKEN: SECRET };
const server = { command: 'fake', args: [SECRET], env };
const sharings = ['shared', 'exclusive', 'dedicated'] as const;

/** All ways in which a log shows a value. */
const shownAs = (value: unknown) => [
  inspect(value, { depth: 10, showHidden: false }),
  inspect({ value }, { depth: 0 }),
  JSON.stringify({ value }),
];

const read = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

endGlobalPoolAfterEach();

describe('an error', () => {
  it('[SHOW-1] is written as JSON with its message, code, data and causes', () => {
    const first = Object.assign(new Error('no file'), { code: 'ENOENT', spawnargs: [SECRET] });
    const second = new PoolError('SPAWN_FAILED', 'could not be started', { name: 'a', errno: 'ENOENT' }, first);
    const third = new PoolError('ACQUIRE_TIMEOUT', 'no server', { name: 'a', after: 5 }, second);
    expect(read(third)).toEqual({
      name: 'PoolError',
      code: 'ACQUIRE_TIMEOUT',
      message: 'no server',
      data: { name: 'a', after: 5 },
      cause: {
        name: 'PoolError',
        code: 'SPAWN_FAILED',
        message: 'could not be started',
        data: { name: 'a', errno: 'ENOENT' },
        cause: { name: 'Error', code: 'ENOENT', message: 'no file' },
      },
    });
  });

  it.each([
    ['a circle of errors', Object.assign(new Error('round'), { cause: undefined as unknown }), 'round'],
    ['an object that names itself', { self: undefined as unknown, token: SECRET }, 'an object'],
    ['a string', 'the user left', 'the user left'],
    ['a number', 7n, '7'],
    ['a symbol', Symbol('gone'), 'Symbol(gone)'],
    ['null', null, 'null'],
  ])('[SHOW-1] can be written as JSON whatever its cause is: %s', (_what, cause, expected) => {
    if (cause instanceof Error) cause.cause = cause;
    else if (typeof cause === 'object' && cause !== null) cause.self = cause;
    const text = JSON.stringify(new PoolError('ACQUIRE_ABORTED', 'given up', {}, cause));
    expect(text).toContain(expected);
    expect(text).not.toContain(SECRET);
  });
});

describe('a pool and its parts', () => {
  it('[SHOW-1] show counts, and nothing of their servers', async () => {
    const { pool } = setUp({ servers: { one: server, two: server }, limits: { maxProcesses: 5 } });
    await pool.getServer('one');
    pool.on('server:ready', () => {});
    expect(read(pool)).toEqual({
      state: 'open',
      processes: 1,
      maxProcesses: 5,
      idle: 0,
      leases: 1,
      waiting: 0,
      startsWaiting: 0,
      servers: 2,
    });
    expect(inspect(pool)).toMatch(/^MCPServerPool \{ ?\n? *state: 'open',/);
    expect(read(pool.registry)).toMatchObject({ size: 1, byName: { one: 1 } });
    expect(inspect(pool.registry)).toMatch(/^ProcessRegistry /);
    expect(read(pool.cleanup)).toEqual({ waiting: 0, running: 0, ended: 0 });
    expect(inspect(pool.cleanup)).toMatch(/^CleanupQueue /);
    for (const text of [pool, pool.registry, pool.cleanup].flatMap(shownAs)) {
      expect(text).not.toMatch(/swordfish|#|_events|definition/);
      expect(text.length).toBeLessThan(400);
    }
  });

  it('[SHOW-1] so do those that work alone', () => {
    const registry = new ProcessRegistry();
    const entry = registry.add({ name: 'self', pid: process.pid });
    registry.on('registry:removed', () => {});
    const queue = new CleanupQueue();
    queue.on('cleanup:started', () => {});
    expect(read(registry)).toMatchObject({ size: 1 });
    expect(read(queue)).toMatchObject({ waiting: 0 });
    registry.remove(entry.id);
  });
});

describe.each(sharings)('a %s lease', (sharing) => {
  it('[SHOW-1] shows its id, its server and its labels, as its transport does', async () => {
    const { pool } = setUp({ servers: { a: { ...server, sharing } } });
    const lease = await pool.getServer('a', { tenant: 't', owner: 'o' });
    const { id, instanceId, pid } = lease;
    const json = { id, name: 'a', instanceId, pid, tenant: 't', owner: 'o', ended: false };
    expect(read(lease)).toEqual(json);
    expect(inspect(lease)).toMatch(/^PooledServer \{/);
    expect(read(lease.transport)).toEqual({ state: 'new', openRequests: 0, lease: json });
    const client = await RawClient.connect(lease.transport);
    expect(read(lease.transport)).toMatchObject({ state: 'started' });
    expect(inspect(lease.transport)).toContain(id);
    for (const text of [lease, lease.transport].flatMap(shownAs)) expect(text).not.toMatch(/swordfish|#|context/);
    const { transport } = lease;
    await client.close();
    expect(read(transport)).toMatchObject({ state: 'closed', lease: { id, ended: true } });
  });

  it('[SHOW-3] [SESS-3] refuses a second start, and a message before the first, with a PoolError', async () => {
    const { pool } = setUp({ servers: { a: { ...server, sharing } } });
    const { transport } = await pool.getServer('a');
    expect(await rejection(transport.send({ jsonrpc: '2.0', method: 'x' }))).toMatchObject({ code: 'NOT_CONNECTED' });
    await transport.start();
    const error = await rejection(transport.start());
    expect(error).toBeInstanceOf(PoolError);
    expect(error).toMatchObject({ code: 'ALREADY_STARTED', message: expect.stringContaining('client.connect()') });
    await transport.send({ jsonrpc: '2.0', method: 'x' });
  });
});

describe('the drop-in', () => {
  it('[SHOW-1] shows its server and its pid, and neither arguments nor variables', async () => {
    const given = { ...program('cat'), env: { ...program('cat').env, ...env } };
    const { transport } = new Watched(given);
    expect(read(transport)).toEqual({ server: 'stdio:cat', started: false, pid: null });
    await transport.start();
    expect(read(transport)).toEqual({
      server: expect.stringMatching(/^stdio:cat:/),
      started: true,
      pid: transport.pid,
    });
    expect(inspect(transport)).toMatch(/^StdioClientTransport \{/);
    for (const text of shownAs(transport)) expect(text).not.toMatch(/swordfish|#/);
    const wrong = new StdioClientTransport({ command: `npx -y server --token ${SECRET}` });
    for (const text of shownAs(wrong)) expect(text).not.toContain(SECRET);
    const failed = (await rejection(wrong.start())) as PoolError;
    expect(failed.data.name).not.toContain(SECRET);
  });

  it('[SHOW-3] refuses a second start, and a message before the first, with a PoolError in the words of the SDK', async () => {
    const { transport } = new Watched(program('cat'));
    const early = await rejection(transport.send({ jsonrpc: '2.0', method: 'x' }));
    expect(early).toBeInstanceOf(PoolError);
    expect(early).toMatchObject({ code: 'NOT_CONNECTED', message: 'Not connected' });
    await transport.start();
    const error = await rejection(transport.start());
    expect(error).toBeInstanceOf(PoolError);
    expect(error).toMatchObject({
      code: 'ALREADY_STARTED',
      message: expect.stringMatching(/^StdioClientTransport already started!/),
    });
  });
});

describe('UNKNOWN_SERVER', () => {
  const pool = (count: number) => {
    const servers = Object.fromEntries(Array.from({ length: count }, (_, index) => [`tenant-${index}-files`, server]));
    return setUp({ servers: { ...servers, memory: server, files: server } }).pool;
  };
  const message = async (given: MCPServerPool, name?: string) =>
    ((await rejection(given.getServer(name))) as PoolError).message;

  it('[SHOW-2] names at most three servers, those that are near, of a thousand', async () => {
    const many = pool(1_000);
    expect(await message(many, 'memry')).toBe("server 'memry' is not defined; did you mean 'memory'?");
    const near = await message(many, 'tenant-11-file');
    expect(near.match(/tenant-\d+-files/g)).toHaveLength(3);
    expect(near).toMatch(/did you mean 'tenant-11-files' or /);
  });

  it('[SHOW-2] names none that is not near, nor when no name was given', async () => {
    expect(await message(pool(2), 'git')).toBe(
      "server 'git' is not defined; 4 servers are defined; status().servers has their names",
    );
    expect(await message(pool(2))).toMatch(/^the server must be named; 4 servers are defined/);
    expect(await message(setUp({ servers: {} }).pool, 'git')).toMatch(/none is defined; call addServer\(\)$/);
  });

  it('[SHOW-2] is short, whatever the name', async () => {
    expect((await message(pool(1_000), 'x'.repeat(1_000_000))).length).toBeLessThan(300);
  });

  it('[SHOW-2] says the same for the other calls that name a server', async () => {
    const { pool: one } = setUp({ servers: { memory: server, files: server } });
    for (const call of [
      one.warm('memry'),
      one.restart('memry'),
      one.removeServer('memry'),
      one.updateServer('memry', server),
    ]) {
      expect(((await rejection(call)) as PoolError).message).toContain("did you mean 'memory'?");
    }
  });
});
