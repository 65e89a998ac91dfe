import { createRequire } from 'node:module';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MCPServerPool, type PooledTransport, type ServerDefinition } from '../../src/index.js';
import { getDefaultEnvironment, StdioClientTransport } from '../../src/stdio.js';
import { RawClient } from '../helpers/client.js';
import { descendants, MARKER } from '../helpers/processes.js';
import { type SdkClient, sdkClients, tap, textOf } from '../helpers/sdk-clients.js';
import { rejection, until } from '../helpers/until.js';

const { resolve } = createRequire(import.meta.url);
const everything: ServerDefinition = {
  command: process.execPath,
  args: [resolve('@modelcontextprotocol/server-everything/dist/index.js')],
  inheritEnv: [MARKER],
  // The call that is given up goes on in the server, and would hold it open.
  eofGrace: 100,
};

/** One way to a server. */
interface Way {
  readonly transport: PooledTransport;
  /** Requests that the server has not answered; undefined where they are not counted. */
  openRequests?(): number | undefined;
  /** Asserts what must be so when the client has closed. */
  closed(): Promise<void>;
}

/** A lease of a pool of its own. */
async function lease(sharing: 'shared' | 'exclusive' | 'dedicated'): Promise<Way> {
  const pool = new MCPServerPool({ servers: { everything: { ...everything, sharing } } });
  onTestFinished(async () => {
    expect((await pool.shutdown({ mode: 'emergency' })).survivors).toEqual([]);
  });
  const instance = () => pool.status().servers.everything?.instances[0];
  // Another session is there, and must not notice.
  const bystander = sharing === 'shared' ? await pool.getServer() : undefined;
  const other = bystander && (await RawClient.connect(bystander.transport));
  const server = await pool.getServer();
  expect(descendants().length).toBe(1);
  return {
    transport: server.transport,
    openRequests: () => instance()?.openRequests,
    closed: async () => {
      expect(server.release()).toBe(false);
      expect(pool.status().leases).toBe(other ? 1 : 0);
      if (sharing === 'dedicated') {
        await server.ended;
        expect(descendants()).toEqual([]);
        return;
      }
      expect(instance()).toMatchObject({ state: 'ready', pid: server.pid, leases: other ? 1 : 0 });
      if (other === undefined) return;
      expect(await other.callTool('echo', { message: 'still here' })).toBe('Echo: still here');
      expect(other.strays).toEqual([]);
      expect(other.notifications('notifications/progress')).toEqual([]);
      expect(other.notifications('notifications/resources/updated')).toEqual([]);
    },
  };
}

/** The transport that a host puts in the place of the SDK's own. */
async function dropIn(): Promise<Way> {
  const { command, args, eofGrace } = everything;
  const env = { ...getDefaultEnvironment(), [MARKER]: process.env[MARKER] ?? '' };
  const transport = new StdioClientTransport({ command, args: [...(args ?? [])], eofGrace, env, stderr: 'ignore' });
  onTestFinished(async () => {
    await transport.close();
    expect((await MCPServerPool.global().shutdown({ mode: 'emergency' })).survivors).toEqual([]);
  });
  return {
    transport,
    closed: async () => {
      expect(transport.pid).toBe(null);
      expect(descendants()).toEqual([]);
      expect(MCPServerPool.global().status()).toMatchObject({ processes: 0, leases: 0 });
    },
  };
}

/** What every client must be able to do over every one of them. Another way is one line here. */
const ways: Readonly<Record<string, () => Promise<Way>>> = {
  'a shared lease': () => lease('shared'),
  'an exclusive lease': () => lease('exclusive'),
  'a dedicated lease': () => lease('dedicated'),
  'the drop-in': dropIn,
};

const table = Object.keys(sdkClients).flatMap((sdk) => Object.keys(ways).map((way): [string, string] => [sdk, way]));

/** What came since, without what was there before. */
function listen(client: SdkClient): { method: string; params?: unknown }[] {
  const notifications: { method: string; params?: unknown }[] = [];
  client.fallbackNotificationHandler = async (notification) => {
    notifications.push(notification);
  };
  return notifications;
}

const LONG = 'trigger-long-running-operation';
const URI = 'demo://resource/dynamic/text/7';

