import type { RequestId } from '../json-rpc.js';
import type { OpenRequest } from './member.js';
import type { OwnRequests } from './own-requests.js';

/** Largest number of given-up requests of one process that are remembered one by one. */
const MOST_REMEMBERED = 10_000;

export interface GivenUpCallbacks {
  /** A request was given up. */
  onGivenUp(): void;
  /** The process works: it has answered a request, or has sent progress of one. Called while `any` is true. */
  onResponse(): void;
}

/** What one process got, and has not answered. */
export interface Unanswered {
  /** Requests of sessions, by their ids on the wire. */
  readonly open: ReadonlyMap<RequestId, OpenRequest>;
  readonly own: OwnRequests;
  /** Whether it has a `maxInFlight`. */
  readonly isBounded: boolean;
  /** Answers a request of the pool itself with an error. */
  expire(id: RequestId): void;
}

/**
 * The requests that one process got and has not answered, and that do not need an answer any more: their clients have
 * cancelled them, or are gone. The process may still work on them, although it got a cancellation, and it may be stuck.
 */
export class GivenUp {
  readonly #ids = new Set<RequestId>();
  /** Whether there were more than can be remembered: then it is never known that all were answered. */
  #isIncomplete = false;
  /** The first id of a request that was sent after the last of them was given up. */
  #later = 0;
  /** Whether the process may be stuck: it has answered neither these requests nor one that was sent later. */
  isDoubtful = false;
  readonly #callbacks: GivenUpCallbacks | undefined;
  readonly #unanswered: Unanswered;

  constructor(unanswered: Unanswered, callbacks?: GivenUpCallbacks) {
    this.#unanswered = unanswered;
    this.#callbacks = callbacks;
  }

  /** Whether there is any. */
  get any(): boolean {
    return this.#ids.size > 0 || this.#isIncomplete;
  }

  /** How many requests of sessions are open that were not given up: one that was may keep its place. */
  get wanted(): number {
    let wanted = 0;
    for (const { done } of this.#unanswered.open.values()) if (!done) wanted += 1;
    return wanted;
  }

  has(id: RequestId): boolean {
    return this.#ids.has(id);
  }

  /** Those that keep their places among the requests that the process works on (`maxInFlight`), until it answers them. */
  kept(): RequestId[] {
    const { open, own, isBounded } = this.#unanswered;
    if (!isBounded) return [];
    const ofSessions = [...open].filter(([, { leavePlace }]) => leavePlace !== undefined).map(([id]) => id);
    return [...ofSessions, ...[...own.keys()].filter((id) => own.isCounted(id) && this.has(id))];
  }

  /** Whether all of these are answered, as far as that is known. */
  areAnswered(ids: readonly RequestId[]): boolean {
    return ids.length === 0 || !(this.#isIncomplete || ids.some((id) => this.#ids.has(id)));
  }

  /** Requests of the pool itself are answered with an error, since what the next lease asks for must not wait for them. */
  expireOwn(): void {
    const { own, expire } = this.#unanswered;
    for (const id of [...own.keys()]) if (this.has(id)) expire(id);
  }

  /** @param next the id of the next request that will be sent */
  add(id: RequestId, next: number): void {
    if (this.#ids.size < MOST_REMEMBERED) this.#ids.add(id);
    else if (!this.#ids.has(id)) this.#isIncomplete = true;
    this.#later = next;
    this.isDoubtful = true;
    this.#callbacks?.onGivenUp();
  }

  /** The process has answered a request, whichever. To be called while there is any. */
  answered(id: RequestId): void {
    this.#ids.delete(id);
    if (!this.any || Number(id) >= this.#later) this.isDoubtful = false;
    this.responded();
  }

  /** The process has shown that it works on a request. */
  responded(): void {
    this.#callbacks?.onResponse();
  }
}
