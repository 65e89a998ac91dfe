import { type JsonRpcMessage, otherForm, type RequestId } from '../json-rpc.js';

/** Requests that are open, by their ids on the wire. */
interface OpenIds {
  readonly size: number;
  keys(): Iterable<RequestId>;
}

/**
 * Whether a server has read the notifications that were sent to it. Some servers answer those, too, with an error without an
 * id. Such an error can belong to a request only when nothing else is open that it could answer.
 */
export class Notices {
  /** Whether one was sent, and no later request was answered yet. */
  #isOpen = false;
  /** The first request that was sent after the last notification. */
  #next: RequestId | undefined;

  get areRead(): boolean {
    return !this.#isOpen;
  }

  sent({ id, method }: JsonRpcMessage): void {
    if (method === undefined) return;
    if (id !== undefined && id !== null) return this.sentRequest(id);
    this.#isOpen = true;
    this.#next = undefined;
  }

  sentRequest(id: RequestId): void {
    if (this.#isOpen) this.#next ??= id;
  }

  answered(id: RequestId): void {
    if (this.#isOpen && id === this.#next) this.#isOpen = false;
  }

  /** The id of the request that an answer belongs to, where it can belong to one only; else an id that no request has. */
  idOf({ id }: JsonRpcMessage, ...open: readonly OpenIds[]): RequestId {
    if (typeof id === 'number') return id;
    if (typeof id === 'string') return otherForm(id);
    const isOnly = this.areRead && open.reduce((count, { size }) => count + size, 0) === 1;
    const [only = Number.NaN] = isOnly ? open.flatMap((ids) => [...ids.keys()]) : [];
    return only;
  }
}
