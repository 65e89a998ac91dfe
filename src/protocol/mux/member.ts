import type { PoolError } from '../../errors.js';
import { type JsonRpcMessage, type JsonRpcRequest, property, type RequestId } from '../json-rpc.js';
import type { Attachment, Endpoint } from '../routing.js';
import type { Listener, LogLevel } from './log-levels.js';

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
  /** As the session sent it; of one that may have to be sent again, a copy. */
  message: JsonRpcRequest;
  // By value: the sender may use the object for its next message.
  /** Its type matters: 1 is not "1". */
  readonly id: RequestId;
  readonly method: string;
  readonly progressToken: RequestId | undefined;
  /** Whether it may be sent to the next process when this one is lost. */
  isRepeatable = false;
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
    this.id = message.id;
    this.method = message.method;
    this.progressToken = property(property(message.params, '_meta'), 'progressToken') as RequestId | undefined;
    this.onAnswer = onAnswer;
  }

  /** Whether it waits for its turn to be sent, the first time or again. */
  get isWaiting(): boolean {
    return this.upstream === undefined && (this.leaveQueue !== undefined || this.repeated);
  }

  /** Keeps the message as it is now. */
  keep(): void {
    this.message = JSON.parse(JSON.stringify(this.message)) as JsonRpcRequest;
  }
}

/** Of so many requests one is found faster by a look at each. */
const FEW = 64;

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
  /** By id, while there are many and one was looked for. */
  #byId: Map<RequestId, OpenRequest> | undefined;
  /** Whether an id was used again while it was open. */
  #hasTwins = false;

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
    if (this.openRequests > FEW) this.#byId ??= new Map(this.requests().map((request) => [request.id, request]));
    if (this.#byId) return this.#byId.get(id as RequestId) ?? this.#search(id);
    return this.#search(id);
  }

  #search(id: unknown): OpenRequest | undefined {
    // With an index, only an id that was used twice is not in it.
    if (this.#byId && !this.#hasTwins) return undefined;
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
    if (this.#byId?.has(request.id)) this.#hasTwins = true;
    this.#byId?.set(request.id, request);
  }

  remove(request: OpenRequest): void {
    const { previous, next } = request;
    if (previous) previous.next = next;
    if (next) next.previous = previous;
    else this.#newest = previous;
    request.previous = undefined;
    request.next = undefined;
    this.openRequests -= 1;
    if (this.#byId?.get(request.id) === request) this.#byId.delete(request.id);
    if (this.openRequests === 0) {
      this.#byId = undefined;
      this.#hasTwins = false;
    }
  }
}
