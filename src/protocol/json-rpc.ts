/** Id of a request: 1 and "1" are two ids. */
export type RequestId = string | number;

/** A JSON-RPC 2.0 message, as loosely typed as routing needs it. The messages of both SDKs are assignable to it. */
export interface JsonRpcMessage {
  readonly jsonrpc: '2.0';
  readonly id?: RequestId | null | undefined;
  readonly method?: string | undefined;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: JsonRpcError | undefined;
}

/**
 * The error of an answer. One that the pool gives for a request that is lost with its server has `data` of `{ reason,
 * retryable, exitCode, signal }`: the code of the PoolError, whether the request may be sent again to another process, and
 * how the process ended.
 */
export interface JsonRpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

export interface JsonRpcRequest extends JsonRpcMessage {
  readonly id: RequestId;
  readonly method: string;
}

/** The code that both SDKs use for a connection that closed under a request. */
export const CONNECTION_CLOSED = -32_000;
export const METHOD_NOT_FOUND = -32_601;

/** Whether a parsed line is a JSON-RPC message at all. */
export function isMessage(value: unknown): value is JsonRpcMessage {
  if (typeof value !== 'object' || value === null) return false;
  const message = value as Partial<JsonRpcMessage>;
  if (message.jsonrpc !== '2.0') return false;
  return typeof message.method === 'string' || ('id' in value && ('result' in value || 'error' in value));
}

export function isRequest(message: JsonRpcMessage): message is JsonRpcRequest {
  return message.method !== undefined && message.id !== undefined && message.id !== null;
}

export function resultFor(id: RequestId, result: unknown): JsonRpcMessage {
  return { jsonrpc: '2.0', id, result };
}

export function errorFor(id: RequestId, error: JsonRpcError): JsonRpcMessage {
  return { jsonrpc: '2.0', id, error };
}

export function notification(method: string, params: unknown): JsonRpcMessage {
  return { jsonrpc: '2.0', method, params };
}

/** Requests that change nothing, so that a lost one may be sent again. Of tools nobody can know. */
const REPEATABLE = new Set([
  'ping',
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'tasks/get',
  'tasks/list',
]);

export function isRepeatable(method: string): boolean {
  return REPEATABLE.has(method);
}

/** A member of an object that may be anything. */
export function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
