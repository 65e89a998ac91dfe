import type { PoolError, ServerNames } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { WriteBudget } from '../channels/write-budget.js';
import { type Answer, errorFor, type JsonRpcMessage, resultFor } from '../json-rpc.js';
import type { RequestDeadlines } from '../request-deadlines.js';
import { outcomeOfLoss, type RequestObserver, type RequestOutcome } from '../request-observer.js';
import { hasTooManyOpen, lostRequest, tooManyOpen } from '../routing.js';
import { Copies } from './copies.js';
import type { Member, OpenRequest } from './member.js';

export interface OpenRequestsOptions {
  /** The server, as errors name it now. */
  server(): ServerNames;
  /** Whether what the server wrote may be about other clients: it has several sessions, or had another one before. */
  isMixed(): boolean;
  /** Whether sessions outlive the process. */
  readonly sessionsStay: boolean;
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
  readonly copyBudget: WriteBudget;
  readonly observer: RequestObserver;
  readonly deadlines: RequestDeadlines<OpenRequest>;
}

/** The requests of all sessions of one server that wait for their answers. While there is one, the host is kept alive. */
export class OpenRequests {
  readonly #options: OpenRequestsOptions;
  readonly copies: Copies;
  #count = 0;

  constructor(options: OpenRequestsOptions) {
    this.#options = options;
    this.copies = new Copies(options.copyBudget);
  }

  /** Why a session may not send another request now; undefined if it may. */
  refusal({ openRequests, nameCharacters }: Member): PoolError | undefined {
    return hasTooManyOpen(openRequests, nameCharacters) ? tooManyOpen(this.#options.server()) : undefined;
  }

  add(request: OpenRequest): void {
    const { clock, observer, server } = this.#options;
    request.since = clock.now();
    this.#enter(request);
    if (observer.hearsStarts) observer.requestSent(request, server());
    request.meta = undefined;
  }

  #enter(request: OpenRequest): void {
    request.session.add(request);
    if (this.#count === 0) this.#options.keepAlive.take();
    this.#count += 1;
  }

  /** The request does not wait any more. False if that was so before. */
  finish(request: OpenRequest, outcome: RequestOutcome): boolean {
    if (!this.#leave(request)) return false;
    const { observer, server } = this.#options;
    if (observer.isActive) observer.requestEnded(request, server(), outcome, undefined);
    return true;
  }

  #leave(request: OpenRequest): boolean {
    if (request.done) return false;
    request.done = true;
    request.session.remove(request);
    if (request.copied > 0) this.copies.drop(request);
    this.#options.deadlines.over(request);
    this.#count -= 1;
    if (this.#count === 0) this.#options.keepAlive.drop();
    return true;
  }

  answer(request: OpenRequest, { result, error }: Answer): void {
    const { id } = request;
    this.deliver(request, error === undefined ? resultFor(id, result) : errorFor(id, error));
  }

  /**
   * Gives the answer to the session, if that still waits for it.
   * @param outcome of one that the pool answers; undefined for the answer of a server
   */
  deliver(request: OpenRequest, answer: JsonRpcMessage, outcome?: RequestOutcome): void {
    if (!this.#leave(request)) return;
    try {
      request.session.endpoint.receive(answer);
    } catch (fault) {
      // The session still waits: it gets the error that follows from the fault.
      request.done = false;
      this.#enter(request);
      throw fault;
    }
    const { observer, server } = this.#options;
    if (!observer.isActive) return;
    if (outcome === undefined) observer.requestAnswered(request, server(), answer);
    else observer.requestEnded(request, server(), outcome, answer.error?.code);
  }

  /** Answers a request that the server has not answered within `requestTimeout`. */
  timeOut(request: OpenRequest, error: PoolError): void {
    const answer = lostRequest(request.id, request.method, error, this.#options.isMixed());
    this.deliver(request, answer, 'timeout');
  }

  /** Answers a request that was lost with its process. Where sessions stay, there will be another process for it. */
  lose(request: OpenRequest, error: PoolError): void {
    this.#answerLost(request, error, this.#options.sessionsStay ? { retryable: true } : {});
  }

  /** Answers a request of a session that has lost its server. */
  fail(request: OpenRequest, error: PoolError): void {
    this.#answerLost(request, error, {});
  }

  #answerLost(request: OpenRequest, error: PoolError, more: { retryable?: boolean }): void {
    const mayHaveRun = request.upstream !== undefined || request.repeated;
    const { id, method } = request;
    const answer = lostRequest(id, method, error, this.#options.isMixed(), { mayHaveRun, ...more });
    this.deliver(request, answer, outcomeOfLoss(error));
  }
}
