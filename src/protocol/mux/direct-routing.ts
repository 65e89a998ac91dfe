import type { PoolError } from '../../errors.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { MessageChannel } from '../channels/message-channel.js';
import { isRequest, type JsonRpcMessage, property, type RequestId } from '../json-rpc.js';
import { Loss } from '../loss.js';
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
  readonly #loss = new Loss();
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
    const sent = this.#channel.send(message);
    if (!isRequest(message)) return sent.catch(async (error) => Promise.reject(await this.#loss.explain(error)));
    const { id, method } = message;
    this.#add(id, method);
    return sent.catch(async (error) => {
      const reason = await this.#loss.explain(error);
      // A request that was answered with the reason is not rejected, too.
      if (this.#take(id)) throw reason;
    });
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
    this.#loss.set(error);
    for (const [id, method] of [...this.#open]) {
      this.#take(id);
      this.#session?.receive(lostRequest(id, method, error));
    }
  }

  detach(): void {
    this.#loss.set(undefined);
    for (const id of [...this.#open.keys()]) this.#take(id);
    this.#session = undefined;
  }

  #add(id: RequestId, method: string): void {
    if (this.#open.size === 0) this.#keepAlive.take();
    this.#open.set(id, method);
  }

  /** False if it is not open. */
  #take(id: RequestId): boolean {
    if (!this.#open.delete(id)) return false;
    if (this.#open.size === 0) this.#keepAlive.drop();
    return true;
  }
}
