import type { JsonRpcMessage, JsonRpcRequest, RequestId } from '../json-rpc.js';
import type { Endpoint } from '../routing.js';
import type { Upstream } from './upstream.js';

/** Most requests of a server that its session has not answered. */
const MOST_ASKED = 10_000;

const NOBODY = 'no client is there to answer';

/** What an exclusive server has asked its session, until that answers. */
export class ServerRequests {
  /** Which process asked, by the id of the request. */
  readonly #askers = new Map<RequestId, Upstream>();

  ask(message: JsonRpcRequest, upstream: Upstream, session: Endpoint | undefined): void {
    if (session === undefined) return upstream.refuse(message.id, NOBODY);
    if (this.#askers.size >= MOST_ASKED) return upstream.refuse(message.id, 'too many requests are not answered yet');
    this.#askers.set(message.id, upstream);
    session.receive(message);
  }

  /** Brings an answer to the process that asked. */
  answer(message: JsonRpcMessage): Promise<void> {
    // An answer to nothing that this session was asked: it was given up, or asked of the session before.
    const asker = this.#askers.get(message.id as RequestId);
    this.#askers.delete(message.id as RequestId);
    // At once: whoever waits for its turn may wait for this.
    return asker === undefined ? Promise.resolve() : asker.send(message);
  }

  /** The server does not want an answer any more. False when it has not asked. */
  cancel(id: unknown): boolean {
    return this.#askers.delete(id as RequestId);
  }

  /** The session is gone. */
  refuseAll(): void {
    for (const [id, asker] of this.#askers) asker.refuse(id, NOBODY);
    this.#askers.clear();
  }

  /** A process is lost: nobody needs an answer. */
  lose(upstream: Upstream): void {
    for (const [id, asker] of this.#askers) if (asker === upstream) this.#askers.delete(id);
  }
}
