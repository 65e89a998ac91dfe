import type { PoolError } from '../../errors.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { MessageChannel } from '../channels/message-channel.js';
import { isRequest, type JsonRpcMessage, property, type RequestId } from '../json-rpc.js';
import { type Attachment, type Endpoint, lostRequest, type Routing } from '../routing.js';

/**
 * The routing of a dedicated server: one session for the whole life of the process. Every message passes unchanged, so that
 * every feature of the protocol works. Requests are only counted: while one is open, the host is kept alive.
 */
export class DirectRouting implements Routing, Attachment {
  readonly #channel: MessageChannel;
  readonly #keepAlive: KeepAlive;
  readonly #onClosed: (error: PoolError) => void;
  /** The method of each open request, by its id. */
  readonly #open = new Map<RequestId, string>();
  #session: Endpoint | undefined;
  /** Whether the server has answered a request. */
  answered = false;

  constructor(channel: MessageChannel, keepAlive: KeepAlive, onClosed: (error: PoolError) => void) {
    this.#channel = channel;
    this.#keepAlive = keepAlive;
    this.#onClosed = onClosed;
  }

  get openRequests(): number {
    return this.#open.size;
  }

  /** The server is not read before its client is there, so that no early message is lost. */
  attach(session: Endpoint): Attachment {
    this.#session = session;
    this.#channel.open({
      onMessage: (message) => this.#receive(message),
      onWritten: () => {},
      onClosed: this.#onClosed,
    });
    return this;
  }

  send(message: JsonRpcMessage): Promise<void> {
    if (message.method === 'notifications/cancelled') this.#take(property(message.params, 'requestId') as RequestId);
    if (!isRequest(message)) return this.#channel.send(message);
    const { id, method } = message;
    this.#add(id, method);
    const sent = this.#channel.send(message);
    // The sender has the error, and waits for no answer.
    sent.catch(() => this.#take(id));
    return sent;
  }

  #receive(message: JsonRpcMessage): void {
    if (message.method !== undefined) return this.#session?.receive(message);
    this.answered = true;
    const id = message.id as RequestId;
    const method = this.#open.get(id);
    this.#take(id);
    try {
      this.#session?.receive(message);
    } catch (fault) {
      // The request was not answered: it is lost with the others.
      if (method !== undefined) this.#add(id, method);
      throw fault;
    }
  }

  fail(error: PoolError): void {
    for (const [id, method] of [...this.#open]) {
      this.#take(id);
      this.#session?.receive(lostRequest(id, method, error));
    }
  }

  detach(): void {
    for (const id of [...this.#open.keys()]) this.#take(id);
    this.#session = undefined;
  }

  #add(id: RequestId, method: string): void {
    if (this.#open.size === 0) this.#keepAlive.take();
    this.#open.set(id, method);
  }

  #take(id: RequestId): void {
    if (this.#open.delete(id) && this.#open.size === 0) this.#keepAlive.drop();
  }
}
