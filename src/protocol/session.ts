import { messageOf, type PoolError } from '../errors.js';
import type { JsonRpcMessage } from './json-rpc.js';
import type { Endpoint, Routing } from './routing.js';

/** The transport of a lease, for `client.connect()` of SDK v1 and v2. */
export interface PooledTransport {
  /** Begins to receive. The SDK's `client.connect()` calls it. Rejects when it was called before, or the lease has ended. */
  start(): Promise<void>;
  /** Rejects when the message cannot reach the server; `options` of the SDK have no meaning over stdio. */
  send(message: JsonRpcMessage, options?: unknown): Promise<void>;
  /** Releases the lease. */
  close(): Promise<void>;
  /** Called with each message of the server. */
  onmessage?: (message: JsonRpcMessage, extra?: unknown) => void;
  /** Called exactly once, whatever ended the lease. */
  onclose?: () => void;
  /** Called with what goes wrong: why the lease ended, when nobody asked for it, and what a handler threw. */
  onerror?: (error: Error) => void;
}

/** Why a session ended. The error is made when somebody sees it: most sessions end without one. */
export interface SessionEnd {
  /** Whether the client asked for it; every other end is told to `onerror`. */
  readonly asked: boolean;
  error(): PoolError;
}

/** What a session needs of the server it talks to. */
export interface SessionHost {
  readonly routing: Routing;
  /** The session wants to read from now on. */
  opened(): void;
  /** The client closed its transport. */
  closeRequested(): void;
  /** Something went over the session. */
  touched(): void;
}

/**
 * One client's conversation over a lease. It has neither `sessionId` (both SDK clients would skip `initialize`) nor `pid`
 * and `stderr` (v2 would take it for its own stdio transport, and probe eras with processes of its own).
 */
export class Session implements PooledTransport, Endpoint {
  onmessage?: (message: JsonRpcMessage, extra?: unknown) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly #host: SessionHost;
  #started = false;
  /** Set before its open requests are answered: a client may close when it learns that they are lost. */
  #ending = false;
  #ended: SessionEnd | undefined;

  constructor(host: SessionHost) {
    this.#host = host;
  }

  async start(): Promise<void> {
    if (this.#ended) throw this.#ended.error();
    if (this.#started) throw new Error('this transport is started already; client.connect() starts it by itself');
    this.#started = true;
    this.#host.routing.attach(this);
    this.#host.opened();
  }

  send(message: JsonRpcMessage, _options?: unknown): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended.error());
    if (!this.#started)
      return Promise.reject(new Error('this transport is not started: call start(), or client.connect()'));
    this.#host.touched();
    return this.#host.routing.send(this, message);
  }

  async close(): Promise<void> {
    this.#host.closeRequested();
  }

  /** A message of the server. A handler that throws hurts nobody else. */
  receive(message: JsonRpcMessage): void {
    if (this.#ended) return;
    // What a server says unasked does not show that the holder of the lease is still there.
    if (message.method === undefined) this.#host.touched();
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.report(error);
    }
  }

  /** Ends the session; `send` rejects from now on. Only the first call counts. */
  end(end: SessionEnd): void {
    if (this.#ending) return;
    this.#ending = true;
    // A client that asked for the end knows what becomes of its requests; any other is told.
    if (!end.asked) this.#host.routing.fail(end.error());
    this.#ended = end;
    this.#host.routing.detach(this);
    if (!end.asked) this.report(end.error());
    try {
      this.onclose?.();
    } catch (thrown) {
      this.report(thrown);
    }
  }

  report(error: unknown): void {
    try {
      this.onerror?.(error instanceof Error ? error : new Error(messageOf(error)));
    } catch {
      // A handler for errors that throws itself has nobody left to tell.
    }
  }
}
