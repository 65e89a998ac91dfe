import { namesOf, PoolError, type ServerNames, shownName } from '../errors.js';
import type { Clock, Timer } from '../runtime/clock.js';

/** A request that was written to a server. */
export interface WrittenRequest {
  readonly method: string;
  readonly tool: string | undefined;
  /** Clock time at which it was written, ms. Written by {@link RequestDeadlines}. */
  writtenAt: number;
}

export interface RequestDeadlinesDeps<R> {
  readonly clock: Clock;
  /** `requestTimeout`, as it is now. */
  timeout(): number;
  /** The server has not answered this one in time. It must be given up within the call. */
  onLate(request: R): void;
}

/**
 * The requests that one server must answer within `requestTimeout`. All have the same time, so the one that was written first
 * is late first: one timer is enough. A request that waits for its turn has no deadline yet.
 */
export class RequestDeadlines<R extends WrittenRequest> {
  readonly #deps: RequestDeadlinesDeps<R>;
  /** In the order in which they were written. */
  readonly #written = new Set<R>();
  #timer: Timer | undefined;
  /** Clock time at which it is due, ms. */
  #dueAt = Infinity;

  constructor(deps: RequestDeadlinesDeps<R>) {
    this.#deps = deps;
  }

  /** Written, the first time or again. */
  written(request: R): void {
    const { clock, timeout } = this.#deps;
    const most = timeout();
    if (most === Infinity) return;
    request.writtenAt = clock.now();
    this.#written.delete(request);
    this.#written.add(request);
    this.#wait(most);
  }

  /** It is answered, given up or lost. */
  over(request: R): void {
    if (!this.#written.delete(request) || this.#written.size > 0) return;
    this.#stop();
  }

  /** The timer is set anew only for less time: another definition may have a shorter `requestTimeout`. */
  #wait(time: number): void {
    const { clock } = this.#deps;
    const at = clock.now() + time;
    if (at >= this.#dueAt) return;
    this.#stop();
    this.#dueAt = at;
    this.#timer = clock.after(time, this.#look);
  }

  #stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dueAt = Infinity;
  }

  readonly #look = (): void => {
    const { clock, timeout, onLate } = this.#deps;
    this.#stop();
    const most = timeout();
    for (const request of this.#written) {
      const left = request.writtenAt + most - clock.now();
      if (left > 0) {
        if (left < Infinity) this.#wait(left);
        return;
      }
      this.#written.delete(request);
      onLate(request);
    }
  };
}

/** The error of a request that a server has not answered in time. */
export function requestTimedOut(server: ServerNames, { method, tool }: WrittenRequest, after: number): PoolError {
  const what = tool === undefined ? method : `${method} '${tool}'`;
  const message = `server '${shownName(server)}' did not answer ${what} within ${Math.round(after)} ms (requestTimeout), and the request was cancelled; raise requestTimeout if the server needs more time for it`;
  return new PoolError('REQUEST_TIMEOUT', message, { ...namesOf(server), after: Math.round(after) });
}
