/** Messages of a server that belong to one of the requests that it works on. */
const BELONGS = new Set(['notifications/message', 'notifications/cancelled']);

/** The requests of a session that are not answered, in the order of their arrival. */
export class OpenRequests {
  /** Id of the request → its progress token. */
  #open = new Map();

  get size() {
    return this.#open.size;
  }

  ids() {
    return [...this.#open.keys()];
  }

  add({ id, params }) {
    this.#open.set(id, params?._meta?.progressToken);
  }

  has(id) {
    return this.#open.has(id);
  }

  remove(id) {
    this.#open.delete(id);
  }

  /**
   * The request on whose stream a message of the server is sent; undefined: the stream that the client has opened by GET.
   * The stdio of a server does not say to which request a message belongs, so what may belong to one goes with the newest: its
   * stream is open, while the other one may not be, and both lead to the same client.
   */
  of({ id, method, params }) {
    if (method === undefined) return id;
    if (method === 'notifications/progress') return this.#withToken(params?.progressToken);
    if (id !== undefined || BELONGS.has(method)) return this.ids().at(-1);
    return undefined;
  }

  #withToken(token) {
    for (const [id, own] of this.#open) if (own !== undefined && own === token) return id;
    return undefined;
  }
}
