import type { PoolError } from '../errors.js';
import { type JsonRpcMessage, type JsonRpcRequest, property, type RequestId } from './json-rpc.js';
import type { Listener, LogLevel } from './log-levels.js';
import type { Attachment, Endpoint } from './routing.js';

/** The server that a request was written to. */
export interface Carrier {
  /** Whether it is given few requests at once. */
  readonly isBounded: boolean;
  /** Takes an open request out, because it was given up. */
  take(request: OpenRequest): void;
  send(message: JsonRpcMessage): Promise<void>;
}

/** A request of a session, from its `send` to its answer. */
export class OpenRequest {
  readonly session: Member;
  /** As the session sent it. The type of its id matters: 1 is not "1". */
  readonly message: JsonRpcRequest;
  /** What is done with the answer before the session gets it. */
  readonly onAnswer: ((answer: JsonRpcMessage, request: OpenRequest) => JsonRpcMessage) | undefined;
  /** The server that it was written to; undefined while it waits. */
  upstream: Carrier | undefined;
  /** Its id there. */
  wireId: RequestId = 0;
  /** Whether it was lost with a server before. */
  repeated = false;
  /** Answered, cancelled, or given up. */
  done = false;
  /** Called when its server answered it, or is lost, although nobody waits for it any more. */
  onGone: (() => void) | undefined;
  /** Gives back what it takes while it waits for its turn. */
  leaveQueue: (() => void) | undefined;
  previous: OpenRequest | undefined;
  next: OpenRequest | undefined;

  constructor(session: Member, message: JsonRpcRequest, onAnswer?: OpenRequest['onAnswer']) {
    this.session = session;
    this.message = message;
    this.onAnswer = onAnswer;
  }

  get id(): RequestId {
    return this.message.id;
  }

  get progressToken(): RequestId | undefined {
    return property(property(this.message.params, '_meta'), 'progressToken') as RequestId | undefined;
  }
}

/** What a member needs of the server it is at. */
export interface MemberHost {
  fromSession(member: Member, message: JsonRpcMessage): Promise<void>;
  /** A request could not be written; its sender knows. */
  giveUp(request: OpenRequest): void;
  fail(member: Member, error: PoolError): void;
  detach(member: Member): void;
}

/** A session at a server that others may use, too: what is known of it there. Small, because there may be thousands. */
export class Member implements Attachment, Listener {
  readonly endpoint: Endpoint;
  readonly #host: MemberHost;
  openRequests = 0;
  /** The log level that it asked for. */
  level: LogLevel | undefined;
  isListening = false;
  /** Bytes of its messages that wait for their turn. */
  waitingBytes = 0;
  /** The newest of its open requests; they form a list, so that each goes in constant time. */
  #newest: OpenRequest | undefined;

  constructor(endpoint: Endpoint, host: MemberHost) {
    this.endpoint = endpoint;
    this.#host = host;
  }

  send(message: JsonRpcMessage): Promise<void> {
    return this.#host.fromSession(this, message);
  }

  fail(error: PoolError): void {
    this.#host.fail(this, error);
  }

  detach(): void {
    this.#host.detach(this);
  }

  giveUp(request: OpenRequest): void {
    this.#host.giveUp(request);
  }

  /** The newest open request of exactly this id. */
  find(id: unknown): OpenRequest | undefined {
    let request = this.#newest;
    while (request !== undefined && request.id !== id) request = request.previous;
    return request;
  }

  /** Its open requests, oldest first. */
  requests(): OpenRequest[] {
    const requests: OpenRequest[] = [];
    for (let request = this.#newest; request !== undefined; request = request.previous) requests.push(request);
    return requests.reverse();
  }

  add(request: OpenRequest): void {
    request.previous = this.#newest;
    if (this.#newest) this.#newest.next = request;
    this.#newest = request;
    this.openRequests += 1;
  }

  remove(request: OpenRequest): void {
    const { previous, next } = request;
    if (previous) previous.next = next;
    if (next) next.previous = previous;
    else this.#newest = previous;
    request.previous = undefined;
    request.next = undefined;
    this.openRequests -= 1;
  }
}
