import type { JsonRpcMessage } from '../../protocol/json-rpc.js';
import {
  type ObservedRequest,
  type ObservedServer,
  outcomeOf,
  type RequestObserver,
  type RequestOutcome,
} from '../../protocol/request-observer.js';
import type { Clock } from '../../runtime/clock.js';

/** The server of a request. */
export interface ServerOfRequest {
  readonly name: string;
  /** Undefined while no process was there for it. */
  readonly instanceId: string | undefined;
  readonly tenant: string | undefined;
}

/** Learns of the requests of all clients of a pool. Must not throw. */
export interface PoolRequestObserver {
  /** While it is false, nothing is called. */
  readonly isActive: boolean;
  requestSent(request: ObservedRequest, server: ServerOfRequest): void;
  /**
   * @param duration since the client has sent it, ms
   * @param error code of the error in the answer; undefined without one
   */
  requestDone(
    request: ObservedRequest,
    server: ServerOfRequest,
    outcome: RequestOutcome,
    duration: number,
    error: number | undefined,
  ): void;
}

/** Counts requests, with their times. It is told each one, so it gets no more than it needs. Clock times, ms. Must not throw. */
export interface RequestTally {
  /** @param name of its server, which has answered with a result */
  answered(name: string, since: number, now: number): void;
  /** It has ended in another way. @param error code of the error in the answer; undefined without one */
  ended(name: string, since: number, now: number, outcome: RequestOutcome, error: number | undefined): void;
}

/** Hands on the requests of a pool: to its observers while they are active, and to what counts them. */
export class RequestWatch implements RequestObserver {
  readonly #clock: Clock;
  #observers: readonly PoolRequestObserver[] = [];
  #tally: RequestTally | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns removes it */
  add(observer: PoolRequestObserver): () => void {
    this.#observers = [...this.#observers, observer];
    return () => {
      this.#observers = this.#observers.filter((one) => one !== observer);
    };
  }

  /** Has all requests counted from now on. */
  count(tally: RequestTally): void {
    this.#tally = tally;
  }

  get isActive(): boolean {
    return this.#tally !== undefined || this.hearsStarts;
  }

  get hearsStarts(): boolean {
    for (const observer of this.#observers) if (observer.isActive) return true;
    return false;
  }

  requestSent(request: ObservedRequest, server: ObservedServer): void {
    const shown = shownServer(server);
    for (const observer of this.#observers) if (observer.isActive) observer.requestSent(request, shown);
  }

  requestAnswered(request: ObservedRequest, server: ObservedServer, answer: JsonRpcMessage): void {
    const now = this.#clock.now();
    // A server may write any error, also null.
    const code = answer.error?.code;
    if (answer.error === undefined) this.#tally?.answered(server.name, request.since, now);
    else this.#tally?.ended(server.name, request.since, now, 'error', code);
    if (this.hearsStarts) this.#tell(request, server, outcomeOf(answer), now, code);
  }

  requestEnded(
    request: ObservedRequest,
    server: ObservedServer,
    outcome: RequestOutcome,
    error: number | undefined,
  ): void {
    const now = this.#clock.now();
    this.#tally?.ended(server.name, request.since, now, outcome, error);
    if (this.hearsStarts) this.#tell(request, server, outcome, now, error);
  }

  #tell(
    request: ObservedRequest,
    server: ObservedServer,
    outcome: RequestOutcome,
    now: number,
    error: number | undefined,
  ): void {
    const shown = shownServer(server);
    for (const observer of this.#observers)
      if (observer.isActive) observer.requestDone(request, shown, outcome, now - request.since, error);
  }
}

function shownServer({ name, id, tenant }: ObservedServer): ServerOfRequest {
  return { name, instanceId: id, tenant };
}