describe('the contract', () => {
  it.each(table)('[CONTRACT-1] %s on %s', async (sdk, name) => {
    const way = await (ways[name] as (typeof ways)[''])();
    const client = (sdkClients[sdk] as (typeof sdkClients)[''])();
    let closes = 0;
    const errors: Error[] = [];
    client.onclose = () => {
      closes += 1;
    };
    client.onerror = (error) => errors.push(error);
    const notifications = listen(client);

    // Which server is there, and what it can do.
    await client.connect(way.transport);
    expect(client.getServerVersion()).toMatchObject({ name: 'mcp-servers/everything', version: '2.0.0' });
    expect(client.getServerCapabilities()).toMatchObject({
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      logging: {},
    });
    expect(client.getInstructions()).toContain('Everything');

    // Lists, calls, reads.
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(expect.arrayContaining(['echo', 'get-sum', LONG]));
    expect(new Set(tools.map((tool) => tool.name)).size).toBe(tools.length);
    expect(textOf(await client.callTool({ name: 'echo', arguments: { message: sdk } }))).toBe(`Echo: ${sdk}`);
    const sums = Array.from({ length: 20 }, (_, b) => client.callTool({ name: 'get-sum', arguments: { a: 1, b } }));
    expect((await Promise.all(sums)).map(textOf)).toEqual(sums.map((_, b) => `The sum of 1 and ${b} is ${1 + b}.`));
    expect(await client.readResource({ uri: URI })).toMatchObject({
      contents: [{ uri: URI, text: expect.stringContaining('Resource 7: ') }],
    });
    const { prompts } = await client.listPrompts();
    expect(prompts.map((prompt) => prompt.name)).toContain('simple-prompt');
    await client.ping();

    // Progress.
    const wire = tap(way.transport, 'notifications/progress');
    const notices: unknown[] = [];
    const done = await client.callTool(
      { name: LONG, arguments: { duration: 0.1, steps: 4 } },
      { onprogress: (notice) => notices.push(notice) },
    );
    expect(textOf(done)).toContain('Steps: 4.');
    const expected = [1, 2, 3, 4].map((progress) => ({ progress, total: 4 }));
    expect(wire).toMatchObject(expected);
    expect(wire.length).toBe(expected.length);
    expect(notices).toEqual(expected);

    // A call that is given up, and one after it.
    const abort = new AbortController();
    const begun: unknown[] = [];
    const given = client.callTool(
      { name: LONG, arguments: { duration: 2, steps: 40 } },
      { signal: abort.signal, onprogress: (notice) => begun.push(notice) },
    );
    given.catch(() => {});
    await until('it has begun', () => begun.length > 0);
    abort.abort('not needed any more');
    expect(String(await rejection(given))).toContain('not needed any more');
    expect(textOf(await client.callTool({ name: 'echo', arguments: { message: 'on' } }))).toBe('Echo: on');
    if (way.openRequests) await until('nothing is open', () => !way.openRequests?.());

    // What the server says of itself.
    await client.setLoggingLevel('info');
    await client.subscribeResource({ uri: URI });
    await client.callTool({ name: 'toggle-subscriber-updates' });
    const of = (method: string) => notifications.filter((one) => one.method === method).map(({ params }) => params);
    await until('it is notified', () => of('notifications/resources/updated').length > 0);
    expect(of('notifications/resources/updated')).toEqual([{ uri: URI }]);
    const logs = await until('it logs', () => of('notifications/message').length > 0 && of('notifications/message'));
    expect(logs).toMatchObject([{ level: 'info', data: expect.stringContaining(URI) }]);
    await client.callTool({ name: 'toggle-subscriber-updates' });
    await client.unsubscribeResource({ uri: URI });
    await until('it logs that, too', () => of('notifications/message').length === 2);
    // Nothing as low as this any more.
    await client.setLoggingLevel('emergency');
    await client.subscribeResource({ uri: URI });
    await client.ping();
    expect(of('notifications/message').length).toBe(2);

    // Errors of the server are its own.
    expect(await client.callTool({ name: 'no-such-tool' })).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('no-such-tool') }],
    });
    expect(await rejection(client.readResource({ uri: 'demo://nothing' }))).toMatchObject({
      code: -32_602,
      message: expect.stringContaining('demo://nothing'),
    });

    // The end.
    expect(closes).toBe(0);
    await client.close();
    await way.closed();
    expect(closes).toBe(1);
    await client.close();
    expect(closes).toBe(1);
    expect((await rejection(client.ping())) as Error).toBeInstanceOf(Error);
    expect(errors.filter(({ message }) => !message.includes('unknown token'))).toEqual([]);
  });
});
