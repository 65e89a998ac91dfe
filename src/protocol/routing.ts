import { namesOf, PoolError, type ServerNames, shownName } from '../errors.js';
import {
  CONNECTION_CLOSED,
  errorFor,
  isRepeatable,
  type JsonRpcMessage,
  type LostRequestData,
  REQUEST_TIMEOUT,
  type RequestId,
} from './json-rpc.js';
import type { ObservedRequest } from './request-observer.js';

/** How much of stderr the answer to a lost request carries, in characters: it may be sent on to a client far away. */
const LONGEST_TAIL = 8_192;
/** Largest number of requests of one session that are not answered. */
const MOST_OPEN = 100_000;
/** Most characters of their ids, methods and progress tokens, and of what they wish for: a client may choose any length. */
const MOST_CHARACTERS = 16 * 1_048_576;

/** Connects sessions with one server. */
export interface Routing {
  /** From now on `session` can send to the server, and receives what is meant for it. */
  attach(session: Endpoint): Attachment;
}

/** The client's end of a session: it takes the messages of the server. */
export interface Endpoint {
  receive(message: JsonRpcMessage): void;
  /** Something went wrong, and the session goes on. */
  report?(error: Error): void;
}

/** A session that is attached to a server. */
export interface Attachment {
  /** Number of requests of the session that are not answered yet. */
  readonly openRequests: number;
  /** Those requests, also the ones that wait for their turn. */
  requests(): Iterable<ObservedRequest>;
  send(message: JsonRpcMessage): Promise<void>;
  /** The session has lost its server: answers all its open requests with an error that says why. */
  fail(error: PoolError): void;
  /** The session has ended: it receives nothing more, and the server keeps nothing of it. */
  detach(): void;
}

/**
 * The answer to a request that was lost with its server, or that the server did not answer in time.
 * @param isMixed whether what the server wrote to stderr may be about other sessions than this one
 */
export function lostRequest(
  id: RequestId,
  method: string,
  { message, code, data: { exitCode = null, signal = null, outOfMemory, stderrTail } }: PoolError,
  isMixed: boolean,
  more: Partial<LostRequestData> = {},
): JsonRpcMessage {
  const data: LostRequestData = {
    reason: code,
    retryable: isRepeatable(method),
    mayHaveRun: true,
    exitCode,
    signal,
    ...(outOfMemory ? { outOfMemory } : {}),
    // What a server wrote to stderr is of interest when it failed, not when the pool has ended it.
    ...(code === 'SERVER_EXITED' && !isMixed && stderrTail ? { stderrTail: stderrTail.slice(-LONGEST_TAIL) } : {}),
    ...more,
  };
  return errorFor(id, { code: code === 'REQUEST_TIMEOUT' ? REQUEST_TIMEOUT : CONNECTION_CLOSED, message, data });
}

/** Whether a session may not send another request now. */
export function hasTooManyOpen(openRequests: number, nameCharacters: number): boolean {
  return openRequests >= MOST_OPEN || nameCharacters >= MOST_CHARACTERS;
}

/** The error of a request that is refused because of that. */
export function tooManyOpen(server: ServerNames): PoolError {
  const message = `a request to server '${shownName(server)}' was refused: ${MOST_OPEN} of this session wait for their answers already, or what they are known by (ids, methods, progress tokens, parameters of subscriptions and log levels) has ${MOST_CHARACTERS} characters; await some of them before you send more`;
  return new PoolError('BUFFER_FULL', message, namesOf(server));
}
