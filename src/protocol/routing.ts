import type { PoolError } from '../errors.js';
import {
  CONNECTION_CLOSED,
  errorFor,
  isRepeatable,
  type JsonRpcMessage,
  type LostRequestData,
  type RequestId,
} from './json-rpc.js';

/** One end of a conversation with a server: a session. */
export interface Endpoint {
  receive(message: JsonRpcMessage): void;
}

/** How messages find their way between one server and its sessions. */
export interface Routing {
  /** From now on `session` can talk to the server, and hears what is for it. */
  attach(session: Endpoint): Attachment;
}

/** A session's place at a server. */
export interface Attachment {
  /** Requests of the session that are not answered. */
  readonly openRequests: number;
  send(message: JsonRpcMessage): Promise<void>;
  /** The server is lost to the session: answers all its open requests with an error that says why. */
  fail(error: PoolError): void;
  /** The session is gone: nothing goes to it any more, and nothing of it stays with the server. */
  detach(): void;
}

/** The answer to a request that was lost with its server. */
export function lostRequest(
  id: RequestId,
  method: string,
  { message, code, data: { exitCode = null, signal = null, outOfMemory } }: PoolError,
  more: Partial<LostRequestData> = {},
): JsonRpcMessage {
  const data: LostRequestData = {
    reason: code,
    retryable: isRepeatable(method),
    mayHaveRun: true,
    exitCode,
    signal,
    ...(outOfMemory ? { outOfMemory } : {}),
    ...more,
  };
  return errorFor(id, { code: CONNECTION_CLOSED, message, data });
}
