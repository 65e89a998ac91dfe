import type { HostHold } from '../config/host-hold.js';
import type { PoolError } from '../errors.js';
import type { Connection } from './connection.js';
import { answerVersion, type InitializeResult } from './handshake.js';
import {
  errorFor,
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  METHOD_NOT_FOUND,
  notification,
  property,
  type RequestId,
  resultFor,
} from './json-rpc.js';
import { type Endpoint, OpenRequests, type Routing } from './routing.js';

/**
 * Sessions that follow each other on one process. Ids on the wire are the pool's own and never given twice, so that a late
 * answer to one session is never taken for an answer to the next. What concerns the process rather than the session
 * (`initialize`, `ping`) is answered here.
 */
export class RemappedRouting implements Routing {
  readonly #connection: Connection;
  readonly #open: OpenRequests;
  /** The pool's own requests, whose answers concern no session. */
  readonly #own = new Map<RequestId, (answer: JsonRpcMessage) => void>();
  #nextId = 1;
  #initialized: InitializeResult | undefined;
  #session: Endpoint | undefined;
  /** Requests of the server that the session has not answered. */
  readonly #asked = new Set<RequestId>();
  /** Resources that the session has subscribed to. */
  readonly #subscribed = new Set<string>();

  constructor(connection: Connection, hold: HostHold) {
    this.#connection = connection;
    this.#open = new OpenRequests(hold);
  }

  get openRequests(): number {
    return this.#open.size;
  }

  /** Sends a request of the pool itself; does not hold the host open. */
  request(method: string, params: unknown, onAnswer: (answer: JsonRpcMessage) => void): void {
    const id = this.#nextId++;
    this.#own.set(id, onAnswer);
    this.#write({ jsonrpc: '2.0', id, method, params });
  }

  /** Completes the handshake: `initialize` of any session is answered with `result` from now on. */
  initialized(result: InitializeResult): void {
    this.#initialized = result;
    this.#write(notification('notifications/initialized', undefined));
  }

  attach(session: Endpoint): void {
    this.#session = session;
  }

  send(session: Endpoint, message: JsonRpcMessage): Promise<void> {
    if (isRequest(message)) return this.#sendRequest(session, message);
    if (message.method !== undefined) return this.#sendNotification(session, message);
    // An answer to nothing the server asked this session: it was given up, or asked of the session before.
    if (!this.#asked.delete(message.id as RequestId)) return Promise.resolve();
    return this.#connection.send(message);
  }

  #sendRequest(session: Endpoint, message: JsonRpcRequest): Promise<void> {
    const local = this.#answerLocally(message);
    if (local !== undefined) {
      // Not before `send` returned: the client is not ready for the answer yet.
      queueMicrotask(() => session.receive(local));
      return Promise.resolve();
    }
    const { id, method, params } = message;
    const wireId = this.#nextId++;
    if (method === 'resources/subscribe') this.#subscribed.add(String(property(params, 'uri')));
    else if (method === 'resources/unsubscribe') this.#subscribed.delete(String(property(params, 'uri')));
    const meta = property(params, '_meta');
    const progressToken = meta === undefined ? undefined : (property(meta, 'progressToken') as RequestId | undefined);
    this.#open.add(wireId, { endpoint: session, id, method, progressToken });
    const wireParams =
      progressToken === undefined
        ? params
        : { ...(params as object), _meta: { ...(meta as object), progressToken: wireId } };
    return this.#open.send(wireId, this.#connection, { ...message, id: wireId, params: wireParams });
  }

  #answerLocally({ id, method, params }: JsonRpcRequest): JsonRpcMessage | undefined {
    switch (method) {
      case 'initialize': {
        if (this.#initialized === undefined) return undefined;
        const protocolVersion = answerVersion(property(params, 'protocolVersion'), this.#initialized.protocolVersion);
        // A copy: what one client does to it must not reach the next.
        return resultFor(id, { ...structuredClone(this.#initialized), protocolVersion });
      }
      case 'ping':
        return resultFor(id, {});
      case 'server/discover':
        // A process that was initialized speaks the legacy era; a client of both eras falls back on this answer.
        return errorFor(id, { code: METHOD_NOT_FOUND, message: 'Method not found' });
      default:
        return undefined;
    }
  }

  #sendNotification(session: Endpoint, message: JsonRpcMessage): Promise<void> {
    if (message.method === 'notifications/initialized') return Promise.resolve();
    if (message.method !== 'notifications/cancelled') return this.#connection.send(message);
    const requestId = this.#open.find(session, property(message.params, 'requestId'));
    if (requestId === undefined) return Promise.resolve();
    // The server owes no answer any more; one that comes all the same finds nobody.
    this.#open.take(requestId);
    return this.#connection.send({ ...message, params: { ...(message.params as object), requestId } });
  }

  receive(message: JsonRpcMessage): void {
    if (message.method === undefined) this.#receiveAnswer(message);
    else if (isRequest(message)) this.#receiveRequest(message);
    else this.#receiveNotification(message);
  }

  #receiveAnswer(message: JsonRpcMessage): void {
    const wireId = message.id as RequestId;
    const request = this.#open.take(wireId);
    if (request !== undefined) {
      // The message was parsed for this one receiver, so it can be changed in place.
      (message as { id: RequestId }).id = request.id;
      request.endpoint.receive(message);
      return;
    }
    const onAnswer = this.#own.get(wireId);
    this.#own.delete(wireId);
    onAnswer?.(message);
  }

  #receiveRequest(message: JsonRpcRequest): void {
    if (message.method === 'ping') return this.#write(resultFor(message.id, {}));
    if (this.#session === undefined) return this.#refuse(message.id);
    this.#asked.add(message.id);
    this.#session.receive(message);
  }

  #receiveNotification(message: JsonRpcMessage): void {
    if (message.method === 'notifications/progress') {
      const request = this.#open.get(property(message.params, 'progressToken') as RequestId);
      if (request?.progressToken === undefined) return;
      const params = { ...(message.params as object), progressToken: request.progressToken };
      return request.endpoint.receive({ ...message, params });
    }
    if (message.method === 'notifications/cancelled') {
      this.#asked.delete(property(message.params, 'requestId') as RequestId);
    }
    this.#session?.receive(message);
  }

  detach(): void {
    this.#open.clear();
    for (const id of this.#asked) this.#refuse(id);
    this.#asked.clear();
    for (const uri of this.#subscribed) this.request('resources/unsubscribe', { uri }, () => {});
    this.#subscribed.clear();
    this.#session = undefined;
  }

  fail(error: PoolError): void {
    this.#open.fail(error);
  }

  #refuse(id: RequestId): void {
    this.#write(errorFor(id, { code: METHOD_NOT_FOUND, message: 'no client is there to answer' }));
  }

  /** For messages of the pool: if they cannot be written, the connection tells of it by itself. */
  #write(message: JsonRpcMessage): void {
    this.#connection.send(message).catch(() => {});
  }
}
