import type { PoolError, ServerNames } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { MessageChannel } from '../channels/message-channel.js';
import {
  type Answer,
  CONNECTION_CLOSED,
  errorFor,
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  METHOD_NOT_FOUND,
  NO_CLIENT,
  type RequestId,
  resultFor,
  withProgressToken,
} from '../json-rpc.js';
import { isRefusal, Loss } from '../loss.js';
import { GivenUp, type GivenUpCallbacks } from './given-up.js';
import type { OpenRequest, RequestTarget } from './member.js';
import { Notices } from './notices.js';
import { type OwnRequest, OwnRequests } from './own-requests.js';
import { RecentIds } from './recent-ids.js';

/** While more bytes than this wait for the server to read them, later messages wait for their turn in the backlog. */
const HIGH_WATER = 4 * 1_048_576;

/** What an {@link Upstream} calls with the messages of its process. */
export interface UpstreamCallbacks {
  onAnswer(request: OpenRequest, message: JsonRpcMessage): void;
  onRequest(message: JsonRpcRequest, upstream: Upstream): void;
  onNotification(message: JsonRpcMessage, upstream: Upstream): void;
  /** The process can take more than before. */
  onRoom(): void;
}

export interface UpstreamOptions {
  /** The client capabilities that the pool declared to the server. */
  readonly clientCapabilities: Readonly<Record<string, unknown>>;
  /** Largest number of requests of sessions that it is given at once. */
  readonly maxInFlight: number;
  readonly clock: Clock;
  /** `requestTimeout`, as it is now. */
  requestTimeout(): number;
  /** Whether sessions outlive the process: then a request that could not be written is not lost. */
  readonly sessionsStay: boolean;
}

/**
 * One process, as the multiplexer sees it. Requests get new ids on the wire, unique for the process and never used twice, so
 * that a late answer is never taken for the answer to another request.
 */
export class Upstream implements RequestTarget {
  readonly #channel: MessageChannel;
  readonly #options: UpstreamOptions;
  readonly clientCapabilities: UpstreamOptions['clientCapabilities'];
  /** Requests of sessions, by their ids on the wire. */
  readonly #open = new Map<RequestId, OpenRequest>();
  /** Requests of the pool itself. */
  readonly #own = new OwnRequests();
  #nextId = 1;
  /** The promise of the channel that the requests of one tick share, and that of their senders. */
  #sent: Promise<void> | undefined;
  #reported = Promise.resolve();
  #callbacks: UpstreamCallbacks | undefined;
  #isLost = false;
  readonly #loss = new Loss();
  readonly #notices = new Notices();
  readonly #late = new RecentIds();
  /** How many requests of sessions it has answered. */
  answers = 0;
  /** How many messages it has sent, and the clock time of the last one. */
  heard = 0;
  heardAt = -Infinity;
  readonly givenUp: GivenUp;
  /** Whether it has refused a request of the server. */
  hasRefused = false;
  /** What waits until the last open request is answered. */
  readonly #drainTasks: (() => void)[] = [];

