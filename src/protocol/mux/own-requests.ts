import { type Answer, CONNECTION_CLOSED, type RequestId } from '../json-rpc.js';
import type { OpenRequest } from './member.js';

/** A request of the pool itself. */
export interface OwnRequest {
  readonly onAnswer: (answer: Answer | undefined) => void;
  /** The request of a session that has caused it, and gets its progress. */
  readonly asker: OpenRequest | undefined;
  /** Whether it counts as a request of a session, for `maxInFlight`. */
  readonly isCounted: boolean;
}

/** Largest number of requests of the pool that a server leaves unanswered. */
const MOST_OPEN = 100_000;

/** The requests of the pool itself that a process has not answered, by their ids on the wire. */
export class OwnRequests {
  readonly #open = new Map<RequestId, OwnRequest>();
  /** How many of them count as requests of sessions. */
  counted = 0;

  /** False if there are too many: then it is answered with an error at once. */
  add(id: RequestId, request: OwnRequest): boolean {
    if (this.#open.size > MOST_OPEN) {
      const message = 'The server does not answer what it was asked before';
      request.onAnswer({ error: { code: CONNECTION_CLOSED, message } });
      return false;
    }
    this.#open.set(id, request);
    if (request.isCounted) this.counted += 1;
    return true;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The ids of those that are not answered. */
  keys(): Iterable<RequestId> {
    return this.#open.keys();
  }

  /** Whether this one is not answered, and was sent for `asker`, or for none. */
  isFor(id: RequestId, asker: OpenRequest | undefined): boolean {
    const request = this.#open.get(id);
    return request !== undefined && request.asker === asker;
  }

  isCounted(id: RequestId): boolean {
    return this.#open.get(id)?.isCounted === true;
  }

  asker(id: RequestId): OpenRequest | undefined {
    return this.#open.get(id)?.asker;
  }

  /** False if there is no such request. */
  answer(id: RequestId, answer: Answer): boolean {
    const request = this.#open.get(id);
    if (request === undefined) return false;
    this.#open.delete(id);
    if (request.isCounted) this.counted -= 1;
    request.onAnswer(answer);
    return true;
  }

  /** The process is lost. */
  lose(): void {
    const requests = [...this.#open.values()];
    this.#open.clear();
    this.counted = 0;
    for (const { onAnswer } of requests) onAnswer(undefined);
  }
}
