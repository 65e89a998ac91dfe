import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import type { JsonRpcMessage, PooledTransport } from '../../src/index.js';

/** What an SDK makes of a call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onprogress?: (progress: { progress: number; total?: number | undefined }) => void;
}

interface Notification {
  readonly method: string;
  readonly params?: unknown;
}

/** What the clients of all SDKs have in common, so that one suite can be run with each of them. */
export interface SdkClient {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  /** Gets the notifications that the client has no handler of its own for. */
  fallbackNotificationHandler?(notification: Notification): Promise<void>;
  connect(transport: PooledTransport): Promise<void>;
  close(): Promise<void>;
  getServerVersion(): { name: string; version: string } | undefined;
  getServerCapabilities(): object | undefined;
  getInstructions(): string | undefined;
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(params: { name: string; arguments?: Record<string, unknown> }, options?: CallOptions): Promise<unknown>;
  readResource(params: { uri: string }): Promise<{ contents: { uri: string }[] }>;
  listPrompts(): Promise<{ prompts: { name: string }[] }>;
  ping(): Promise<unknown>;
  subscribeResource(params: { uri: string }): Promise<unknown>;
  unsubscribeResource(params: { uri: string }): Promise<unknown>;
  setLoggingLevel(level: 'debug' | 'info' | 'warning' | 'error' | 'emergency'): Promise<unknown>;
}

const info = { name: 'contract-test', version: '1.0.0' };

/** SDK v1 takes a schema for the result between the parameters of a tool and the options of the call. */
function v1(client: Client116 | ClientV1): SdkClient {
  const callTool = client.callTool.bind(client) as Client116['callTool'];
  return Object.assign(client, {
    callTool: (params: Parameters<typeof callTool>[0], options?: object) => callTool(params, undefined, options),
  }) as SdkClient;
}

/** A new client of each SDK that hosts use. */
export const sdkClients: Readonly<Record<string, () => SdkClient>> = {
  'SDK 1.16': () => v1(new Client116(info)),
  'SDK 1.32': () => v1(new ClientV1(info)),
  'client 2.x': () => new ClientV2(info),
  'client 2.x that negotiates the era': () => new ClientV2(info, { versionNegotiation: { mode: 'auto' } }),
};

/** The text of a tool's result. */
export function textOf(result: unknown): string {
  return (result as { content: { text: string }[] }).content.map(({ text }) => text).join('\n');
}

/**
 * The parameters of all notifications of `method` that a transport gives its client from now on. To be called when the
 * client is connected.
 *
 * The SDKs run handlers of notifications one microtask later than those of answers, so that a client misses progress that
 * comes in one piece with the answer ("progress notification for an unknown token"), over their own transports as well.
 */
export function tap(transport: PooledTransport, method: string): unknown[] {
  const told: unknown[] = [];
  const { onmessage } = transport;
  transport.onmessage = (message: JsonRpcMessage, extra?: unknown) => {
    if (message.method === method) told.push(message.params);
    onmessage?.(message, extra);
  };
  return told;
}
