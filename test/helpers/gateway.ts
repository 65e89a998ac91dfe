import { request } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { onTestFinished } from 'vitest';
import { exampleProgram } from './example.js';
import { startProgram } from './host.js';
import { until } from './until.js';

type ToolOptions = Parameters<Client['callTool']>[2];

/** A session of the SDK's client with one server of the gateway. */
export interface GatewaySession {
  readonly transport: StreamableHTTPClientTransport;
  readonly client: Client;
  /** The text that a tool returns. */
  call(tool: string, args?: Record<string, unknown>, options?: ToolOptions): Promise<string>;
  /** Breaks every connection that is open; what comes after gets new ones. */
  loseConnections(): void;
}

interface ConnectOptions {
  readonly model?: () => Promise<string>;
  readonly comesBack?: boolean;
}

/** Starts examples/express-gateway as a program of its own, on a free port. */
export async function startGateway(...args: string[]) {
  const { child, result, stdout } = startProgram(process.execPath, [
    exampleProgram('express-gateway/index.js'),
    '--port',
    '0',
    ...args,
  ]);
  await until('the gateway listens', () => stdout().includes('Ctrl-C ends it.'));
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(stdout())?.[0] ?? '';
  const tokenOf = (name: string) => new RegExp(`^  ${name}.*: (\\S+)$`, 'm').exec(stdout())?.[1] ?? '';

  /** A request without the SDK. */
  function send(path: string, { token, ...init }: RequestInit & { readonly token?: string | undefined } = {}) {
    const headers = { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...init.headers };
    return fetch(`${url}${path}`, { ...init, headers });
  }

  /** The status of a request for `/health` that names another host: fetch() cannot send one. */
  function statusForHost(host: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const asked = request(`${url}/health`, { headers: { host } }, (response) => {
        response.resume().once('close', () => resolve(response.statusCode));
      });
      asked.once('error', reject).end();
    });
  }

  /**
   * `model` answers what a server asks the client (sampling). Without `comesBack` the client gives up a stream whose connection is
   * lost: else it tries again after its session has ended, and its close() leaves the timers of that.
   */
  async function connect(
    server: string,
    user: string,
    { model = async () => 'nothing', comesBack = false }: ConnectOptions = {},
  ): Promise<GatewaySession> {
    let connections = new AbortController();
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp/${server}`), {
      requestInit: { headers: { authorization: `Bearer ${tokenOf(user)}` } },
      reconnectionOptions: {
        initialReconnectionDelay: 10,
        maxReconnectionDelay: 10,
        reconnectionDelayGrowFactor: 1,
        maxRetries: comesBack ? 2 : 0,
      },
      fetch: (address, init) => {
        const signals = [connections.signal, init?.signal].filter((signal) => signal != null);
        return fetch(address, { ...init, signal: AbortSignal.any(signals) });
      },
    });
    const client = new Client({ name: user, version: '1.0.0' }, { capabilities: { sampling: {} } });
    client.setRequestHandler(CreateMessageRequestSchema, async () => ({
      model: 'none',
      role: 'assistant' as const,
      content: { type: 'text' as const, text: await model() },
    }));
    onTestFinished(() => client.close());
    await client.connect(transport);
    return {
      transport,
      client,
      async call(name, args = {}, options) {
        const { content } = await client.callTool({ name, arguments: args }, undefined, options);
        return (content as { text: string }[])[0]!.text;
      },
      loseConnections() {
        const lost = connections;
        connections = new AbortController();
        lost.abort();
      },
    };
  }

  return { child, result, stdout, url, tokenOf, send, statusForHost, connect };
}
