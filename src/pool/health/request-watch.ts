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
  #observers: readonly PoolRequestObserver[] = [];

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

  get isActive(): boolean {
    // Asked for each request: no function is made.
    for (const observer of this.#observers) if (observer.isActive !== false) return true;
    return false;
  }

  requestSent(request: ObservedRequest, server: AskedServer): void {
    for (const observer of this.#observers) {
      if (observer.isActive !== false) observer.requestSent?.(request, serverOf(server));
    }
  }

  requestDone(request: ObservedRequest, server: AskedServer, outcome: RequestOutcome, error: number | undefined): void {
    const duration = this.#clock.now() - request.since;
    for (const observer of this.#observers) {
      if (observer.isActive !== false) observer.requestDone?.(request, serverOf(server), outcome, duration, error);
    }
  }
}

function serverOf({ name, id, tenant }: AskedServer): ServerOfRequest {
  return { name, instanceId: id, tenant };
}
