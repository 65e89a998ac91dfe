import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { MessageChannel } from '../channels/message-channel.js';
import {
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  notification,
  otherForm,
  property,
  type RequestId,
} from '../json-rpc.js';
import { Loss } from '../loss.js';
import { RequestDeadlines, requestTimedOut, type WrittenRequest } from '../request-deadlines.js';
import {
  type ObservedRequest,
  outcomeOfLoss,
  type RequestObserver,
  type RequestOutcome,
  toolOf,
} from '../request-observer.js';
import { type Attachment, type Endpoint, hasTooManyOpen, lostRequest, type Routing, tooManyOpen } from '../routing.js';
import { Notices } from './notices.js';
import { RecentIds } from './recent-ids.js';

export interface DirectRoutingDeps {
  readonly channel: MessageChannel;
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
  readonly observer: RequestObserver;
  /** `requestTimeout`, as it is now. */
  requestTimeout(): number;
  onClosed(error: PoolError): void;
  onNoise?(): void;
}

/**
 * The routing of a dedicated server: one session for the whole life of the process. Every message passes unchanged, so that
 * every feature of the protocol works. Requests are only counted: while one is open, the host is kept alive.
 */
export class DirectRouting implements Routing, Attachment {
  readonly #deps: DirectRoutingDeps;
  readonly #channel: MessageChannel;
  /** The open requests, by their ids. */
  readonly #open = new Map<RequestId, DirectRequest>();
  readonly #deadlines: RequestDeadlines<DirectRequest>;
  /** Characters of these ids and methods. */
  #nameCharacters = 0;
  readonly #loss = new Loss();
  readonly #notices = new Notices();
  readonly #givenUp = new RecentIds();
  #session: Endpoint | undefined;
  /** How many answers the server has sent. */
  answers = 0;
  /** How many messages it has sent, and the clock time of the last one. */
  heard = 0;
  heardAt = -Infinity;

  constructor(deps: DirectRoutingDeps) {
    const { channel, clock, requestTimeout: timeout } = deps;
    this.#deps = deps;
    this.#channel = channel;
    this.#deadlines = new RequestDeadlines({ clock, timeout, onLate: (request) => this.#timeOut(request) });
  }

  get openRequests(): number {
    return this.#open.size;
  }

  /** Its open requests, oldest first. */
  requests(): Iterable<ObservedRequest> {
    return this.#open.values();
  }

