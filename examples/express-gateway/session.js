import { randomUUID } from 'node:crypto';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { EventStore } from './event-store.js';
import { OpenRequests } from './open-requests.js';
import { forUsers, Refusal } from './refusal.js';

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
  /** Connection → what the session had sent when its client last kept up with reading it, in bytes. */
  #connections = new Map();
  /** Messages that the server has not read. */
  #unread = 0;
  #sent;
  #limits;
  #isStarted = false;
  /** Whether its server got the first request. Before, the client does not learn the id. */
  #hasBegun = false;
  #isOver = false;
  #pool;
  #onEnd;
  /** Settles when everything that the server has sent so far is on its way to the client. */
  #delivered = Promise.resolve();

  constructor({ pool, user, server, limits, onEnd }) {
    this.#pool = pool;
    this.user = user;
    this.server = server;
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#sent = new EventStore(limits);
    this.#http = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => this.id,
      eventStore: this.#sent,
      retryInterval: RETRY_INTERVAL,
    });
  }

  get openRequests() {
    return this.#open.size;
  }

  /** No connection: its client may come back for an answer. */
  get isLeft() {
    return this.#isStarted && this.#connections.size === 0;
  }

  /** Nobody would miss it now: no connection, no answer that is still to come. */
  get isResting() {
    return this.isLeft && this.#open.size === 0;
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

  /** Answers one HTTP request of this session, with these ids of requests. */
  async handle(request, response, ids) {
    // The answer to one of two equal ids would be that of both, and the other stream stay open for ever.
    if (new Set(ids).size < ids.length || ids.some((id) => this.#open.has(id)))
      throw new Refusal(400, 'a request with this id is not answered yet', -32_600);
    const { unreadMessages } = this.#limits;
    if (this.#unread >= unreadMessages)
      throw new Refusal(429, `the server has not read the last ${unreadMessages} messages`);
    if (response.destroyed) return this.#left();
    const keepsUp = () => this.#connections.set(response, this.#sent.total);
    keepsUp();
    response.on('drain', keepsUp);
    response.once('close', () => {
      response.off('drain', keepsUp);
      this.#connections.delete(response);
      this.lastUsed = performance.now();
      this.#left();
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

  /** A first request that was refused, or whose client did not wait: nobody has learned the id. */
  #left() {
    if (!this.#hasBegun) void this.end();
  }

  #toServer(message, transport) {
    const { id, method, params } = message;
    this.#hasBegun = true;
    if (method !== undefined && id !== undefined) this.#open.add(message);
    this.#unread += 1;
    transport
      .send(message)
      .catch(({ code }) => {
        if (method !== undefined && id !== undefined) this.#answer(id, `The server did not get the request: ${code}.`);
      })
      .finally(() => {
        this.#unread -= 1;
      });
    // The server does not answer what was cancelled: the stream of that request would stay open for ever.
    if (method === 'notifications/cancelled') this.#answer(params?.requestId, 'The request was cancelled.');
  }

  #toClient(message) {
    const options = { relatedRequestId: this.#open.of(message) };
    if (message.method === undefined) this.#open.remove(message.id);
    // One after the other: the store of events answers later, and nothing may overtake.
    this.#delivered = this.#delivered
      .then(() => this.#http.send(forUsers(message), options))
      // The client has left, and cannot come back to this stream.
      .catch(() => {})
      .then(() => this.#cutOff());
  }

  /** What a client does not read waits in memory. One that does not keep up loses its connection, and may come back. */
  #cutOff() {
    for (const [response, sent] of this.#connections) {
      if (!response.writableNeedDrain) this.#connections.set(response, this.#sent.total);
      else if (this.#sent.total - sent > this.#limits.unreadMB * 1_048_576) response.destroy();
    }
  }

  /** Answers an open request in place of the server. */
  #answer(id, message) {
    if (this.#open.has(id)) this.#toClient({ jsonrpc: '2.0', id, error: { code: -32_000, message } });
  }
}
