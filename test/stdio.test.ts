import { Client as ClientV2 } from '@modelcontextprotocol/client';
import {
  getDefaultEnvironment as sdkDefaultEnvironment,
  StdioClientTransport as TransportV2,
} from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import { StdioClientTransport as Transport116 } from 'mcp-sdk-1.16/client/stdio.js';
import { afterEach, describe, expect, it } from 'vitest';
import { MCPServerPool, PoolError } from '../src/index.js';
import { MARK_VARIABLE } from '../src/process/marks/marker.js';
import { getDefaultEnvironment, StdioClientTransport } from '../src/stdio.js';
import { RawClient } from './helpers/client.js';
import { fixturePath } from './helpers/fixture.js';
import { runHost } from './helpers/host.js';
import { descendants, isLiving } from './helpers/processes.js';
import { record } from './helpers/real-pool.js';
import { endGlobalPoolAfterEach, params, program, shelled, Watched } from './helpers/stdio.js';
import { flush, outcome, rejection, until } from './helpers/until.js';

const info = { name: 'test', version: '1.0.0' };
type AnyClient = typeof ClientV1;
type AnyTransport = typeof TransportV1;
/** The three generations differ in types that do not matter here. */
const GENERATIONS = [
  { sdk: '1.16', Client: Client116 as unknown as AnyClient, Original: Transport116 as unknown as AnyTransport },
  { sdk: '1.32', Client: ClientV1, Original: TransportV1 },
  { sdk: '2', Client: ClientV2 as unknown as AnyClient, Original: TransportV2 as unknown as AnyTransport },
];
const Ours = StdioClientTransport as unknown as AnyTransport;
const pool = () => MCPServerPool.global();
const fails = async (promise: Promise<unknown>) => (await rejection(promise)) as PoolError;
/** A shell that cannot be talked to: it neither reads its stdin nor obeys SIGTERM. */
const stubborn = () => program('sh', '-c', 'trap "" TERM; sleep 100; sleep 1');

endGlobalPoolAfterEach();

/** What a host sees of a whole life, whichever transport it took. */
async function life(Client: AnyClient, Transport: AnyTransport) {
  const client = new Client(info);
  const transport = new Transport(params('echo', 'one') as never);
  const reported: string[] = [];
  // Set before, to be chained by the client.
  transport.onclose = () => reported.push('transport closed');
  transport.onmessage = (message) => reported.push('result' in message ? 'answer' : 'message');
  client.onclose = () => reported.push('client closed');
  const before = [transport.pid, transport.stderr];
  const send = () => rejection(transport.send({ jsonrpc: '2.0', method: 'ping', id: 1 })) as Promise<Error>;
  const early = (await send()).message;
  await client.connect(transport);
  const { tools } = await client.listTools();
  const { content } = await client.callTool({ name: 'echo', arguments: { text: 'hello' } });
  const environment = await client.callTool({ name: 'env', arguments: {} });
  const args = await client.callTool({ name: 'args', arguments: {} });
  // Not its class: ours is a PoolError, as all errors of this package.
  const { message: again } = (await rejection(transport.start())) as Error;
  const pid = transport.pid;
  await client.close();
  await until('it is reported', () => reported.includes('client closed'));
  const after = [transport.pid, (await send()).message];
  await client.close();
  await transport.close();
  // The SDK's does not wait for it; ours does, see below.
  await until('its process is gone', () => !isLiving(pid ?? 0));
  return {
    reported: [...reported],
    before,
    early,
    tools: tools.map(({ name }) => name),
    content,
    environment: namesIn(environment),
    args,
    again,
    after,
  };
}

/** What the tool `env` says, in whatever order; ours is marked. */
function namesIn(result: unknown): string[] {
  const { content } = result as { content: { text: string }[] };
  const names = JSON.parse(content[0]?.text ?? '') as string[];
  return names.filter((name) => name !== MARK_VARIABLE).sort();
}

