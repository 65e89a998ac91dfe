import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import type { JsonRpcMessage, PooledTransport } from '../../src/index.js';

/** Options of a tool call that all SDKs have. */
export interface CallOptions {
  /** In ms; then the client cancels the call. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  readonly onprogress?: (progress: { progress: number; total?: number | undefined }) => void;
}

interface Notification {
  readonly method: string;
  readonly params?: unknown;
}

/** The methods that the clients of all SDKs have in common, so that one suite can run with each of them. */
export interface SdkClient {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  /** Called with notifications for which the client has no other handler. */
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

/** `callTool` of SDK v1 has a parameter more: a schema of the result, before the options. */
function v1(client: Client116 | ClientV1): SdkClient {
  const callTool = client.callTool.bind(client) as Client116['callTool'];
  return Object.assign(client, {
    callTool: (params: Parameters<typeof callTool>[0], options?: object) => callTool(params, undefined, options),
  }) as SdkClient;
}

/** Makes a client of each SDK that hosts use. */
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
 * The parameters of all notifications of `method` that a transport delivers from now on. Call it when the client is
 * connected.
 *
 * It is needed because the SDKs run handlers of notifications one microtask later than those of answers. So a client misses
 * progress that arrives together with the answer ("progress notification for an unknown token"), also over their own
 * transports.
 */
export function tap(transport: PooledTransport, method: string): unknown[] {
  const delivered: unknown[] = [];
  const { onmessage } = transport;
  transport.onmessage = (message: JsonRpcMessage, extra?: unknown) => {
    if (message.method === method) delivered.push(message.params);
    onmessage?.(message, extra);
  };
  return delivered;
}