  /** The server is not read before its client is there, so that no early message is lost. */
  attach(session: Endpoint): Attachment {
    const { onClosed, onNoise } = this.#deps;
    this.#session = session;
    this.#channel.open({
      onMessage: (message) => this.#receive(message),
      onWritten: () => {},
      onClosed,
      ...(onNoise && { onNoise }),
    });
    const { noise, server } = this.#channel;
    noise.onLine = (line) => this.#session?.report?.(invalidMessage(server, line));
    return this;
  }

  send(message: JsonRpcMessage): Promise<void> {
    if (hasTooManyOpen(this.#open.size, this.#nameCharacters) && isRequest(message)) {
      return Promise.reject(tooManyOpen(this.#channel.server));
    }
    // First: to read a message of a client may throw.
    const request = isRequest(message) ? new DirectRequest(message, this.#deps.clock.now()) : undefined;
    this.#notices.sent(message);
    if (message.method === 'notifications/cancelled') this.#giveUp(property(message.params, 'requestId') as RequestId);
    const sent = this.#channel.send(message);
    if (request === undefined) return sent.catch(async (error) => Promise.reject(await this.#loss.explain(error)));
    this.#add(request);
    // Its client alone may give that up, and the protocol forbids to cancel it: `startTimeout` of the client counts.
    if (request.method !== 'initialize') this.#deadlines.written(request);
    const { observer } = this.#deps;
    if (observer.hearsStarts) observer.requestSent(request, this.#channel.server);
    request.meta = undefined;
    return sent.catch(async (error) => {
      const reason = await this.#loss.explain(error);
      // A request that was answered with the reason is not rejected, too.
      if (this.#end(request.id, 'lost')) throw reason;
    });
  }

  #receive(message: JsonRpcMessage): void {
    this.heard += 1;
    this.heardAt = this.#deps.clock.now();
    if (message.method !== undefined) return this.#session?.receive(message);
    this.answers += 1;
    const id = this.#idOf(message);
    if (id === undefined) return this.#receiveUnmatched(message);
    // The client may know no other form of it.
    if (id !== message.id) (message as { id: RequestId }).id = id;
    this.#notices.answered(id);
    const request = this.#take(id);
    try {
      this.#session?.receive(message);
    } catch (fault) {
      // The request was not answered: it is lost with the others.
      if (request !== undefined) this.#add(request);
      throw fault;
    }
    const { observer } = this.#deps;
    if (request && observer.isActive) observer.requestAnswered(request, this.#channel.server, message);
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
    if (this.#end(id, 'cancelled')) this.#givenUp.add(id);
  }

  /** The server has not answered in time: it gets a cancellation, and the client an error. */
  #timeOut(request: DirectRequest): void {
    const { id, method } = request;
    const { server } = this.#channel;
    const error = requestTimedOut(server, request, this.#deps.clock.now() - request.writtenAt);
    if (!this.#end(id, 'timeout')) return;
    this.#givenUp.add(id);
    const reason = 'it was not answered in time';
    this.#channel.sendOwn(notification('notifications/cancelled', { requestId: id, reason }));
    this.#session?.receive(lostRequest(id, method, error, false));
  }

  fail(error: PoolError): void {
    this.#loss.set(error);
    for (const { id, method } of [...this.#open.values()]) {
      this.#end(id, outcomeOfLoss(error));
      this.#session?.receive(lostRequest(id, method, error, false));
    }
  }

  detach(): void {
    this.#loss.set(undefined);
    for (const id of [...this.#open.keys()]) this.#end(id, 'cancelled');
    this.#session = undefined;
  }

  #add(request: DirectRequest): void {
    if (this.#open.size === 0) this.#deps.keepAlive.take();
    this.#nameCharacters -= this.#open.get(request.id)?.nameCharacters ?? 0;
    this.#open.set(request.id, request);
    this.#nameCharacters += request.nameCharacters;
  }

  /** Undefined if it is not open. */
  #take(id: RequestId): DirectRequest | undefined {
    const request = this.#open.get(id);
    if (request === undefined) return undefined;
    this.#open.delete(id);
    this.#nameCharacters -= request.nameCharacters;
    this.#deadlines.over(request);
    if (this.#open.size === 0) this.#deps.keepAlive.drop();
    return request;
  }

  /** False if it is not open. */
  #end(id: RequestId, outcome: RequestOutcome): boolean {
    const request = this.#take(id);
    const { observer } = this.#deps;
    if (request && observer.isActive) observer.requestEnded(request, this.#channel.server, outcome, undefined);
    return request !== undefined;
  }
}

/** An open request of the one session. */
class DirectRequest implements ObservedRequest, WrittenRequest {
  readonly id: RequestId;
  readonly method: string;
  readonly tool: string | undefined;
  readonly since: number;
  /** Only until it was sent: the client may choose any size. */
  meta: unknown;
  writtenAt = 0;

  constructor({ id, method, params }: JsonRpcRequest, since: number) {
    this.id = id;
    this.method = method;
    this.tool = toolOf(method, params);
    this.since = since;
    this.meta = property(params, '_meta');
  }

  /** Characters that are kept of it: the client may choose any length. */
  get nameCharacters(): number {
    return this.method.length + (this.tool?.length ?? 0) + (typeof this.id === 'string' ? this.id.length : 0);
  }
}

/** A line of a server that is no message: its client can show it. */
function invalidMessage(server: ServerNames, line: string): PoolError {
  const message = `server '${shownName(server)}' wrote a line to stdout that is no JSON-RPC message, and was skipped: ${line}`;
  return new PoolError('INVALID_MESSAGE', message, { ...namesOf(server), dropped: [line] });
}