describe.each(GENERATIONS)('a client of SDK $sdk', ({ Client, Original }) => {
  it("[STDIO-1] sees the same as with the SDK's own transport, from the start to the close", async () => {
    const expected = await life(Client, Original);
    // The one of 1.16 reports twice that it was closed.
    expected.reported.splice(expected.reported.indexOf('client closed') + 1);
    expect(await life(Client, Ours)).toEqual(expected);
    expect(pool().status()).toMatchObject({ servers: {}, processes: 0, leases: 0 });
    expect(pool().metrics()).toMatchObject({ started: 1, stopped: 1 });
  });

  it('[STDIO-1] [STDIO-5] gets one report of a server that exits, and its open request fails', async () => {
    const client = new Client(info);
    const transport = new Ours(params('exit-after') as never);
    let closes = 0;
    client.onclose = () => {
      closes += 1;
    };
    await client.connect(transport);
    const error = await fails(client.callTool({ name: 'exit', arguments: { code: 0, ms: 20 } }));
    expect(String(error)).toMatch(/exited with code 0, which the pool did not ask for/);
    await transport.close();
    expect({ closes, pid: transport.pid, servers: pool().status().servers }).toEqual({
      closes: 1,
      pid: null,
      servers: {},
    });
    await client.close();
    expect(closes).toBe(1);
  });
});

describe('client v2', () => {
  const connected = async (mode: 'auto' | 'legacy', server: ReturnType<typeof params>) => {
    const client = new ClientV2(info, { versionNegotiation: { mode } });
    await client.connect(new StdioClientTransport(server));
    return client;
  };

  it.each(['echo', 'exits-on-discover'])(
    '[STDIO-2] that negotiates tries %s out on a process of its own, which is gone before it begins',
    async (name) => {
      const stopped = record(pool(), 'server:stopped');
      const client = await connected('auto', params(name));
      expect(stopped.map(({ report }) => report?.confirmed)).toEqual([true]);
      expect(descendants()).toHaveLength(1);
      const { content } = await client.callTool({ name: 'seen', arguments: {} });
      expect(JSON.stringify(content)).not.toContain('discover');
      await client.close();
      expect(pool().metrics()).toMatchObject({ started: 2, stopped: 2 });
      expect(pool().status().servers).toEqual({});
    },
  );

  it('[STDIO-2] speaks the modern era to a server that does, and does not wait for the one it tried', async () => {
    const stopped = record(pool(), 'server:stopped');
    const client = await connected('auto', { ...params('modern', '--ignore-eof'), eofGrace: 60_000 });
    expect(stopped[0]?.report?.termination?.steps.map(({ step }) => step)).toEqual(['eof', 'SIGTERM']);
    expect(client.getProtocolEra()).toBe('modern');
    expect((await client.callTool({ name: 'echo', arguments: { text: 'hello' } })).content).toEqual([
      { type: 'text', text: 'modern hello' },
    ]);
    // The long grace would hold for the session.
    await pool().shutdown({ mode: 'emergency' });
    await client.close();
  });

  it('[STDIO-2] that does not negotiate starts one process', async () => {
    const client = await connected('legacy', params('exits-on-discover'));
    await client.close();
    expect(pool().metrics()).toMatchObject({ started: 1, stopped: 1 });
  });
});

