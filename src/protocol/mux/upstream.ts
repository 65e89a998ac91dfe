import { PoolError } from '../../errors.js';
import type { MessageChannel } from '../channels/message-channel.js';
import {
  type Answer,
  CONNECTION_CLOSED,
  errorFor,
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  METHOD_NOT_FOUND,
  property,
  type RequestId,
  resultFor,
} from '../json-rpc.js';
import type { Carrier, OpenRequest } from './member.js';

/** While so much waits for a server to read it, what comes later waits for its turn instead, bytes. */
const HIGH_WATER = 4 * 1_048_576;
/** Most requests of the pool that a server leaves unanswered. */
const MOST_OWN = 100_000;

/** Who hears what a server says of itself, or to its clients. */
export interface UpstreamReceiver {
  answered(request: OpenRequest, message: JsonRpcMessage): void;
  asked(message: JsonRpcRequest, upstream: Upstream): void;
  told(message: JsonRpcMessage, upstream: Upstream): void;
  /** It can take more than before. */
  roomAgain(): void;
}

export interface UpstreamOptions {
  /** What the pool declared to it. */
  readonly clientCapabilities: Readonly<Record<string, unknown>>;
  /** Most requests of sessions that it is given at once. */
  readonly maxInFlight: number;
  /** Whether sessions outlive the process: a request that could not be written is not lost then. */
  readonly sessionsStay: boolean;
}

interface Batch {
  readonly sent: Promise<void> | undefined;
  /** The same, as the senders see it. */
  readonly told: Promise<void>;
  /** Undefined where nothing is to be done for them. */
  readonly requests: OpenRequest[] | undefined;
}

/**
 * One process as its sessions reach it. Ids on the wire are the pool's own, unique for the process, and never given twice:
 * a late answer to one request is never taken for an answer to another.
 */
export class Upstream implements Carrier {
  readonly #channel: MessageChannel;
  readonly #options: UpstreamOptions;
  readonly #open = new Map<RequestId, OpenRequest>();
  /** The pool's own requests, whose answers concern no session. */
  readonly #own = new Map<RequestId, (answer: Answer | undefined) => void>();
  /** How many of them count as requests of sessions. */
  #counted = 0;
  #nextId = 1;
  /** The requests of this tick, which are written together. */
  #batch: Batch = { sent: undefined, told: Promise.resolve(), requests: [] };
  #receiver: UpstreamReceiver | undefined;
  /** Whether it has answered a request of a session. */
  answered = false;
  /** Called when the last open request was answered. */
  onDrained: (() => void) | undefined;

