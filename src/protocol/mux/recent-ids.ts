import type { RequestId } from '../json-rpc.js';

/** How many are kept. */
const MOST = 1_000;
/** Longest id that is kept, in characters: a client may choose any length. */
const LONGEST = 4_096;

/** Ids of requests that were given up last: their answers may still come, and are no fault of the server. */
export class RecentIds {
  readonly #ids = new Set<RequestId>();

  add(id: RequestId): void {
    if (typeof id === 'string' && id.length > LONGEST) return;
    this.#ids.add(id);
    if (this.#ids.size <= MOST) return;
    const [oldest = id] = this.#ids;
    this.#ids.delete(oldest);
  }

  /** Removes an id. False if it is not known. */
  take(id: RequestId): boolean {
    return this.#ids.delete(id);
  }
}