describe('close()', () => {
  it.each([
    ['a shell around it', shelled('echo')],
    ['a helper that holds stdout in a session of its own', params('helper-holds-stdout', '--setsid')],
    ['a helper that ignores SIGTERM', { ...params('helper-holds-stdout', '--ignore-term'), termGrace: 50 }],
    ['a deaf server', { ...shelled('ignore-eof-and-term'), eofGrace: 50, termGrace: 50 }],
  ])('[STDIO-3] ends the whole tree: %s', async (_what, server) => {
    const { transport } = new Watched(server);
    const client = await RawClient.connect(transport);
    expect(await client.callTool('echo', { text: 'a' })).toBe('a');
    await transport.close();
    // At once: nothing is waited for.
    expect(descendants()).toEqual([]);
    expect(transport.pid).toBe(null);
    expect(client).toMatchObject({ closeCount: 1, errors: [] });
    expect(pool().status()).toMatchObject({ servers: {}, processes: 0 });
  });

  it('[STDIO-3] can be called again and at once; onclose comes when the process is gone, and once', async () => {
    const watched = new Watched({ ...stubborn(), eofGrace: 20, termGrace: 50 });
    const { transport } = watched;
    await transport.close();
    expect(watched.closes).toBe(0);
    await transport.start();
    const pid = transport.pid ?? 0;
    let wasLiving = false;
    transport.onclose = () => {
      watched.closes += 1;
      wasLiving ||= isLiving(pid);
    };
    const closing = [transport.close(), transport.close()];
    expect({ pid: transport.pid, closes: watched.closes, living: isLiving(pid) }).toEqual({
      pid: null,
      closes: 0,
      living: true,
    });
    expect(await fails(transport.send({ jsonrpc: '2.0', method: 'ping', id: 1 }))).toMatchObject({
      message: 'Not connected',
    });
    await Promise.all(closing);
    await transport.close();
    expect(watched).toMatchObject({ closes: 1, errors: [] });
    expect(wasLiving).toBe(false);
  });

  it('[STDIO-4] gives the graces that were asked for', async () => {
    const stopped = record(pool(), 'server:stopped');
    const steps = async (graces: object) => {
      const { transport } = new Watched({ ...stubborn(), ...graces });
      await transport.start();
      await transport.close();
      return stopped.at(-1)?.report?.termination?.steps.map(({ step, at }) => ({ step, at })) ?? [];
    };
    const brief = await steps({ eofGrace: 30, termGrace: 30 });
    expect(brief.map(({ step }) => step)).toEqual(['eof', 'SIGTERM', 'SIGKILL']);
    const long = await steps({ eofGrace: 300, termGrace: 600 });
    expect(long[1]?.at).toBeGreaterThanOrEqual(300);
    expect((long[2]?.at ?? 0) - (long[1]?.at ?? 0)).toBeGreaterThanOrEqual(600);
  });

  it('[STDIO-4] [GLOBAL-3] ends many stubborn servers side by side', async () => {
    const reported: string[] = [];
    pool().on('cleanup:started', () => reported.push('started'));
    pool().on('cleanup:finished', () => reported.push('finished'));
    const all = Array.from(
      { length: 12 },
      () => new Watched({ ...stubborn(), eofGrace: 500, termGrace: 20 }).transport,
    );
    await Promise.all(all.map((transport) => transport.start()));
    await Promise.all(all.map((transport) => transport.close()));
    expect(reported.slice(0, 12)).toEqual(Array(12).fill('started'));
  });

  it('[STDIO-3] [TURN-1] ends transports that start in turns, and those that wait for their turn', async () => {
    MCPServerPool.global({ limits: { concurrentStarts: 1 } });
    const all = Array.from({ length: 6 }, () => new Watched(params('echo')));
    const clients = await Promise.all(all.slice(0, 4).map(({ transport }) => RawClient.connect(transport)));
    for (const client of clients) expect(await client.callTool('echo', { text: 'a' })).toBe('a');
    const [first, second] = all.slice(4);
    const starting = [first, second].map((watched) => fails(watched?.transport.start() ?? Promise.resolve()));
    expect(pool().status().startsWaiting).toBe(1);
    await Promise.all(all.map(({ transport }) => transport.close()));
    for (const failed of starting) expect((await failed).code).toBe('ACQUIRE_ABORTED');
    expect(clients.map(({ closeCount }) => closeCount)).toEqual([1, 1, 1, 1]);
    expect([first?.closes, second?.closes]).toEqual([1, 1]);
    expect(pool().status()).toMatchObject({ servers: {}, processes: 0, startsWaiting: 0 });
  });

  it('[STDIO-3] [START-4] during the start ends that', async () => {
    const watched = new Watched(params('never-answers'));
    const starting = fails(watched.transport.start());
    await watched.transport.close();
    expect((await starting).code).toBe('ACQUIRE_ABORTED');
    expect(descendants()).toEqual([]);
    expect(watched).toMatchObject({ closes: 1, errors: [] });
    expect(pool().status()).toMatchObject({ servers: {}, processes: 0 });
  });

  it('[STDIO-3] in the moment in which the start succeeds ends it, too', async () => {
    const watched = new Watched(program('cat'));
    let closing: Promise<void> | undefined;
    pool().once('lease:acquired', () => {
      closing = watched.transport.close();
    });
    expect((await fails(watched.transport.start())).code).toBe('LEASE_RELEASED');
    await closing;
    expect(descendants()).toEqual([]);
    expect(watched).toMatchObject({ closes: 1, errors: [] });
    expect(pool().status()).toMatchObject({ servers: {}, leases: 0 });
  });

  it('[STDIO-3] after a shutdown during the start waits for what that ends', async () => {
    const { transport } = new Watched({ ...stubborn(), eofGrace: 200, termGrace: 50 });
    const old = pool();
    old.once('server:starting', () => void old.shutdown());
    expect((await fails(transport.start())).code).toBe('POOL_CLOSED');
    expect(descendants()).not.toEqual([]);
    await transport.close();
    expect(descendants()).toEqual([]);
  });

  it('[STDIO-1] lets it be started again', async () => {
    const watched = new Watched(program('cat'));
    const pids = new Set<number | null>();
    for (let round = 1; round <= 2; round++) {
      await watched.transport.start();
      pids.add(watched.transport.pid);
      await watched.transport.close();
      expect(watched.closes).toBe(round);
    }
    expect(pids.size).toBe(2);
  });
});

