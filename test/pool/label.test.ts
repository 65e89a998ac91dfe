import { describe, expect, it } from 'vitest';
import { MCPServerPool, PoolError, type PoolOptions, type ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { endGlobalPoolAfterEach, params, program, Watched } from '../helpers/stdio.js';
import { flush, rejection } from '../helpers/until.js';

const MODES = ['shared', 'exclusive', 'dedicated'] as const;
/** An internal id of a host, and what its users call the server. */
const ID = 'a7f3-internal';
const LABEL = 'Files of Alice';
const names = { name: ID, label: LABEL };

endGlobalPoolAfterEach();

/** The error says the label, and nowhere the name; its data have both. */
function expectLabelled(error: unknown, code: string): PoolError {
  expect(error).toBeInstanceOf(PoolError);
  const { message, data } = error as PoolError;
  expect(error).toMatchObject({ code });
  expect(message).toContain(`server '${LABEL}'`);
  expect(message).not.toContain(ID);
  expect(data).toMatchObject(names);
  return error as PoolError;
}

describe.each(MODES)('a server with a label: %s', (sharing) => {
  function opened(more: Partial<ServerDefinition> = {}, options: Partial<PoolOptions> = {}, auto: object = {}) {
    const definition = { command: 'fake', sharing, label: LABEL, ...more };
    const all = setUp({ servers: { [ID]: definition }, ...options }, auto);
    const get = (timeout = 1_000) => all.pool.getServer(ID, { timeout });
    return { ...all, definition, get };
  }

  async function connected(more: Partial<ServerDefinition> = {}) {
    const all = opened(more);
    const lease = await all.get();
    return { ...all, lease, client: await RawClient.connect(lease.transport) };
  }

  it('[SHOW-6] is called so by the error of a start', async () => {
    const { launcher, get, pool, emitted } = opened({}, {}, { spawn: false });
    const failed = rejection(get());
    await flush();
    launcher.last.complain('Error: no token');
    launcher.last.exit({ exitCode: 3 });
    const error = await failed;
    expect(expectLabelled(error, 'SERVER_EXITED').message).toContain('exited with code 3');
    const { lastFailure, label } = pool.status().servers[ID] ?? {};
    expect({ lastFailure, label }).toEqual({ lastFailure: (error as PoolError).message, label: LABEL });
    const events = emitted.flatMap(({ event, payload }) => (event === 'server:failed' ? [payload] : []));
    expect(events).toMatchObject([{ name: ID, error: { data: names } }]);
  });

  it('[SHOW-6] is called so by the errors of a program that is not there, and of a folder that is not there', async () => {
    const server = { sharing, label: LABEL };
    const pool = new MCPServerPool({
      servers: {
        [ID]: { ...server, command: '/nowhere/program' },
        [`${ID}-2`]: { ...server, command: process.execPath, cwd: '/nowhere' },
      },
    });
    expectLabelled(await rejection(pool.getServer(ID)), 'COMMAND_NOT_FOUND');
    const error = await rejection(pool.getServer(`${ID}-2`));
    expect(error).toMatchObject({ code: 'CWD_NOT_FOUND', data: { name: `${ID}-2`, label: LABEL } });
    await pool.shutdown();
  });

  it('[SHOW-6] is called so by the answer to a call that was lost with it', async () => {
    const { launcher, client } = await connected({ onCrash: 'close' });
    launcher.last.onRequest = () => undefined;
    const call = rejection(client.request('tools/call', { name: 'x' }));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    const { message } = (await call) as Error;
    expect(message).toContain(`server '${LABEL}' exited with code 1`);
    expect(message).not.toContain(ID);
  });

  it('[SHOW-6] is called so by ACQUIRE_TIMEOUT, ACQUIRE_ABORTED and QUEUE_FULL', async () => {
    const { clock, get, pool } = opened(
      { maxInstances: 1, ...(sharing === 'shared' && { maxSessions: 1 }) },
      { maxWaiting: 1 },
    );
    await get();
    const late = rejection(get(50));
    await flush();
    expectLabelled(await rejection(get()), 'QUEUE_FULL');
    await clock.advanceAndFlush(50);
    expect(expectLabelled(await late, 'ACQUIRE_TIMEOUT').message).toContain('got no server within 50 ms');
    const abort = new AbortController();
    const aborted = rejection(pool.getServer(ID, { signal: abort.signal, owner: 'session' }));
    await flush();
    abort.abort();
    expectLabelled(await aborted, 'ACQUIRE_ABORTED');
    const released = rejection(pool.getServer(ID, { owner: 'session' }));
    await flush();
    pool.releaseOwner('session');
    expectLabelled(await released, 'ACQUIRE_ABORTED');
    const removed = rejection(get());
    await flush();
    const removal = pool.removeServer(ID, { timeout: 10 });
    expectLabelled(await removed, 'UNKNOWN_SERVER');
    await clock.advanceAndFlush(10_000);
    await removal;
  });

  it('[SHOW-6] is called so by BREAKER_OPEN and the failure that it quotes', async () => {
    const { launcher, get } = opened({ restart: { maxRestarts: 0 }, onCrash: 'close' }, {}, { spawn: false });
    const failed = rejection(get());
    await flush();
    launcher.last.exit({ exitCode: 3 });
    await failed;
    const error = expectLabelled(await rejection(get()), 'BREAKER_OPEN');
    expect(error.message.split(`server '${LABEL}'`)).toHaveLength(3);
    expectLabelled(error.cause, 'SERVER_EXITED');
  });

  it('[SHOW-6] is called so by the errors of its leases', async () => {
    const { lease, client } = await connected();
    lease.release();
    expectLabelled(await rejection(client.notify('x')), 'LEASE_RELEASED');
    const other = await connected();
    const closing = other.pool.shutdown({ mode: 'emergency' });
    expectLabelled(await rejection(other.client.notify('x')), 'POOL_CLOSED');
    await closing;
  });

  it.runIf(sharing !== 'dedicated')('[SHOW-6] is called so by START_TIMEOUT and HANDSHAKE_FAILED', async () => {
    const { clock, launcher, get } = opened({ startTimeout: 500 }, {}, { initialize: false });
    const late = rejection(get());
    await flush();
    await clock.advanceAndFlush(500);
    expectLabelled(await late, 'START_TIMEOUT');
    const refused = rejection(get());
    await clock.advanceAndFlush(100);
    launcher.last.initialize({ protocolVersion: '1999-01-01' });
    expectLabelled(await refused, 'HANDSHAKE_FAILED');
  });

  it('[SHOW-6] is called so by the error of a lease that is taken back', async () => {
    const one = { maxInstances: 1, ...(sharing === 'shared' && { maxSessions: 1 }) };
    const { clock, get } = opened({ ...one, leaseIdleTimeout: 100, reuse: 'tenant' });
    const { transport } = await get();
    const client = await RawClient.connect(transport);
    await clock.advanceAndFlush(200);
    await get();
    expectLabelled(await rejection(client.notify('x')), 'LEASE_RECLAIMED');
  });

  it.runIf(sharing === 'shared')('[SHOW-6] is called so when it is removed before it is started again', async () => {
    const { clock, launcher, client, pool } = await connected({ restart: { minDelay: 1_000, maxDelay: 1_000 } });
    launcher.last.exit({ exitCode: 1 });
    await flush();
    await clock.advanceAndFlush(1);
    launcher.auto = { ...launcher.auto, spawn: false };
    launcher.last.exit({ exitCode: 1 });
    await flush();
    const removal = pool.removeServer(ID, { timeout: 10 });
    await clock.advanceAndFlush(10_000);
    await removal;
    await client.closed;
    const { message } = (await rejection(client.notify('x'))) as PoolError;
    expect(message).toContain(
      `server '${LABEL}' was not started again: it was removed; before that: server '${LABEL}'`,
    );
  });

  it.runIf(sharing !== 'dedicated')('[SHOW-6] is called so in the message about capabilities', async () => {
    const { get, emitted } = opened();
    const { transport } = await get();
    const client = new RawClient(transport);
    await transport.start();
    const capabilities = { sampling: {}, roots: {} };
    await client.request('initialize', {
      protocolVersion: '2025-11-25',
      capabilities,
      clientInfo: { name: 'c', version: '1' },
    });
    await flush();
    const told = emitted.flatMap(({ event, payload }) => (event === 'capability:undeclared' ? [payload] : []));
    expect(told).toMatchObject([{ name: ID, message: expect.stringContaining(`server '${LABEL}' declares`) }]);
  });

  it('[SHOW-6] is called so by the errors of its channel', async () => {
    const { launcher, client, get } = await connected({ onCrash: 'close', maxMessageMB: 0.001 });
    launcher.last.onRequest = () => undefined;
    const call = rejection(client.request('tools/call', { name: 'x' }));
    await flush();
    launcher.last.say(`${'x'.repeat(3_000)}\n`);
    expect(((await call) as Error).message).toMatch(`server '${LABEL}' wrote a message of more than`);
    const next = await RawClient.connect((await get()).transport);
    launcher.last.say('no message\n');
    await flush();
    if (sharing === 'dedicated') expectLabelled(next.errors[0], 'INVALID_MESSAGE');
    else expect(next.errors).toEqual([]);
  });

  it('[SHOW-6] keeps its process and its lease when the label alone is changed, and is called by the new one', async () => {
    const { definition, launcher, pool, lease, client } = await connected({ onCrash: 'close' });
    const { pid } = lease;
    expect(pool.setServer(ID, definition)).toBe(false);
    await pool.updateServer(ID, { ...definition, label: 'Photos' });
    expect([lease.pid, launcher.servers.length]).toEqual([pid, 1]);
    expect(pool.status().servers[ID]).toMatchObject({ label: 'Photos', instances: [{ pid, state: 'ready' }] });
    expect(pool.getDefinition(ID)).toMatchObject({ label: 'Photos' });
    launcher.last.onRequest = () => undefined;
    const call = rejection(client.request('tools/call', { name: 'x' }));
    await flush();
    launcher.last.say('noise\n');
    await flush();
    if (sharing === 'dedicated') expect(client.errors[0]?.message).toContain("server 'Photos' wrote a line");
    launcher.last.exit({ exitCode: 1 });
    expect(((await call) as Error).message).toContain("server 'Photos' exited");
    await pool.updateServer(ID, { ...definition, label: undefined });
    expect(pool.status().servers[ID]?.label).toBeUndefined();
    lease.release();
    await flush();
  });
});

describe('a label', () => {
  it('[SHOW-6] stands in no hint: the names that are near are those with which a host calls', async () => {
    const { pool } = setUp({ servers: { files: { command: 'fake', label: 'Alices files' } } });
    const { message, data } = (await rejection(pool.getServer('filse'))) as PoolError;
    expect(message).toBe("server 'filse' is not defined; did you mean 'files'?");
    expect(data).toEqual({ name: 'filse' });
  });

  it('[SHOW-6] stands in no error about options, which name the keys of the definition', () => {
    const { pool } = setUp({ servers: { files: { command: 'fake', label: LABEL } } });
    expect(() => pool.addServer('files', { command: 'fake' })).toThrow("a server 'files' is defined already");
  });

  it.each([
    ['empty', '', 'a string that is not empty'],
    ['blank', ' ', 'a string that is not empty'],
    ['101 characters', 'x'.repeat(101), 'a string of at most 100 characters'],
    ['very long', '😀'.repeat(100_000), 'a string of at most 100 characters'],
    ['a control character', 'a\u001b[31m', 'a string without control characters'],
    ['a line break', 'a\nb', 'a string without control characters'],
    ['a line separator', 'a\u2028b', 'a string without control characters'],
    ['a number', 7, 'a string, got 7'],
    ['null', null, 'a string, got null'],
  ])('[SHOW-6] is refused when it is wrong: %s', (_what, label, problem) => {
    const refused = () => new MCPServerPool({ servers: { a: { command: 'fake', label: label as string } } });
    expect(refused).toThrow(`servers.a.label must be ${problem}`);
    expect(refused).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });

  it.each(['x', 'x'.repeat(100), '😀'.repeat(100), 'Ünïcode – Łabel', 'مساعد'])('[SHOW-6] may be %s', (label) => {
    const { pool } = setUp({ servers: { a: { command: 'fake', label } } });
    expect(pool.status().servers.a?.label).toBe(label);
  });

  it('[SHOW-6] belongs to one server: it is refused in defaults, and accepted beside the options of a pool', () => {
    const given = { defaults: { label: LABEL } } as PoolOptions;
    expect(() => new MCPServerPool(given)).toThrow(
      'defaults.label is not a known option; it is set for each server, in servers',
    );
    const { pool } = setUp({ command: 'fake', label: LABEL } as PoolOptions);
    expect(pool.status().servers.default?.label).toBe(LABEL);
  });
});

describe('the drop-in', () => {
  it('[SHOW-6] calls its server by the label of its parameters: a start that fails', async () => {
    const { transport, errors } = new Watched({ ...program('/nowhere/program'), label: LABEL });
    const error = (await rejection(transport.start())) as PoolError;
    expect(error.message).toContain(`server '${LABEL}': there is no file`);
    expect(error.message).not.toContain('stdio:');
    expect(error.data).toMatchObject({ name: expect.stringMatching(/^stdio:program:/), label: LABEL });
    expect(errors).toEqual([error]);
  });

  it('[SHOW-6] calls its server by the label of its parameters: a crash answered to a call', async () => {
    const { transport } = new Watched({ ...params('exit-after'), label: LABEL });
    const client = await RawClient.connect(transport as never);
    const { pid } = transport;
    const call = rejection(client.callTool('hang'));
    process.kill(pid as number, 'SIGKILL');
    expect(((await call) as Error).message).toContain(`server '${LABEL}' was ended by SIGKILL`);
    await client.closed;
  });

  it('[SHOW-6] calls it by its name without one, as before', async () => {
    const { transport } = new Watched(program('/nowhere/program'));
    const { message, data } = (await rejection(transport.start())) as PoolError;
    expect(message).toMatch(/^server 'stdio:program:[0-9a-f]+-\d+': there is no file/);
    expect(data).not.toHaveProperty('label');
  });

  it('[SHOW-6] refuses a wrong one', async () => {
    const { transport } = new Watched({ ...program('cat'), label: 'a\tb' });
    expect(await rejection(transport.start())).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('label must be a string without control characters'),
    });
  });
});
