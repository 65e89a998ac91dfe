import type { PoolError } from '../../errors.js';
import { type JsonRpcMessage, type JsonRpcRequest, property, type RequestId } from '../json-rpc.js';
import type { WrittenRequest } from '../request-deadlines.js';
import { type ObservedRequest, toolOf } from '../request-observer.js';
import type { Attachment, Endpoint } from '../routing.js';
import type { Listener, LogLevel } from './log-levels.js';

/** Up to this number of requests, a search through all is faster than an index. */
const FEW = 64;

/** What a member calls on the multiplexer that it belongs to. */
export interface MemberCallbacks {
  fromSession(member: Member, message: JsonRpcMessage): Promise<void>;
  fail(member: Member, error: PoolError): void;
  detach(member: Member): void;
}

/** One session of a multiplexer, and what the pool keeps of it there. Small, because there may be thousands. */
export class Member implements Attachment, Listener {
  readonly endpoint: Endpoint;
  readonly #callbacks: MemberCallbacks;
  openRequests = 0;
  /** The log level that the session asked for. */
  level: LogLevel | undefined;
  isListening = false;
  /** Bytes of its messages that wait for their turn. */
  waitingBytes = 0;
  /** Bytes of the copies of its open requests. */
  copiedBytes = 0;
  /** The sum of those of its open requests. */
  nameCharacters = 0;
  /** The newest of its open requests. They form a linked list, so that each can be removed in constant time. */
  #newest: OpenRequest | undefined;
  /** An index by id: made by the first search among many requests, and kept until all are answered. */
  #byId: Map<RequestId, OpenRequest> | undefined;
  /** Whether an id was used again while it was open. */
  #hasDuplicates = false;

  constructor(endpoint: Endpoint, callbacks: MemberCallbacks) {
    this.endpoint = endpoint;
    this.#callbacks = callbacks;
  }

  send(message: JsonRpcMessage): Promise<void> {
    return this.#callbacks.fromSession(this, message);
  }

  fail(error: PoolError): void {
    this.#callbacks.fail(this, error);
  }

  detach(): void {
    this.#callbacks.detach(this);
  }

  /** The newest open request with exactly this id. */
  find(id: unknown): OpenRequest | undefined {
    if (this.openRequests > FEW) this.#byId ??= new Map(this.requests().map((request) => [request.id, request]));
    if (this.#byId) return this.#byId.get(id as RequestId) ?? this.#search(id);
    return this.#search(id);
  }

  #search(id: unknown): OpenRequest | undefined {
    // The index lacks a request only where its id was used twice, and the newer one has gone.
    if (this.#byId && !this.#hasDuplicates) return undefined;
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
    this.nameCharacters += request.nameCharacters;
    if (this.#byId?.has(request.id)) this.#hasDuplicates = true;
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
    this.nameCharacters -= request.nameCharacters;
    if (this.#byId?.get(request.id) === request) this.#byId.delete(request.id);
    if (this.openRequests === 0) {
      this.#byId = undefined;
      this.#hasDuplicates = false;
    }
  }
}

/** The process that a request was written to. */
export interface RequestTarget {
  /** Whether it is given only a limited number of requests at once. */
  readonly isBounded: boolean;
  /** The answer to an open request is not wanted any more. */
  giveUp(request: OpenRequest): void;
  /** Removes an open request that was given up. */
  take(request: OpenRequest): void;
  send(message: JsonRpcMessage): Promise<void>;
}

/** A request of a session, from `send` to the answer. */
export class OpenRequest implements ObservedRequest, WrittenRequest {
  readonly session: Member;
  /** The message of the session until it is written; then a copy of it where it is needed again, else `NOT_KEPT`. */
  message: JsonRpcRequest;
  // Copied from the message, because the sender may use the object for its next message.
  /** The type matters: 1 is not "1". */
  readonly id: RequestId;
  readonly method: string;
  readonly progressToken: RequestId | undefined;
  readonly tool: string | undefined;
  meta: unknown;
  /** Set when it is added to the open ones. */
  since = 0;
  writtenAt = 0;
  /** If it is combined with those of other sessions: characters of its parameters, of which a part is kept. */
  wishCharacters = 0;
  /** If it asks for a subscription: to which resource. */
  uri: string | undefined;
  /** Bytes of the copy of its message; 0 if there is none. */
  copied = 0;
  /** Whether a second time, it changes nothing more. */
  isRepeatable = false;
  /** Works on the answer before the session gets it. */
  readonly onAnswer: ((answer: JsonRpcMessage, request: OpenRequest) => JsonRpcMessage) | undefined;
  /** Whether its message is read when the answer comes. */
  get needsMessage(): boolean {
    return this.method === 'tools/list';
  }

  /** The process that it was written to; undefined while it waits for its turn. */
  upstream: RequestTarget | undefined;
  /** Its id there; of a request that is combined with others, the id of the one that the pool has sent for it. */
  wireId: RequestId = 0;
  /** Whether it was lost with a process once already. */
  repeated = false;
  /** Answered, cancelled, or given up. */
  done = false;
  /** Set while it was given up and keeps its place among those that the server works on. The server has answered it, or is lost. */
  leavePlace: (() => void) | undefined;
  /** Gives back the room that it takes while it waits for its turn. */
  leaveQueue: (() => void) | undefined;
  previous: OpenRequest | undefined;
  next: OpenRequest | undefined;

  constructor(session: Member, message: JsonRpcRequest, onAnswer?: OpenRequest['onAnswer']) {
    this.session = session;
    this.message = message;
    this.id = message.id;
    this.method = message.method;
    this.meta = property(message.params, '_meta');
    const token = property(this.meta, 'progressToken');
    this.tool = toolOf(message.method, message.params);
    this.progressToken = typeof token === 'string' || typeof token === 'number' ? token : undefined;
    this.onAnswer = onAnswer;
  }

  /** Whether it waits for its turn to be sent, the first time or again. */
  get isWaiting(): boolean {
    return this.upstream === undefined && (this.leaveQueue !== undefined || this.repeated);
  }

  /** Characters of what is kept of it until it is answered, besides its message: the client may choose any length. */
  get nameCharacters(): number {
    return (
      lengthOf(this.id) +
      lengthOf(this.method) +
      lengthOf(this.progressToken) +
      lengthOf(this.tool) +
      this.wishCharacters
    );
  }
}

function lengthOf(name: RequestId | undefined): number {
  return typeof name === 'string' ? name.length : 0;
}