describe('a server that is lost', () => {
  it.each(['SIGKILL', 'shutdown'])('[STDIO-5] by %s closes the transport once, and says why', async (how) => {
    const watched = new Watched(params('helper-holds-stdout'));
    const { transport } = watched;
    await transport.start();
    const [{ pid = 0 } = {}] = descendants();
    if (how === 'SIGKILL') process.kill(transport.pid ?? 0, 'SIGKILL');
    else await pool().shutdown();
    await until('it is reported', () => watched.closes > 0);
    expect(transport.pid).toBe(null);
    await transport.close();
    expect(isLiving(pid)).toBe(false);
    expect(watched.closes).toBe(1);
    expect(watched.errors).toMatchObject([{ code: how === 'SIGKILL' ? 'SERVER_EXITED' : 'POOL_CLOSED' }]);
    expect(pool().status().servers).toEqual({});
  });

  it('[STDIO-5] may be started again at once, and close() waits for both', async () => {
    const { transport } = new Watched(params('fork-tree', '--count=2', '--ignore-term'));
    let again: Promise<void> | undefined;
    transport.onclose = () => {
      again ??= transport.start();
    };
    await transport.start();
    const first = transport.pid;
    process.kill(first ?? 0, 'SIGKILL');
    await until('it is started again', () => again !== undefined);
    await again;
    expect(transport.pid).not.toBe(first);
    await transport.close();
    expect(descendants()).toEqual([]);
    expect(pool().metrics()).toMatchObject({ started: 2, stopped: 2 });
  });

  it('[STDIO-5] answers what it still could', async () => {
    const { transport } = new Watched(params('exit-after'));
    const client = await RawClient.connect(transport);
    expect(await client.callTool('exit', { answer: true, ms: 20 })).toBe('exiting');
    await client.closed;
    expect(client).toMatchObject({ closeCount: 1, strays: [] });
  });
});

describe('a start that fails', () => {
  it.each([
    ['COMMAND_NOT_FOUND', 'ENOENT', { command: 'no-such-command', args: ['secret'] }],
    ['CWD_NOT_FOUND', 'ENOENT', { command: 'cat', cwd: '/no/such/folder' }],
    ['COMMAND_NOT_EXECUTABLE', 'EACCES', { command: fixturePath('echo.js') }],
  ])('[STDIO-6] is %s, with %s of Node as its cause', async (code, errno, server) => {
    const watched = new Watched(server);
    const error = await fails(watched.transport.start());
    expect(error).toBeInstanceOf(PoolError);
    expect(error).toMatchObject({
      code,
      data: { errno },
      cause: { code: errno, errno: expect.any(Number), syscall: `spawn ${server.command}`, path: server.command },
    });
    expect(JSON.stringify(error.cause)).not.toContain('secret');
    expect(watched).toMatchObject({ closes: 1, errors: [error] });
    expect(watched.transport.pid).toBe(null);
    await watched.transport.close();
    expect(pool().status().servers).toEqual({});
    expect(watched.closes).toBe(1);
    // As in the SDK, it may be tried again.
    expect(await fails(watched.transport.start())).toMatchObject({ code });
  });

  it('[STDIO-6] for wrong parameters leaves nothing in the pool', async () => {
    expect(await fails(new StdioClientTransport({ command: '' }).start())).toMatchObject({ code: 'INVALID_OPTIONS' });
    await fails(new StdioClientTransport({ command: 'cat', stderr: 'somewhere' as 'pipe' }).start());
    expect(pool().status().servers).toEqual({});
  });
});