  constructor(channel: MessageChannel, options: UpstreamOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  /** Starts to receive. `onClosed` is called when nothing can be sent to the process any more, although it may still run. */
  open(onClosed: (error: PoolError) => void): void {
    this.#channel.open({
      onMessage: (message) => this.#receive(message),
      onWritten: () => this.#receiver?.roomAgain(),
      onClosed,
    });
  }

  /** Ends it because of a fault of this library. Returns the error that says so. */
  fail(cause: unknown): PoolError {
    return this.#channel.fail(cause);
  }

  /** Who is told what the server says from now on. Until then its requests are refused, and its news dropped. */
  connect(receiver: UpstreamReceiver): void {
    this.#receiver = receiver;
  }

  get clientCapabilities(): Readonly<Record<string, unknown>> {
    return this.#options.clientCapabilities;
  }

  /** Whether it is given few requests at once. */
  get isBounded(): boolean {
    return this.#options.maxInFlight < Infinity;
  }

  /** Requests of sessions that the server has not answered. */
  get openRequests(): number {
    return this.#open.size;
  }

  /** Whether it may be given another request now. */
  get hasRoom(): boolean {
    return this.#open.size + this.#counted < this.#options.maxInFlight && this.canWrite;
  }

  /** Whether it reads what it is sent. */
  get canWrite(): boolean {
    return this.#channel.backlog < HIGH_WATER;
  }

  /**
   * Sends a request of the pool itself; does not hold the host open.
   * @param onAnswer called once, with undefined when the server is lost before it answers
   */
  request(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    const id = this.#nextId++;
    if (this.#own.size > MOST_OWN) {
      const message = 'The server does not answer what it was asked before';
      return onAnswer({ error: { code: CONNECTION_CLOSED, message } });
    }
    this.#own.set(id, onAnswer);
    this.#channel.sendOwn({ jsonrpc: '2.0', id, method, params });
  }

  /** The same for what a session has asked for all: it counts as a request of a session, as far as room is concerned. */
  requestCounted(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    this.#counted += 1;
    this.request(method, params, (answer) => {
      this.#counted -= 1;
      onAnswer(answer);
      this.#receiver?.roomAgain();
    });
  }

  /** For messages of the pool. A server that does not read is told nothing more: it could make us say ever more. */
  write(message: JsonRpcMessage): void {
    if (this.canWrite) this.#channel.sendOwn(message);
  }

  /** Refuses a request of the server. */
  refuse(id: RequestId, message: string): void {
    this.write(errorFor(id, { code: METHOD_NOT_FOUND, message }));
  }

  /** Sends what needs no answer. */
  send(message: JsonRpcMessage): Promise<void> {
    const sent = this.#channel.send(message);
    if (!this.#options.sessionsStay) return sent;
    return sent.catch((error: unknown) => {
      if (isRefusal(error)) throw error;
    });
  }

  /**
   * Sends a request of a session under an id of its own, with a progress token of its own.
   * @throws PoolError or TypeError when it cannot be sent at all; then it is not open here
   */
  forward(request: OpenRequest): Promise<void> {
    const wireId = this.#nextId++;
    const { message } = request;
    const params = request.progressToken === undefined ? message.params : withProgressToken(message.params, wireId);
    const sent = this.#channel.queue({ ...message, id: wireId, params });
    request.upstream = this;
    request.wireId = wireId;
    this.#open.set(wireId, request);
    if (sent !== this.#batch.sent) this.#batch = this.#watch(sent);
    this.#batch.requests?.push(request);
    return this.#batch.told;
  }

  /** Takes an open request out, because it was answered or given up. */
  take(request: OpenRequest): void {
    if (this.#open.delete(request.wireId) && this.#open.size === 0) this.onDrained?.();
  }

  /** What the request with this progress token is; undefined once it was answered. */
  byToken(token: unknown): OpenRequest | undefined {
    return this.#open.get(token as RequestId);
  }

  /** The process is lost: returns the requests that it has not answered, oldest first. */
  lose(): OpenRequest[] {
    const requests = [...this.#open.values()];
    const own = [...this.#own.values()];
    this.#open.clear();
    this.#own.clear();
    for (const onAnswer of own) onAnswer(undefined);
    return requests;
  }

  #receive(message: JsonRpcMessage): void {
    if (message.method === undefined) return this.#receiveAnswer(message);
    if (!isRequest(message)) return this.#receiver?.told(message, this);
    if (message.method === 'ping') return this.write(resultFor(message.id, {}));
    if (this.#receiver === undefined) return this.refuse(message.id, 'no client is there to answer');
    this.#receiver.asked(message, this);
  }

  #receiveAnswer(message: JsonRpcMessage): void {
    const wireId = message.id as RequestId;
    const request = this.#open.get(wireId);
    if (request !== undefined) {
      this.#open.delete(wireId);
      this.answered = true;
      try {
        this.#receiver?.answered(request, message);
      } catch (fault) {
        // Not answered: it is lost with the others.
        this.#open.set(wireId, request);
        throw fault;
      }
      if (this.#open.size === 0) this.onDrained?.();
      return;
    }
    const onAnswer = this.#own.get(wireId);
    this.#own.delete(wireId);
    onAnswer?.(message);
  }

  /** All that is sent in one tick shares one promise, so one look at it does for all. */
  #watch(sent: Promise<void>): Batch {
    // Where sessions stay, the end of the process decides what becomes of them; else their senders know.
    if (this.#options.sessionsStay) return { sent, told: sent.catch(() => {}), requests: undefined };
    const requests: OpenRequest[] = [];
    const giveUp = () => {
      try {
        for (const request of requests) {
          this.take(request);
          request.session.giveUp(request);
        }
      } catch (fault) {
        this.fail(fault);
      }
    };
    sent.catch(giveUp).finally(() => {
      // Kept no longer than they are of use: there may be no other batch for long.
      requests.length = 0;
    });
    return { sent, told: sent, requests };
  }
}

/** The message cannot be sent, though the server is as well as ever. */
function isRefusal(error: unknown): boolean {
  return !(error instanceof PoolError) || error.code === 'BUFFER_FULL';
}

function withProgressToken(params: unknown, progressToken: RequestId): object {
  return { ...(params as object), _meta: { ...(property(params, '_meta') as object), progressToken } };
}