  constructor(channel: MessageChannel, options: UpstreamOptions, givenUpCallbacks?: GivenUpCallbacks) {
    this.#channel = channel;
    this.#options = options;
    this.clientCapabilities = options.clientCapabilities;
    const unanswered = { open: this.#open, own: this.#own, isBounded: this.isBounded };
    this.givenUp = new GivenUp({ ...unanswered, expire: (id) => this.expire(id) }, givenUpCallbacks);
  }

  /** Starts to receive. `onClosed` is called when nothing can be sent to the process any more, although it may still run. */
  open(onClosed: (error: PoolError) => void, onNoise?: () => void): void {
    this.#channel.open({
      onMessage: (message) => this.#receive(message),
      onWritten: () => this.#callbacks?.onRoom(),
      ...{ onClosed, ...(onNoise && { onNoise }) },
    });
  }

  /** Sets the receiver of the messages of the process. Until then its requests are refused, and its notifications dropped. */
  connect(callbacks: UpstreamCallbacks): void {
    this.#callbacks = callbacks;
  }

  /** Ends the process because of a fault of this library. Returns the error that says so. */
  fail(cause: unknown): PoolError {
    return this.#channel.fail(cause);
  }

  get server(): ServerNames {
    return this.#channel.server;
  }

  /** How long it may work on one request, ms. */
  get requestTimeout(): number {
    return this.#options.requestTimeout();
  }

  get isBounded(): boolean {
    return this.#options.maxInFlight < Infinity;
  }

  /** Number of requests of sessions that the server has not answered. */
  get openRequests(): number {
    return this.#open.size;
  }

  /** Calls `task` when no request of a session is open: now or later. Not called when the process is lost before. */
  whenDrained(task: () => void): void {
    if (this.#open.size === 0) task();
    else this.#drainTasks.push(task);
  }

  /** Whether it may be given another request now. */
  get hasRoom(): boolean {
    return this.#open.size + this.#own.counted < this.#options.maxInFlight && this.canWrite;
  }

  /** Whether it reads what is sent to it. */
  get canWrite(): boolean {
    return this.#channel.backlog < HIGH_WATER;
  }

  /**
   * Sends a request of the pool itself. It does not keep the host alive.
   * @param onAnswer called once; with undefined if the process is lost before it answers
   * @param asker the request of a session that has caused it, and gets its progress
   * @returns its id on the wire
   */
  request(
    method: string,
    params: unknown,
    onAnswer: (answer: Answer | undefined) => void,
    asker?: OpenRequest,
  ): RequestId {
    return this.#sendOwn(method, params, { onAnswer, asker, isCounted: false });
  }

  /** Sends a request of the pool on behalf of a session. It counts for maxInFlight like a request of the session. */
  requestCounted(
    method: string,
    params: unknown,
    onAnswer: (answer: Answer | undefined) => void,
    asker?: OpenRequest,
  ): RequestId {
    const onDone = (answer: Answer | undefined) => {
      onAnswer(answer);
      this.#callbacks?.onRoom();
    };
    return this.#sendOwn(method, params, { onAnswer: onDone, asker, isCounted: true });
  }

  #sendOwn(method: string, params: unknown, request: OwnRequest): RequestId {
    const id = this.#nextId++;
    if (!this.#own.add(id, request)) return id;
    const hasToken = request.asker?.progressToken !== undefined;
    if (request.asker) request.asker.wireId = id;
    this.#notices.sentRequest(id);
    this.#channel.sendOwn({ jsonrpc: '2.0', id, method, params: hasToken ? withProgressToken(params, id) : params });
    return id;
  }

  /** A request of the pool itself was not answered for too long. It is answered with an error instead. */
  expire(id: RequestId): void {
    // One that was given up before tells nothing new of the process.
    if (!this.givenUp.has(id)) this.givenUp.add(id, this.#nextId);
    this.#late.add(id);
    this.#own.answer(id, { error: { code: CONNECTION_CLOSED, message: 'The server has not answered in time' } });
  }

  /** Sends a message of the pool, unless the server does not read: it could make the pool write without limit. */
  write(message: JsonRpcMessage): void {
    if (!this.canWrite) return;
    this.#notices.sent(message);
    this.#channel.sendOwn(message);
  }

  /** Refuses a request of the server. */
  refuse(id: RequestId, message: string): void {
    this.hasRefused = true;
    this.write(errorFor(id, { code: METHOD_NOT_FOUND, message }));
  }

  /** Sends a notification or an answer of a session. */
  send(message: JsonRpcMessage): Promise<void> {
    this.#notices.sent(message);
    return this.#channel.send(message).catch(async (error: unknown) => {
      if (!this.#options.sessionsStay || isRefusal(error)) throw await this.#loss.explain(error);
    });
  }

  /**
   * Sends a request of a session, with a new id and a new progress token.
   * @throws PoolError or TypeError when it cannot be sent at all; then it is not open here
   */
  forward(request: OpenRequest): Promise<void> {
    const wireId = this.#nextId++;
    const { message } = request;
    const params = request.progressToken === undefined ? message.params : withProgressToken(message.params, wireId);
    const sent = this.#channel.queue({ ...message, id: wireId, params });
    this.#notices.sentRequest(wireId);
    request.upstream = this;
    request.wireId = wireId;
    this.#open.set(wireId, request);
    // If it cannot be written it is lost with the process. The end of that decides what happens to it.
    if (sent !== this.#sent) this.#reported = sent.catch(() => {});
    this.#sent = sent;
    return this.#reported;
  }

  /** The answer to a request that was sent is not wanted any more. */
  giveUp({ wireId }: OpenRequest): void {
    this.givenUp.add(wireId, this.#nextId);
  }

  /** The answer to a request of the pool, which was sent for `asker` or for none, is not wanted any more. */
  giveUpOwn(id: RequestId, asker?: OpenRequest): void {
    if (this.#own.isFor(id, asker)) this.givenUp.add(id, this.#nextId);
  }

  /** Removes an open request that was given up. */
  take(request: OpenRequest): void {
    if (!this.#open.delete(request.wireId)) return;
    this.#late.add(request.wireId);
    this.#checkDrained();
  }

  /** The open request with this progress token. */
  byToken(token: RequestId | undefined): OpenRequest | undefined {
    return token === undefined ? undefined : (this.#open.get(token) ?? this.#own.asker(token));
  }

  /** The process is lost. Returns the requests that it has not answered, oldest first. */
  lose(error: PoolError): OpenRequest[] {
    this.#loss.set(error);
    this.#isLost = true;
    const requests = [...this.#open.values()];
    this.#open.clear();
    this.#own.lose();
    return requests;
  }

  #receive(message: JsonRpcMessage): void {
    this.heard += 1;
    this.heardAt = this.#options.clock.now();
    if (message.method === undefined) return this.#receiveAnswer(message);
    if (!isRequest(message)) return this.#callbacks?.onNotification(message, this);
    if (message.method === 'ping') return this.write(resultFor(message.id, {}));
    if (this.#callbacks === undefined) return this.refuse(message.id, NO_CLIENT);
    this.#callbacks.onRequest(message, this);
  }

  #receiveAnswer(message: JsonRpcMessage): void {
    const wireId = this.#notices.idOf(message, this.#open, this.#own);
    this.#notices.answered(wireId);
    const request = this.#open.get(wireId);
    if (request !== undefined) {
      this.#deliver(request, message);
    } else if (!this.#own.answer(wireId, message) && !this.#isLost && !this.#late.take(wireId)) {
      this.#channel.noise.answer(message);
    }
    if (this.givenUp.any) this.givenUp.answered(wireId);
  }

  #deliver(request: OpenRequest, message: JsonRpcMessage): void {
    const { wireId } = request;
    this.#open.delete(wireId);
    this.answers += 1;
    try {
      this.#callbacks?.onAnswer(request, message);
    } catch (fault) {
      // The request was not answered: it is lost with the others.
      this.#open.set(wireId, request);
      throw fault;
    }
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#open.size > 0 || this.#drainTasks.length === 0) return;
    for (const task of this.#drainTasks.splice(0)) task();
  }
}
