import { messageOf, type PoolError } from '../errors.js';
import type { JsonRpcMessage } from './json-rpc.js';
import type { Attachment, Endpoint, Routing } from './routing.js';

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

/** Whose session it is. */
export interface SessionOwner {
  /** The client closed its transport. */
  closeRequested(): void;
  /** Its client said something, or was answered. */
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
  readonly #routing: Routing;
  readonly #owner: SessionOwner;
  /** Undefined until it is started. */
  #attachment: Attachment | undefined;
  /** Whether a notification was handed over that its client has not looked at yet. */
  #unread = false;
  /** An answer that must wait until then, and whatever came after it. */
  readonly #held: JsonRpcMessage[] = [];
  #end: SessionEnd | undefined;
  /** Whether its client was called for the last time. */
  #isClosed = false;

  constructor(routing: Routing, owner: SessionOwner) {
    this.#routing = routing;
    this.#owner = owner;
  }

  /** Requests that are not answered. */
  get openRequests(): number {
    return this.#attachment?.openRequests ?? 0;
  }

  async start(): Promise<void> {
    if (this.#end) throw this.#end.error();
    if (this.#attachment) throw new Error('this transport is started already; client.connect() starts it by itself');
    this.#attachment = this.#routing.attach(this);
  }

  send(message: JsonRpcMessage, _options?: unknown): Promise<void> {
    if (this.#end) return Promise.reject(this.#end.error());
    if (this.#attachment === undefined) {
      return Promise.reject(new Error('this transport is not started: call start(), or client.connect()'));
    }
    this.#owner.touched();
    try {
      return this.#attachment.send(message);
    } catch (error) {
      // What is no message at all.
      return Promise.reject(error);
    }
  }

  async close(): Promise<void> {
    this.#owner.closeRequested();
  }

  /**
   * A message of the server. Both SDKs look at a notification one microtask after they got it, but at an answer at once,
   * and with the answer they forget the progress handler: progress that came in one chunk with the answer would be lost.
   * So an answer waits until what came before it was looked at.
   */
  receive(message: JsonRpcMessage): void {
    const mustWait = this.#held.length > 0 || (this.#unread && message.method === undefined);
    // Once it ends, its client is called when the operation that ended it is complete.
    if (mustWait || this.#end) this.#held.push(message);
    else this.#handOver(message);
  }

  /** Hands over what is held, up to the next answer that must wait. */
  #handOverHeld(): void {
    this.#unread = false;
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      if (this.#unread && next.method === undefined) return;
      // Taken out first: its client may end the session, which hands over the rest.
      this.#held.shift();
      this.#handOver(next);
    }
  }

  /** A handler that throws hurts nobody else. */
  #handOver(message: JsonRpcMessage): void {
    if (this.#isClosed) return;
    if (message.method !== undefined && !this.#unread) {
      this.#unread = true;
      queueMicrotask(() => queueMicrotask(() => this.#handOverHeld()));
    }
    // What a server says unasked does not show that the holder of the lease is still there.
    if (message.method === undefined) this.#owner.touched();
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.report(error);
    }
  }

  /**
   * Ends the session: `send` rejects from now on, and nothing of it stays with the server. Returns what is still to be done
   * for its client, which may call back: to be called once, when the operation that ends the session is complete. Only the
   * first call counts.
   */
  end(end: SessionEnd): () => void {
    if (this.#end) return () => {};
    this.#end = end;
    // A client that asked for the end knows what becomes of its requests; any other gets an answer to each.
    if (!end.asked) this.#attachment?.fail(end.error());
    this.#attachment?.detach();
    return () => this.#close(end);
  }

  #close(end: SessionEnd): void {
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) this.#handOver(next);
    this.#isClosed = true;
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
