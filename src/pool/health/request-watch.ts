import type { AskedServer, ObservedRequest, RequestObserver, RequestOutcome } from '../../protocol/request-observer.js';
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
  /** While it is false, it is not called. Default: true. */
  readonly isActive?: boolean;
  requestSent?(request: ObservedRequest, server: ServerOfRequest): void;
  /**
   * @param duration since the client has sent it, ms
   * @param error code of the error in the answer; undefined without one
   */
  requestDone?(
    request: ObservedRequest,
    server: ServerOfRequest,
    outcome: RequestOutcome,
    duration: number,
    error: number | undefined,
  ): void;
}

/** Hands on the requests of a pool to its observers. Without one that is active, nothing is called. */
export class RequestWatch implements RequestObserver {
  readonly #clock: Clock;
  /** Those that hear every request, and those that are not always active. Apart, since there are many requests. */
  #steady: readonly PoolRequestObserver[] = [];
  #others: readonly PoolRequestObserver[] = [];
  #hearsEachStart = false;
  /** The server of the last request, as it was shown: mostly that of the next one, too. */
  #last: AskedServer | undefined;
  #lastShown: ServerOfRequest = { name: '', instanceId: undefined, tenant: undefined };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns removes it */
  add(observer: PoolRequestObserver): () => void {
    this.#set([...this.#steady, ...this.#others, observer]);
    return () => this.#set([...this.#steady, ...this.#others].filter((one) => one !== observer));
  }

  get isActive(): boolean {
    return this.#steady.length > 0 || this.#isAnyActive;
  }

  get hearsStarts(): boolean {
    return this.#hearsEachStart || this.#isAnyActive;
  }

  get #isAnyActive(): boolean {
    for (const observer of this.#others) if (observer.isActive === true) return true;
    return false;
  }

  requestSent(request: ObservedRequest, server: AskedServer): void {
    const shown = this.#shown(server);
    for (const observer of this.#steady) observer.requestSent?.(request, shown);
    for (const observer of this.#others) if (observer.isActive === true) observer.requestSent?.(request, shown);
  }

  requestDone(request: ObservedRequest, server: AskedServer, outcome: RequestOutcome, error: number | undefined): void {
    const duration = this.#clock.now() - request.since;
    const shown = this.#shown(server);
    for (const observer of this.#steady) observer.requestDone?.(request, shown, outcome, duration, error);
    for (const observer of this.#others)
      if (observer.isActive === true) observer.requestDone?.(request, shown, outcome, duration, error);
  }

  #set(observers: readonly PoolRequestObserver[]): void {
    this.#steady = observers.filter(({ isActive }) => isActive === undefined);
    this.#others = observers.filter(({ isActive }) => isActive !== undefined);
    this.#hearsEachStart = this.#steady.some(({ requestSent }) => requestSent !== undefined);
  }

  #shown(server: AskedServer): ServerOfRequest {
    const { name, id, tenant } = server;
    if (server !== this.#last || tenant !== this.#lastShown.tenant) {
      this.#last = server;
      this.#lastShown = Object.freeze({ name, instanceId: id, tenant });
    }
    return this.#lastShown;
  }
}
