import { randomUUID } from 'node:crypto';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { EventStore } from './event-store.js';
import { OpenRequests } from './open-requests.js';

/** Time after which a client that has lost its connection comes back, in ms. */
const RETRY_INTERVAL = 1_000;

/**
 * One session of one user with one server: the client's end (Streamable HTTP) and the server's end (a lease of the pool).
 * Messages pass as they are. When one end closes, so does the other.
 */
export class Session {
  /** Not to be guessed: it is the owner of the lease, too. */
  id = randomUUID();
  user;
  server;
  lastUsed = performance.now();
  #http;
  #open = new OpenRequests();
  #connections = 0;
  #isStarted = false;
  #isOver = false;
  #pool;
  #onEnd;
  /** Settles when everything that the server has sent so far is on its way to the client. */
  #delivered = Promise.resolve();

  constructor({ pool, user, server, limits, onEnd }) {
    this.#pool = pool;
    this.user = user;
    this.server = server;
    this.#onEnd = onEnd;
    this.#http = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => this.id,
      eventStore: new EventStore(limits),
      retryInterval: RETRY_INTERVAL,
    });
  }

  get openRequests() {
    return this.#open.size;
  }

  /** Nobody would miss it now: no connection, no answer that is still to come. */
  get isResting() {
    return this.#isStarted && this.#connections === 0 && this.#open.size === 0;
  }

  /** Waits for a server. Rejects with the `PoolError` when there is none; then the session is over. */
  async start(signal) {
    const { tenant } = this.user;
    try {
      const { transport } = await this.#pool.getServer(this.server, { tenant, owner: this.id, signal });
      this.#http.onmessage = (message) => this.#toServer(message, transport);
      this.#http.onclose = () => this.end();
      transport.onmessage = (message) => this.#toClient(message);
      transport.onclose = () => void this.end();
      await transport.start();
      this.#isStarted = true;
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  /** Answers one HTTP request of this session. */
  async handle(request, response) {
    if (response.destroyed) return;
    this.#connections += 1;
    response.once('close', () => {
      this.#connections -= 1;
      this.lastUsed = performance.now();
    });
    await this.#http.handleRequest(request, response, request.body);
  }

  /** Ends both ends; what the server has sent before reaches the client. */
  async end() {
    if (this.#isOver) return;
    this.#isOver = true;
    // Also ends the process that only this session could use, and a start that it still waits for.
    this.#pool.releaseOwner(this.id);
    this.#onEnd(this);
    // The pool has answered what the server did not; this is for the rest, so that no client waits for an answer.
    for (const id of this.#open.ids()) this.#answer(id, 'The session has ended.');
    await this.#delivered;
    await this.#http.close();
  }

  #toServer(message, transport) {
    const { id, method, params } = message;
    if (method !== undefined && id !== undefined) this.#open.add(message);
    transport.send(message).catch((error) => {
      if (method !== undefined && id !== undefined) this.#answer(id, error.message);
    });
    // The server does not answer what was cancelled: the stream of that request would stay open for ever.
    if (method === 'notifications/cancelled') this.#answer(params?.requestId, 'The request was cancelled.');
  }

  #toClient(message) {
    const options = { relatedRequestId: this.#open.of(message) };
    if (message.method === undefined) this.#open.remove(message.id);
    // One after the other: the store of events answers later, and nothing may overtake.
    this.#delivered = this.#delivered
      .then(() => this.#http.send(message, options))
      // The client has left, and cannot come back to this stream.
      .catch(() => {});
  }

  /** Answers an open request in place of the server. */
  #answer(id, message) {
    if (this.#open.has(id)) this.#toClient({ jsonrpc: '2.0', id, error: { code: -32_000, message } });
  }
}
