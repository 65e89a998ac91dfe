import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ConnectedClient } from '../../examples/metamcp/connect.js';
import type * as Definition from '../../examples/metamcp/definition.js';
import type { ServerParameters } from '../../examples/metamcp/definition.js';
import type { McpServerPool } from '../../examples/metamcp/mcp-server-pool.js';
import { exampleModule, exampleProgram } from '../helpers/example.js';
import { openAdapter } from '../helpers/metamcp.js';

const row = (given: Partial<ServerParameters>): ServerParameters => ({ uuid: 'u', name: 'files', ...given });
const definitionOf = (given: Partial<ServerParameters>) =>
  exampleModule<typeof Definition>(exampleProgram('metamcp/index.js'), './definition.js').definitionOf(row(given));

/** An MCP server of Streamable HTTP that answers in JSON, and keeps the headers of what it was sent. */
async function httpServer() {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer(async (request, response) => {
    seen.push(request.headers);
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method, params } = body === '' ? { id: undefined, method: undefined, params: {} } : JSON.parse(body);
    if (id === undefined) {
      response.writeHead(request.method === 'POST' ? 202 : 405).end();
      return;
    }
    const { protocolVersion } = params ?? {};
    const serverInfo = { name: 'remote', version: '1.0.0' };
    const result = method === 'initialize' ? { protocolVersion, capabilities: {}, serverInfo } : {};
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, seen };
}

describe('the parameters of MetaMCP', () => {
  it('[MOVING-8] become a definition: columns that are empty, and the name for messages', () => {
    expect(definitionOf({ command: 'npx', args: null, env: null })).toMatchObject({
      ...{ command: 'npx', args: [], env: {}, label: 'files' },
      ...{ sharing: 'exclusive', reuse: 'never', maxInstances: Infinity, protocolVersion: '2025-06-18' },
    });
    expect(definitionOf({ name: '' })).not.toHaveProperty('label');
    expect(definitionOf({ name: `a\nb${'x'.repeat(200)}` }).label).toMatch(/^a bx{97}$/);
  });

  it('[MOVING-8] variables: references are replaced, what the host has is inherited and hides nothing', () => {
    vi.stubEnv('METAMCP_TEST_KEY', 'secret');
    onTestFinished(() => void vi.unstubAllEnvs());
    const reference = (name: string) => `\${${name}}`;
    const own = { A: reference('METAMCP_TEST_KEY'), B: reference('METAMCP_TEST_NONE'), C: `x${reference('HOME')}` };
    const definition = definitionOf({ env: { ...own, PATH: process.env.PATH ?? '', HOME: '/elsewhere' } });
    expect(definition.env).toEqual({ ...own, A: 'secret', HOME: '/elsewhere' });
    expect(definition.inheritEnv).toEqual(expect.arrayContaining(['HTTPS_PROXY', 'NODE_EXTRA_CA_CERTS']));
  });

  it('[MOVING-8] servers of HTTP are beside the pool: one connection for each session, with their headers', async () => {
    const { url, seen } = await httpServer();
    const { adapter, logged, starts } = openAdapter();
    const params = row({ type: 'STREAMABLE_HTTP', url, headers: { 'x-team': 'blue' }, bearerToken: 'token-1' });
    await adapter.ensureIdleSessions({ u: params });
    const lists = await Promise.all([1, 2, 3].map(() => adapter.getSession('s1', 'u', params)));
    expect(new Set(lists).size).toBe(1);
    expect(lists[0]?.client.getServerVersion()).toMatchObject({ name: 'remote' });
    expect(seen[0]).toMatchObject({ 'x-team': 'blue', authorization: 'Bearer token-1' });
    expect(adapter.getPoolStatus()).toEqual({ idle: 0, active: 1, activeSessionIds: ['s1'], idleServerUuids: [] });
    await adapter.cleanupSession('s1');
    expect(adapter.getPoolStatus().active).toBe(0);
    expect(await adapter.getSession('s2', 'v', row({ type: 'SSE', url: null }))).toBeUndefined();
    expect(logged).toEqual(['No connection to files: server files has no url']);
    expect(starts).toEqual([]);
  });
});

/** What the other files of MetaMCP call. */
interface PoolOfMetaMcp {
  getSession(
    session: string,
    uuid: string,
    params: ServerParameters,
    ns?: string,
  ): Promise<ConnectedClient | undefined>;
  ensureIdleSessions(params: Record<string, ServerParameters>, ns?: string): Promise<void>;
  ensureIdleSessionForNewServer(uuid: string, params: ServerParameters, ns?: string): Promise<void>;
  invalidateIdleSession(uuid: string, params: ServerParameters, ns?: string): Promise<void>;
  invalidateIdleSessions(params: Record<string, ServerParameters>, ns?: string): Promise<void>;
  cleanupIdleSession(uuid: string): Promise<void>;
  cleanupSession(session: string): Promise<void>;
  cleanupAll(): Promise<void>;
  getPoolStatus(): { idle: number; active: number; activeSessionIds: string[]; idleServerUuids: string[] };
  getSessionConnections(session: string): Record<string, ConnectedClient> | undefined;
  getActiveSessionIds(): string[];
  getSessionAge(session: string): number | undefined;
  isSessionExpired(session: string): Promise<boolean>;
  isServerInErrorState(uuid: string): Promise<boolean>;
  resetServerErrorState(uuid: string): Promise<void>;
  // biome-ignore lint/suspicious/noExplicitAny: as MetaMCP has it.
  getBackgroundIdleSessionsByNamespace(): Map<string, any>;
}

describe('the shape of the pool of MetaMCP', () => {
  it('[MOVING-8] is that of the adapter: methods, arguments and results', () => {
    // The types are checked by `npm run types`.
    const asTheirs = (adapter: McpServerPool): PoolOfMetaMcp => adapter;
    const { adapter } = openAdapter();
    expect(asTheirs(adapter).getPoolStatus()).toEqual({
      idle: 0,
      active: 0,
      activeSessionIds: [],
      idleServerUuids: [],
    });
  });
});
