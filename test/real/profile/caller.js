// A client that shows what it gets. A client of the SDK would not tell which requests a server has sent to it.

const PROTOCOL = '2025-11-25';
const ANSWERS = {
  ping: () => ({}),
  'roots/list': () => ({ roots: [] }),
  'elicitation/create': () => ({ action: 'decline' }),
  'sampling/createMessage': () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: '' } }),
};

export class Caller {
  /** The methods of the requests that the server has sent. */
  asked = new Set();
  /** The answer to `initialize`. */
  hello;
  #transport;
  #timeout;
  #pending = new Map();
  #lastId = 0;
  #whenLost;

  /** Connects to a lease of a pool. @param timeout ms for each request */
  static async connect(lease, { capabilities = {}, timeout = 60_000 } = {}) {
    const caller = new Caller(lease.transport, timeout);
    await lease.transport.start();
    const clientInfo = { name: 'mcp-server-pool-profile', version: '1.0.0' };
    caller.hello = await caller.request('initialize', { protocolVersion: PROTOCOL, capabilities, clientInfo });
    await lease.transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return caller;
  }

  constructor(transport, timeout) {
    this.#transport = transport;
    this.#timeout = timeout;
    transport.onmessage = (message) => this.#receive(message);
    transport.onerror = (error) => {
      this.#whenLost = error;
    };
    transport.onclose = () => this.#lose(this.#whenLost ?? new Error('the lease has ended'));
  }

  /** Resolves with the result. @throws Error on an error, and when no answer comes in time */
  async request(method, params = {}) {
    const id = ++this.#lastId;
    let timer;
    const answer = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      timer = setTimeout(() => reject(new Error(`no answer to ${method} within ${this.#timeout} ms`)), this.#timeout);
    });
    answer.catch(() => {});
    try {
      await this.#transport.send({ jsonrpc: '2.0', id, method, params });
      return await answer;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  /** Calls a tool. Resolves with the texts of its result. @throws Error when the tool reports an error */
  async call(name, args = {}) {
    const { content = [], isError } = await this.request('tools/call', { name, arguments: args });
    const text = content.map((part) => part.text ?? `(${part.type})`).join('\n');
    if (isError) throw new Error(`${name}: ${text}`);
    return text;
  }

  /** All tools, page by page; none of a server without tools. */
  async tools() {
    if (this.hello.capabilities?.tools === undefined) return [];
    const all = [];
    let cursor;
    do {
      const { tools, nextCursor } = await this.request('tools/list', cursor === undefined ? {} : { cursor });
      all.push(...tools);
      cursor = nextCursor;
    } while (cursor !== undefined);
    return all;
  }

  #receive(message) {
    if (message.method === undefined) return this.#answered(message);
    if (message.id === undefined) return;
    this.asked.add(message.method);
    const result = ANSWERS[message.method]?.();
    const error = { code: -32601, message: `no such method: ${message.method}` };
    const answer = result === undefined ? { error } : { result };
    this.#transport.send({ jsonrpc: '2.0', id: message.id, ...answer }).catch(() => {});
  }

  #answered({ id, result, error }) {
    const pending = this.#pending.get(id);
    if (error === undefined) pending?.resolve(result);
    else pending?.reject(new Error(error.message));
  }

  #lose(error) {
    for (const { reject } of this.#pending.values()) reject(error);
  }
}