describe('the environment', () => {
  it("[STDIO-1] is the SDK's, with values that are undefined left out", async () => {
    expect(getDefaultEnvironment()).toEqual(sdkDefaultEnvironment());
    const server = params('echo');
    const { transport } = new Watched({ ...server, env: { ...server.env, EMPTY: '', NONE: undefined as never } });
    const client = await RawClient.connect(transport);
    const names = (await client.callTool('env')) as string[];
    const own = Object.keys(server.env ?? {});
    const expected = [...Object.keys(getDefaultEnvironment()), ...own, 'EMPTY', MARK_VARIABLE];
    expect(names.filter((name) => !expected.includes(name))).toEqual([]);
    expect(names).toContain('EMPTY');
    await client.close();
  });
});

describe('a message above maxMessageMB, or maxBufferSize', () => {
  it.each([{ maxMessageMB: 1 }, { maxBufferSize: 1_048_576 }])('[STDIO-1] closes the transport: %j', async (limit) => {
    const watched = new Watched({ ...params('too-large'), ...limit });
    const client = await RawClient.connect(watched.transport);
    void client.callTool('overflow', { mb: 2 }).catch(() => {});
    await client.closed;
    await watched.transport.close();
    expect(client.errors).toMatchObject([{ code: 'MESSAGE_TOO_LARGE' }]);
    expect(client.closeCount).toBe(1);
  });
});

describe('a host', () => {
  const head = `
    import { Client } from '@modelcontextprotocol/sdk/client/index.js';
    const { StdioClientTransport } = await import(SRC + '/stdio.js');
    const env = { MCP_POOL_TEST: process.env.MCP_POOL_TEST };
    const client = new Client({ name: 'host', version: '1' });
    const connect = (name, ...args) => client.connect(new StdioClientTransport({
      command: process.execPath, args: [FIXTURES + '/' + name + '.js', ...args], env,
    }));`;

  it('[STDIO-7] is held open while its server runs, and ends by itself when that has exited', async () => {
    const script = `${head}
      client.onclose = () => console.log('closed');
      await connect('exit-after', '--ms=700');
      console.log('connected');`;
    expect(await runHost(script)).toMatchObject({ code: 0, stdout: 'connected\nclosed\n', stderr: '' });
  });

  it('[STDIO-7] ends by itself after close()', async () => {
    const script = `${head}
      await connect('echo');
      await client.close();
      console.log('closed');`;
    expect(await runHost(script)).toMatchObject({ code: 0, stdout: 'closed\n', stderr: '' });
  });
});

describe('over a pool of another version', () => {
  const KEY = Symbol.for('mcp-server-pool.global');
  const place = globalThis as { [KEY]?: unknown };
  afterEach(() => delete place[KEY]);

  it('[STDIO-8] uses its public surface only, and reports what could not be proven dead', async () => {
    const calls: string[] = [];
    let end: (report: object) => void = () => {};
    const ended = new Promise((resolve) => {
      end = resolve;
    });
    const lease = {
      pid: 4711,
      ended,
      transport: { start: async () => {}, send: async () => {}, close: async () => calls.push('close') },
      release: () => calls.push('release'),
    };
    place[KEY] = {
      addServer: (_name: string, { command }: { command: string }) => calls.push(`add ${command}`),
      getServer: async () => lease,
      removeServer: async () => calls.push('remove'),
    };
    const watched = new Watched({ command: 'cat', stderr: 'pipe' });
    await watched.transport.start();
    expect(watched.transport.pid).toBe(4711);
    expect(watched.transport.stderr).toMatchObject({ writableEnded: true });
    const closing = watched.transport.close();
    await flush();
    expect(await outcome(closing)).toBe('pending');
    end({ name: 'cat', pid: 4711, confirmed: false, survivors: [{ pid: 4712, command: 'sleep' }] });
    await closing;
    expect(calls).toEqual(['add cat', 'close', 'release', 'remove']);
    expect(watched.closes).toBe(1);
    expect(watched.errors.map(String)).toEqual([expect.stringContaining('could not be proven dead: 4712 (sleep)')]);
  });
});
