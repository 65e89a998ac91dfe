import type { HostHold } from '../config/host-hold.js';
import type { PoolError } from '../errors.js';
import type { Connection } from './connection.js';
import {
  CONNECTION_CLOSED,
  errorFor,
  isRepeatable,
  type JsonRpcMessage,
  property,
  type RequestId,
} from './json-rpc.js';

/** One end of a conversation with a server: a session, or the pool itself. */
export interface Endpoint {
  receive(message: JsonRpcMessage): void;
}

/** How messages find their way between one server and its sessions. */
export interface Routing {
  /** Requests of sessions that the server has not answered. */
  readonly openRequests: number;
  /** From now on what the server says goes to `session`. */
  attach(session: Endpoint): void;
  send(session: Endpoint, message: JsonRpcMessage): Promise<void>;
  receive(message: JsonRpcMessage): void;
  /** `session` is gone: nothing goes to it any more, and nothing of it stays with the server. */
  detach(session: Endpoint): void;
  /** The server is lost to the session: answers all its open requests with an error that says why. */
  fail(error: PoolError): void;
}

interface OpenRequest {
  readonly endpoint: Endpoint;
  /** As the session knows it; its type matters, 1 is not "1". */
  readonly id: RequestId;
  readonly method: string;
  readonly progressToken?: RequestId | undefined;
}

/** Requests that wait for an answer, by their id on the wire. While there is one, the host is held open. */
export class OpenRequests {
  readonly #requests = new Map<RequestId, OpenRequest>();
  readonly #hold: HostHold;
  /** The requests of this tick, which are written together. */
  #sending: { readonly sent: Promise<void> | undefined; readonly ids: RequestId[] } = { sent: undefined, ids: [] };

  constructor(hold: HostHold) {
    this.#hold = hold;
  }

  get size(): number {
    return this.#requests.size;
  }

  add(wireId: RequestId, request: OpenRequest): void {
    if (this.#requests.size === 0) this.#hold.take();
    this.#requests.set(wireId, request);
  }

  get(wireId: RequestId): OpenRequest | undefined {
    return this.#requests.get(wireId);
  }

  /** Sends the request of `wireId`. One that could not be sent is not open: its sender knows. */
  send(wireId: RequestId, connection: Connection, message: JsonRpcMessage): Promise<void> {
    try {
      const sent = connection.queue(message);
      if (sent !== this.#sending.sent) this.#sending = this.#watch(sent);
      this.#sending.ids.push(wireId);
      return sent;
    } catch (error) {
      this.take(wireId);
      return Promise.reject(error);
    }
  }

  /** All that is sent in one tick shares one promise, so one look at it does for all. */
  #watch(sent: Promise<void>): { readonly sent: Promise<void>; readonly ids: RequestId[] } {
    const ids: RequestId[] = [];
    sent.catch(() => {
      for (const id of ids) this.take(id);
    });
    return { sent, ids };
  }

  /** Takes a request out, because it was answered or given up. */
  take(wireId: RequestId): OpenRequest | undefined {
    const request = this.#requests.get(wireId);
    if (request !== undefined && this.#requests.delete(wireId) && this.#requests.size === 0) this.#hold.drop();
    return request;
  }

  /** The wire id of the newest request that `endpoint` knows as `id`. */
  find(endpoint: Endpoint, id: unknown): RequestId | undefined {
    let found: RequestId | undefined;
    for (const [wireId, request] of this.#requests) {
      if (request.id === id && request.endpoint === endpoint) found = wireId;
    }
    return found;
  }

  clear(): OpenRequest[] {
    const requests = [...this.#requests.values()];
    for (const wireId of [...this.#requests.keys()]) this.take(wireId);
    return requests;
  }

  /** Answers all with an error; `retryable` says for each whether it may be sent again to another process. */
  fail({ message, code, data: { exitCode = null, signal = null } }: PoolError): void {
    for (const { endpoint, id, method } of this.clear()) {
      const data = { reason: code, retryable: isRepeatable(method), exitCode, signal };
      endpoint.receive(errorFor(id, { code: CONNECTION_CLOSED, message, data }));
    }
  }
}

/**
 * One session for the whole life of the process, and nothing in between: every message passes unchanged, so every feature
 * of the protocol works. Requests are only counted.
 */
export class DirectRouting implements Routing {
  readonly #connection: Connection;
  readonly #open: OpenRequests;
  #session: Endpoint | undefined;

  constructor(connection: Connection, hold: HostHold) {
    this.#connection = connection;
    this.#open = new OpenRequests(hold);
  }

  get openRequests(): number {
    return this.#open.size;
  }

  attach(session: Endpoint): void {
    this.#session = session;
  }

  send(session: Endpoint, message: JsonRpcMessage): Promise<void> {
    const { id, method, params } = message;
    if (method === 'notifications/cancelled') this.#open.take(property(params, 'requestId') as RequestId);
    if (method === undefined || id === undefined || id === null) return this.#connection.send(message);
    this.#open.add(id, { endpoint: session, id, method });
    return this.#open.send(id, this.#connection, message);
  }

  receive(message: JsonRpcMessage): void {
    if (message.method === undefined && message.id !== undefined && message.id !== null) this.#open.take(message.id);
    this.#session?.receive(message);
  }

  detach(): void {
    this.#open.clear();
    this.#session = undefined;
  }

  fail(error: PoolError): void {
    this.#open.fail(error);
  }
}
