import type { PoolError, ServerNames } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { WriteBudget } from '../channels/write-budget.js';
import { type Answer, type JsonRpcMessage, type JsonRpcRequest, notification } from '../json-rpc.js';
import { type RequestDeadlines, requestTimedOut } from '../request-deadlines.js';
import { Backlog, type Outgoing } from './backlog.js';
import { NOT_KEPT } from './copies.js';
import type { Guard } from './guard.js';
import type { Member, OpenRequest } from './member.js';
import type { OpenRequests } from './open-requests.js';
import type { Upstream } from './upstream.js';

export interface RequestFlowDeps {
  /** The server, as errors name it now. */
  server(): ServerNames;
  /** Whether sessions outlive the process: a request that is safe to repeat is sent again to the next one. */
  readonly sessionsStay: boolean;
  readonly clock: Clock;
  readonly writeBudget: WriteBudget;
  readonly open: OpenRequests;
  readonly guard: Guard;
  readonly deadlines: RequestDeadlines<OpenRequest>;
  /** Whether a second time, the request changes nothing more. */
  isRepeatable(message: JsonRpcRequest): boolean;
}

/** A request of the pool that waits for its turn. */
interface PoolRequest {
  readonly method: string;
  readonly params: unknown;
  readonly onAnswer: (answer: Answer | undefined) => void;
  /** The request of a session that has caused it, and gets its progress. */
  readonly asker: OpenRequest | undefined;
}

/** How long a request that was given up may keep its place on a server with `maxInFlight`, ms. */
const FINISHING_TIME = 60_000;
/** How long a request of the pool may keep its place, and hold up what is sent after its answer, ms. */
const ANSWER_TIME = 60_000;
const TIMED_OUT = { reason: 'it was not answered in time' };
const CLIENT_GONE = { reason: 'its client is gone' };

/**
 * Sends the messages of all sessions to the process that serves them now: at once while that has room, else in turn. They
 * wait while there is no process, and while the process is about to be replaced.
 */
export class RequestFlow {
  readonly #deps: RequestFlowDeps;
  readonly #waiting: Backlog;
  #upstream: Upstream | undefined;
  #suspended = false;
  /** Requests of the pool that wait for room. They take turns with those of sessions. */
  readonly #ownRequests: PoolRequest[] = [];
  #lastWasOwn = false;

  constructor(deps: RequestFlowDeps) {
    this.#deps = deps;
    this.#waiting = new Backlog(deps.server, deps.writeBudget);
  }

  /** The process that new requests go to. */
  get upstream(): Upstream | undefined {
    return this.#upstream;
  }

  /** New requests go to `upstream` from now on, after those that `first` sends. */
  connect(upstream: Upstream, first: () => void): void {
    this.#upstream = upstream;
    this.#dropOwnRequests();
    first();
    this.resume();
  }

  /** New requests wait from now on, although there is a process. */
  suspend(): void {
    this.#suspended = true;
  }

  resume(): void {
    this.#suspended = false;
    this.pump();
  }

  /**
   * A process is lost. Of the requests that it has not answered, those that are safe to repeat are sent to the next process,
   * once; all others are answered with an error at once.
   */
  lose(upstream: Upstream, error: PoolError): void {
    if (upstream === this.#upstream) {
      this.#upstream = undefined;
      this.#dropOwnRequests();
    }
    // After a fault of this library nothing is repeated: the fault might come again.
    const mayRepeat = this.#deps.sessionsStay && error.code !== 'INTERNAL_ERROR';
    const repeated = new Map<Member, OpenRequest[]>();
    for (const request of upstream.lose(error)) {
      request.leavePlace?.();
      if (request.done) continue;
      if (mayRepeat && !request.repeated && request.isRepeatable && request.copied > 0) {
        const requests = repeated.get(request.session) ?? [];
        repeated.set(request.session, requests);
        requests.push(request);
      } else {
        this.#deps.open.lose(request, error);
      }
    }
    for (const [member, requests] of repeated) {
      for (const request of requests) {
        request.repeated = true;
        request.upstream = undefined;
        this.#deps.deadlines.over(request);
      }
      this.#waiting.putBack(member, requests);
    }
    this.pump();
  }

  /** Sends a request of a session, or lets it wait for its turn. */
  forward(request: OpenRequest): Promise<void> {
    this.#deps.open.add(request);
    const upstream = this.#upstream;
    // Decided now: the sender may change the message later.
    request.isRepeatable = this.#deps.isRepeatable(request.message);
    try {
      if (upstream?.hasRoom && !this.#suspended && this.#waiting.isEmpty) {
        const sent = upstream.forward(request);
        this.#written(request);
        return sent;
      }
      return this.#waiting.add(request.session, request.message, request);
    } catch (error) {
      this.#deps.open.finish(request, 'lost');
      return Promise.reject(error);
    }
  }

