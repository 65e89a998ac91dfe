import type { JsonRpcMessage, JsonRpcRequest, RequestId } from '../json-rpc.js';
import type { Endpoint } from '../routing.js';
import type { Upstream } from './upstream.js';

/** Largest number of requests of a server that its session has not answered. */
const MOST_OPEN = 10_000;

const NO_CLIENT = 'no client is there to answer';

/** The requests that an exclusive server sent to its session, until that answers. */
export class ServerRequests {
  /** The process that sent each request, by the id of the request. */
  readonly #senders = new Map<RequestId, Upstream>();

  /** Passes a request of the server on to its session. */
  forward(message: JsonRpcRequest, upstream: Upstream, session: Endpoint | undefined): void {
    if (session === undefined) return upstream.refuse(message.id, NO_CLIENT);
    if (this.#senders.size >= MOST_OPEN) return upstream.refuse(message.id, 'too many requests are not answered yet');
    this.#senders.set(message.id, upstream);
    session.receive(message);
  }

  /** Passes the answer of the session on to the process that sent the request. */
  answer(message: JsonRpcMessage): Promise<void> {
    const sender = this.#senders.get(message.id as RequestId);
    this.#senders.delete(message.id as RequestId);
    // Without a sender, the request was cancelled, or was sent to an earlier session. The answer does not wait for its
    // turn: requests that have the turn before it may depend on it.
    return sender === undefined ? Promise.resolve() : sender.send(message);
  }

  /** The server has cancelled a request. False when it has not sent one with this id. */
  cancel(id: unknown): boolean {
    return this.#senders.delete(id as RequestId);
  }

  /** The session has ended. */
  refuseAll(): void {
    for (const [id, sender] of this.#senders) sender.refuse(id, NO_CLIENT);
    this.#senders.clear();
  }

  /** A process is lost, and does not need its answers any more. */
  lose(upstream: Upstream): void {
    for (const [id, sender] of this.#senders) if (sender === upstream) this.#senders.delete(id);
  }
}
