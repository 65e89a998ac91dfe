import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { MessageChannel } from '../channels/message-channel.js';
import { isRequest, type JsonRpcMessage, otherForm, property, type RequestId } from '../json-rpc.js';
import { Loss } from '../loss.js';
import { type Attachment, type Endpoint, hasTooManyOpen, lostRequest, type Routing, tooManyOpen } from '../routing.js';
import { Notices } from './notices.js';
import { RecentIds } from './recent-ids.js';

/**
 * The routing of a dedicated server: one session for the whole life of the process. Every message passes unchanged, so that
 * every feature of the protocol works. Requests are only counted: while one is open, the host is kept alive.
 */
export class DirectRouting implements Routing, Attachment {
  readonly #channel: MessageChannel;
  readonly #keepAlive: KeepAlive;
  readonly #onClosed: (error: PoolError) => void;
  readonly #onNoise: (() => void) | undefined;
  /** The method of each open request, by its id. */
  readonly #open = new Map<RequestId, string>();
  /** Characters of these ids and methods. */
  #nameCharacters = 0;
  readonly #loss = new Loss();
  readonly #notices = new Notices();
  readonly #givenUp = new RecentIds();
  #session: Endpoint | undefined;
  /** How many answers the server has sent. */
  answers = 0;

  constructor(
    channel: MessageChannel,
    keepAlive: KeepAlive,
    onClosed: (error: PoolError) => void,
    onNoise?: () => void,
  ) {
    this.#onNoise = onNoise;
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
      ...(this.#onNoise && { onNoise: this.#onNoise }),
    });
    const { noise, server } = this.#channel;
    noise.onLine = (line) => this.#session?.report?.(invalidMessage(server, line));
    return this;
  }

  send(message: JsonRpcMessage): Promise<void> {
    if (hasTooManyOpen(this.#open.size, this.#nameCharacters) && isRequest(message)) {
      return Promise.reject(tooManyOpen(this.#channel.server));
    }
    this.#notices.sent(message);
    if (message.method === 'notifications/cancelled') this.#giveUp(property(message.params, 'requestId') as RequestId);
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
    this.answers += 1;
    const id = this.#idOf(message);
    if (id === undefined) return this.#receiveUnmatched(message);
    // The client may know no other form of it.
    if (id !== message.id) (message as { id: RequestId }).id = id;
    this.#notices.answered(id);
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

  /** The open request that an answer belongs to, where it can belong to one only. */
  #idOf({ id }: JsonRpcMessage): RequestId | undefined {
    if (id === undefined || id === null) {
      const [only] = this.#open.keys();
      return this.#open.size === 1 && this.#notices.areRead ? only : undefined;
    }
    if (this.#open.has(id)) return id;
    const other = otherForm(id);
    return this.#open.has(other) ? other : undefined;
  }

  /** Its client may know more of it. */
  #receiveUnmatched(message: JsonRpcMessage): void {
    const { id } = message;
    const isLate = id !== undefined && id !== null && (this.#givenUp.take(id) || this.#givenUp.take(otherForm(id)));
    if (!isLate && this.#session !== undefined) this.#channel.noise.answer(message);
    this.#session?.receive(message);
  }

  #giveUp(id: RequestId): void {
    if (this.#take(id)) this.#givenUp.add(id);
  }

  fail(error: PoolError): void {
    this.#loss.set(error);
    for (const [id, method] of [...this.#open]) {
      this.#take(id);
      this.#session?.receive(lostRequest(id, method, error, false));
    }
  }

  detach(): void {
    this.#loss.set(undefined);
    for (const id of [...this.#open.keys()]) this.#take(id);
    this.#session = undefined;
  }

  #add(id: RequestId, method: string): void {
    if (this.#open.size === 0) this.#keepAlive.take();
    this.#nameCharacters -= lengthOf(id, this.#open.get(id));
    this.#open.set(id, method);
    this.#nameCharacters += lengthOf(id, method);
  }

  /** False if it is not open. */
  #take(id: RequestId): boolean {
    this.#nameCharacters -= lengthOf(id, this.#open.get(id));
    if (!this.#open.delete(id)) return false;
    if (this.#open.size === 0) this.#keepAlive.drop();
    return true;
  }
}

/** Characters of a request that is open under this id; 0 if none is. */
function lengthOf(id: RequestId, method: string | undefined): number {
  return method === undefined ? 0 : method.length + (typeof id === 'string' ? id.length : 0);
}

/** A line of a server that is no message: its client can show it. */
function invalidMessage(server: ServerNames, line: string): PoolError {
  const message = `server '${shownName(server)}' wrote a line to stdout that is no JSON-RPC message, and was skipped: ${line}`;
  return new PoolError('INVALID_MESSAGE', message, { ...namesOf(server), dropped: [line] });
}
