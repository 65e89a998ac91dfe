/** Id of a request. In a request, 1 and "1" are two different ids; an answer may have either form ({@link otherForm}). */
export type RequestId = string | number;

/** A JSON-RPC 2.0 message, only as strictly typed as routing needs it. The messages of both SDKs are assignable to it. */
export interface JsonRpcMessage {
  readonly jsonrpc: '2.0';
  readonly id?: RequestId | null | undefined;
  readonly method?: string | undefined;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: JsonRpcError | undefined;
}

/** The error of an answer. For a request that was lost with its server, `data` is {@link LostRequestData}. */
export interface JsonRpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** The `data` of the error that answers a request which was lost with its server. */
export interface LostRequestData {
  /** Code of the PoolError. */
  readonly reason: string;
  /**
   * Whether it makes sense to send the request again. On a lease that goes on: always, because the server comes back. On a
   * lease that has ended: if the request changes nothing, so that it can be sent to another process.
   */
  readonly retryable: boolean;
  /** Whether the server may have done what the request asked for. */
  readonly mayHaveRun: boolean;
  /** Null when a signal has ended the process, or it lives. */
  readonly exitCode: number | null;
  /** Null when the process has exited by itself, or it lives. */
  readonly signal: string | null;
  /** Set when the kernel killed a process of the server for lack of memory. */
  readonly outOfMemory?: true;
  /**
   * The end of what the server wrote to stderr before it exited, at most 8,192 characters, secrets of the definition hidden.
   * Left out when it wrote nothing, and when it may be about other sessions: of a shared server, or with `reuse: 'tenant'` after
   * another session.
   */
  readonly stderrTail?: string;
}

export interface JsonRpcRequest extends JsonRpcMessage {
  readonly id: RequestId;
  readonly method: string;
}

/** The content of an answer, without the id that says which request it answers. */
export type Answer = Pick<JsonRpcMessage, 'result' | 'error'>;

/** The answer "done, without a result". Each call returns its own object, because the receiver may change it. */
export function success(): Answer {
  return { result: {} };
}

/** The code that both SDKs use when the connection closed before the answer came. */
export const CONNECTION_CLOSED = -32_000;
/** The code of both SDKs for a request that was not answered in time. */
export const REQUEST_TIMEOUT = -32_001;
/** The refusal of a request that a server makes when it has no client. */
export const NO_CLIENT = 'no client is there to answer';
export const METHOD_NOT_FOUND = -32_601;
export const INVALID_PARAMS = -32_602;

/**
 * Whether a parsed line is a JSON-RPC message. The id is checked because answers carry it back to the server. The parts that
 * only the receiver understands (params, result, error) may have any shape.
 */
export function isMessage(value: unknown): value is JsonRpcMessage {
  if (typeof value !== 'object' || value === null) return false;
  const { jsonrpc, id, method } = value as Partial<Record<keyof JsonRpcMessage, unknown>>;
  if (jsonrpc !== '2.0' || !(id === undefined || id === null || isId(id))) return false;
  if (method !== undefined) return typeof method === 'string';
  if ('id' in value) return 'result' in value || 'error' in value;
  // An error without an id, as some servers answer what they could not read.
  return 'error' in value && typeof value.error === 'object' && value.error !== null;
}

/**
 * Takes `error: null` out of an answer with a result, and `result: null` out of one with an error: some servers always write
 * both, and no client accepts that. The message is changed in place.
 */
export function tidied(message: JsonRpcMessage): JsonRpcMessage {
  const { method, result, error } = message as { method?: unknown; result?: unknown; error?: unknown };
  if (method !== undefined) return message;
  if (error === null && result !== undefined) delete (message as { error?: unknown }).error;
  else if (result === null && error !== undefined) delete (message as { result?: unknown }).result;
  return message;
}

/** The same id as a string, or as a number: some servers answer request 1 with the id "1". Both SDKs accept that. */
export function otherForm(id: RequestId): RequestId {
  if (typeof id === 'number') return String(id);
  return id.trim() === '' ? Number.NaN : Number(id);
}

function isId(value: unknown): value is RequestId {
  return typeof value === 'string' || typeof value === 'number';
}

/** An id that the pool has given: some servers write a number as a string. Undefined for what cannot be one. */
export function wireIdOf(written: unknown): RequestId | undefined {
  if (typeof written === 'number') return written;
  return typeof written === 'string' && String(Number(written)) === written ? Number(written) : undefined;
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

/**
 * Requests that change nothing, so that a lost one can be sent again. Not among them: tool calls, because a tool may do
 * anything, and tasks, because these end with their process.
 */
const REPEATABLE = new Set([
  'ping',
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
]);

export function isRepeatable(method: string): boolean {
  return REPEATABLE.has(method);
}

/** The property `key` of a value that may be of any type; undefined if the value is not an object. */
export function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

/** A deep copy; a shallow one if the value is nested too deeply for that. */
export function copyOf<T extends object>(value: T): T {
  try {
    return structuredClone(value);
  } catch {
    return { ...value };
  }
}

/** The parameters of a request that asks for progress by this token. */
export function withProgressToken(params: unknown, progressToken: RequestId): object {
  return { ...(params as object), _meta: { ...(property(params, '_meta') as object), progressToken } };
}