  /** Of a request that was written, the message is kept only if it is needed again. */
  #written(request: OpenRequest): void {
    this.#deps.deadlines.written(request);
    const mayRepeat = this.#deps.sessionsStay && request.isRepeatable;
    // Without room for it, the request is answered with an error when its process is lost.
    if (mayRepeat || request.needsMessage) this.#deps.open.copies.keep(request);
    else request.message = NOT_KEPT;
  }

  /**
   * Sends a request of the pool on behalf of a session: in turn with the requests of sessions, so that many of them neither
   * delay the others nor exceed maxInFlight. If the server does not answer in time, the answer is an error.
   * @param onAnswer called once; with undefined if the process is lost or replaced before it answers
   * @param asker the request of a session that has caused it
   */
  ask(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void, asker?: OpenRequest): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return this.#deps.guard.soon(() => onAnswer(undefined));
    const onValid = (answer: Answer | undefined) => onAnswer(upstream === this.#upstream ? answer : undefined);
    const own = { method, params, onAnswer: onValid, asker };
    if (upstream.hasRoom && this.#ownRequests.length === 0) this.#sendOwn(upstream, own);
    else this.#ownRequests.push(own);
  }

  /** As {@link ask}, but before all that waits, whether the process has room or not: what a new process must know. */
  replay(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void, asker?: OpenRequest): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return this.#deps.guard.soon(() => onAnswer(undefined));
    const onValid = (answer: Answer | undefined) => onAnswer(upstream === this.#upstream ? answer : undefined);
    this.#sendOwn(upstream, { method, params, onAnswer: onValid, asker }, 'request');
  }

  /** Sends a notification, after everything that its session has sent before. */
  post(member: Member, message: JsonRpcMessage): Promise<void> {
    if (this.#upstream?.canWrite && !this.#suspended && !this.#waiting.has(member)) return this.#upstream.send(message);
    try {
      return this.#waiting.add(member, message, undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Gives up a request that its session has cancelled. */
  cancel(request: OpenRequest, params: unknown): Promise<void> {
    this.#deps.open.finish(request, 'cancelled');
    request.leaveQueue?.();
    return this.#abandon(request, params);
  }

  /** The server has not answered in time: its client gets an error, and the request counts as given up. */
  timeOut(request: OpenRequest): void {
    const { open, server } = this.#deps;
    open.timeOut(request, requestTimedOut(server(), request, this.#deps.clock.now() - request.writtenAt));
    this.#abandon(request, TIMED_OUT).catch(() => {});
  }

  /** A session has lost its server: answers all its requests with an error. */
  fail(member: Member, error: PoolError): void {
    this.#waiting.drop(member);
    for (const request of member.requests()) {
      this.#deps.open.fail(request, error);
      this.#abandon(request, CLIENT_GONE).catch(() => {});
    }
  }

  /** A session has ended. */
  detach(member: Member): void {
    this.#waiting.drop(member);
    for (const request of member.requests()) this.cancel(request, CLIENT_GONE).catch(() => {});
  }

  /**
   * The answer to a request is not wanted any more: the server gets a cancellation, and another request may take its place.
   * An answer that comes all the same is dropped.
   *
   * A server with `maxInFlight` may lose data if it works on more requests than that, and nothing shows when it stops to
   * work on a cancelled one. So there, a request that may change something is not cancelled. It keeps its place until its
   * answer comes, for a limited time. An exclusive server is not handed on without that answer: see `giveUpGrace`.
   */
  #abandon(request: OpenRequest, params: unknown): Promise<void> {
    const { upstream, wireId } = request;
    if (upstream === undefined) {
      // It was never sent. If it was combined with others, a request of the pool may have been, and wait for its answer.
      if (!request.isWaiting) this.#upstream?.giveUpOwn(wireId, request);
      return Promise.resolve();
    }
    upstream.giveUp(request);
    const cancel = () => {
      const sent = upstream.send(notification('notifications/cancelled', { ...(params as object), requestId: wireId }));
      upstream.take(request);
      this.pump();
      return sent;
    };
    if (!upstream.isBounded || request.isRepeatable) return cancel();
    const { clock, guard } = this.#deps;
    const timer = clock.after(FINISHING_TIME, () => guard.run(() => void cancel().catch(() => {})));
    request.leavePlace = () => timer.cancel();
    return Promise.resolve();
  }

  /** Sends what waits, in turn, while there is room. */
  pump(): void {
    while (!this.#suspended && this.#upstream?.hasRoom) {
      const isOwnTurn = this.#waiting.isEmpty || !this.#lastWasOwn;
      const own = isOwnTurn ? this.#ownRequests.shift() : undefined;
      this.#lastWasOwn = own !== undefined;
      if (own) {
        this.#sendOwn(this.#upstream, own);
        continue;
      }
      const item = this.#waiting.next();
      if (item === undefined) return;
      this.#sendWaiting(this.#upstream, item);
    }
  }

  #sendOwn(
    upstream: Upstream,
    { method, params, onAnswer, asker }: PoolRequest,
    how: 'request' | 'requestCounted' = 'requestCounted',
  ): void {
    const { clock, guard } = this.#deps;
    const onDone = (answer: Answer | undefined) => {
      timer.cancel();
      onAnswer(answer);
    };
    const timer = clock.after(ANSWER_TIME, () => guard.run(() => upstream.expire(id)));
    const id = upstream[how](method, params, onDone, asker);
  }

  #sendWaiting(upstream: Upstream, { message, request, sent }: Outgoing): void {
    if (message === undefined || request?.done) return sent?.resolve();
    if (request) request.leaveQueue = undefined;
    try {
      const written = request ? upstream.forward(request) : upstream.send(message);
      if (request) this.#written(request);
      if (sent) written.then(sent.resolve, sent.reject);
    } catch (error) {
      // The message could be written as JSON when it was added. So there is no room in the buffer.
      if (request === undefined) sent?.reject(error);
      else if (sent === undefined) this.#deps.open.fail(request, error as PoolError);
      else if (this.#deps.open.finish(request, 'lost')) sent.reject(error);
    }
  }

  /** The process that the pool wanted to ask is lost or replaced. */
  #dropOwnRequests(): void {
    for (const { onAnswer } of this.#ownRequests.splice(0)) onAnswer(undefined);
  }
}
