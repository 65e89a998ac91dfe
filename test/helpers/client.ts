import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import type { PooledTransport } from '../../src/protocol/session.js';

/** An error answer, from the server or from the pool. */
class RpcError extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor({ code, message, data }: { code: number; message: string; data?: unknown }) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

interface Waiting {
  readonly id: RequestId;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Returns the result for a request of the server, or throws to answer with an error. */
export type RequestHandler = (method: string, params: unknown) => unknown;

/** A client without an SDK: it records every message, and can send messages that no SDK would send. */
export class RawClient {
  readonly transport: PooledTransport;
  /** Every received message, oldest first. */
  readonly received: JsonRpcMessage[] = [];
  /** Answers to no request of this client. Must stay empty. */
  readonly strays: JsonRpcMessage[] = [];
  readonly errors: Error[] = [];
  closeCount = 0;
  readonly closed: Promise<void>;
  /** When undefined, requests of the server stay unanswered. */
  onRequest: RequestHandler | undefined;
  readonly #waiting: Waiting[] = [];
  #nextId = 1;

  constructor(transport: PooledTransport) {
    this.transport = transport;
    transport.onmessage = (message) => this.#receive(message);
    transport.onerror = (error) => this.errors.push(error);
    this.closed = new Promise((resolve) => {
      transport.onclose = () => {
        this.closeCount += 1;
        resolve();
      };
    });
  }

  /** Starts the transport and initializes, as an SDK client does. Returns the result of initialize. */
  static async connect(transport: PooledTransport, protocolVersion?: string): Promise<RawClient> {
    const client = new RawClient(transport);
    await transport.start();
    await client.initialize(protocolVersion);
    return client;
  }

  async initialize(protocolVersion = '2025-11-25'): Promise<unknown> {
    const result = await this.request('initialize', {
      protocolVersion,
      capabilities: {},
      clientInfo: { name: 'raw-client', version: '1.0.0' },
    });
    await this.notify('notifications/initialized');
    return result;
  }

  /** Sends a request; resolves with its result, rejects with an {@link RpcError} or with the error of `send`. */
  request(method: string, params?: unknown, id: RequestId = this.#nextId++): Promise<unknown> {
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.push({ id, resolve, reject }));
    this.transport.send({ jsonrpc: '2.0', id, method, params }).catch((error: Error) => this.#take(id)?.reject(error));
    // No unhandled rejection when a test looks at a lost request later, or never.
    answer.catch(() => {});
    return answer;
  }

  notify(method: string, params?: unknown): Promise<void> {
    return this.transport.send({ jsonrpc: '2.0', method, params });
  }

  /** Calls a tool and returns its text, parsed if it is JSON. */
  async callTool(name: string, args: object = {}, id?: RequestId): Promise<unknown> {
    const result = (await this.request('tools/call', { name, arguments: args }, id)) as { content: { text: string }[] };
    const text = result.content[0]?.text ?? '';
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  /** The params of all received notifications of a method. */
  notifications(method: string): unknown[] {
    return this.received
      .filter((message) => message.method === method && message.id === undefined)
      .map(({ params }) => params);
  }

  close(): Promise<void> {
    return this.transport.close();
  }

  #receive(message: JsonRpcMessage): void {
    this.received.push(message);
    if (message.method !== undefined) {
      if (message.id !== undefined && message.id !== null && this.onRequest) this.#answer(message.id, message);
      return;
    }
    const waiting = this.#take(message.id as RequestId);
    if (waiting === undefined) this.strays.push(message);
    else if (message.error !== undefined) waiting.reject(new RpcError(message.error));
    else waiting.resolve(message.result);
  }

  #answer(id: RequestId, { method, params }: JsonRpcMessage): void {
    let answer: JsonRpcMessage;
    try {
      answer = { jsonrpc: '2.0', id, result: this.onRequest?.(method ?? '', params) };
    } catch (error) {
      answer = { jsonrpc: '2.0', id, error: { code: -32603, message: String(error) } };
    }
    this.transport.send(answer).catch((error: Error) => this.errors.push(error));
  }

  /** Removes and returns the oldest request with exactly this id: 1 is not "1". */
  #take(id: RequestId): Waiting | undefined {
    const index = this.#waiting.findIndex((waiting) => waiting.id === id);
    return index === -1 ? undefined : this.#waiting.splice(index, 1)[0];
  }
}
