import { inspect } from 'node:util';
import { messageOf, PoolError } from '../errors.js';
import type { Outbox } from '../runtime/outbox.js';
import { type Inspect, shown } from '../runtime/shown.js';
import type { JsonRpcMessage } from './json-rpc.js';
import type { ObservedRequest } from './request-observer.js';
import type { Attachment, Endpoint, Routing } from './routing.js';
import { refused, sendable } from './sendable.js';

/** The transport of a lease, for `client.connect()` of SDK v1 and v2. */
export interface PooledTransport {
  /**
   * Starts to receive. The SDK's `client.connect()` calls it.
   * @throws PoolError `ALREADY_STARTED`; or why the lease has ended
   */
  start(): Promise<void>;
  /**
   * Rejects if the message cannot reach the server. The `options` of the SDK have no meaning over stdio.
   * @throws PoolError `NOT_CONNECTED` before the start; `INVALID_OPTIONS` when it is no JSON-RPC message, or cannot be written
   *   as JSON; `BUFFER_FULL`; or why the lease has ended
   */
  send(message: JsonRpcMessage, options?: unknown): Promise<void>;
  /** Releases the lease. */
  close(): Promise<void>;
  /** Called with each message from the server. */
  onmessage?: (message: JsonRpcMessage, extra?: unknown) => void;
  /** Called exactly once, however the lease has ended. */
  onclose?: () => void;
  /** Called with the reason why the lease ended, unless the client asked for it, and with what `onmessage` or `onclose` threw. */
  onerror?: (error: Error) => void;
  /** What `JSON.stringify` writes, and `console.log` shows: its state and its lease. */
  toJSON(): object;
}

/** Why a session ended. The error is made only when it is needed: most sessions end without one. */
export interface SessionEnd {
  /** Whether the client asked for it. The reason of any other end goes to `onerror`. */
  readonly asked: boolean;
  error(): PoolError;
}

/** What a session uses of the lease that it belongs to. */
export interface SessionCallbacks {
  /** Delivers to the client what happens during an operation. */
  readonly outbox: Outbox;
  /** The client closed its transport. */
  closeRequested(): void;
  /** The client has sent a message, or got an answer. */
  touched(): void;
}

/**
 * One client's conversation over a lease: the Transport for SDK v1 and v2.
 *
 * It has no `sessionId`, because both SDK clients would then skip `initialize`; and neither `pid` nor `stderr`, because v2
 * would then take it for its own stdio transport, and start processes of its own to find out the era.
 */
export class Session implements PooledTransport, Endpoint {
  onmessage?: (message: JsonRpcMessage, extra?: unknown) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly #routing: Routing;
  readonly #callbacks: SessionCallbacks;
  /** Undefined until it is started. */
  #attachment: Attachment | undefined;
  /** Whether a notification was handed over that the client has not handled yet. */
  #unread = false;
  /** Messages that must wait, and everything that came after them: see {@link receive}. Most sessions never have one. */
  #held: JsonRpcMessage[] | undefined;
  #end: SessionEnd | undefined;
  /** Whether its client closes it: then it needs no answer to its open requests. */
  #isClosing = false;
  /** Whether its client was called for the last time. */
  #isClosed = false;

  constructor(routing: Routing, callbacks: SessionCallbacks) {
    this.#routing = routing;
    this.#callbacks = callbacks;
  }

  /** The lease shows itself, by its own `toJSON()`. */
  toJSON(): object {
    const state = this.#end ? 'closed' : this.#attachment ? 'started' : 'new';
    return { state, openRequests: this.openRequests, lease: this.#callbacks };
  }

  [inspect.custom](depth: number, options: object, show: Inspect): string {
    return shown('PooledTransport', this.toJSON(), depth, options, show);
  }

  /** Number of requests that are not answered. */
  get openRequests(): number {
    return this.#attachment?.openRequests ?? 0;
  }

  /** Those requests. */
  requests(): Iterable<ObservedRequest> {
    return this.#attachment?.requests() ?? [];
  }

  async start(): Promise<void> {
    if (this.#end) throw this.#end.error();
    if (this.#attachment) {
      const message = 'this transport is started already; client.connect() starts it by itself';
      throw new PoolError('ALREADY_STARTED', message);
    }
    this.#attachment = this.#routing.attach(this);
  }

  send(message: JsonRpcMessage, _options?: unknown): Promise<void> {
    if (this.#end) return Promise.reject(this.#end.error());
    if (this.#attachment === undefined) {
      const message = 'this transport is not started: call start(), or client.connect()';
      return Promise.reject(new PoolError('NOT_CONNECTED', message));
    }
    this.#callbacks.touched();
    try {
      return this.#attachment.send(sendable(message));
    } catch (error) {
      // A part of the message cannot be read or written.
      return Promise.reject(refused(error));
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#callbacks.closeRequested();
  }

  /**
   * A message from the server. Both SDKs handle a notification one microtask after they got it, but an answer at once, and
   * the answer removes the progress handler: progress that came in one chunk with the answer would be lost. So an answer
   * waits until the notifications before it were handled. What comes during an operation of the pool waits until that is
   * complete, since the client may call the pool.
   */
  receive(message: JsonRpcMessage): void {
    const { outbox } = this.#callbacks;
    const mustWait = this.#held !== undefined || (this.#unread && message.method === undefined);
    if (!mustWait && !outbox.isHeld) return this.#handOver(message);
    this.#held ??= [];
    this.#held.push(message);
    if (!mustWait) outbox.push(() => this.#handOverHeld());
  }

  /** Hands over what is held, up to the next answer that must wait. */
  #handOverHeld(): void {
    for (let next = this.#held?.[0]; next !== undefined; next = this.#held?.[0]) {
      if (this.#unread && next.method === undefined) return;
      // Removed first: the client may end the session, which hands over the rest.
      this.#takeHeld();
      this.#handOver(next);
    }
  }

  #takeHeld(): JsonRpcMessage | undefined {
    const next = this.#held?.shift();
    if (this.#held?.length === 0) this.#held = undefined;
    return next;
  }

  /** The client has handled all notifications that were handed over. */
  #read(): void {
    this.#unread = false;
    this.#handOverHeld();
  }

  /** What the client's handler throws goes to `onerror`, and stops nothing else. */
  #handOver(message: JsonRpcMessage): void {
    if (this.#isClosed) return;
    if (message.method !== undefined && !this.#unread) {
      this.#unread = true;
      queueMicrotask(() => queueMicrotask(() => this.#read()));
    }
    // A notification of the server does not show that the holder of the lease still uses it.
    if (message.method === undefined) this.#callbacks.touched();
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.#report(error);
    }
  }

  /**
   * Ends the session, as part of an operation: `send` rejects from now on, and nothing of it stays with the server. Only the
   * first call counts.
   */
  end(end: SessionEnd): void {
    if (this.#end) return;
    this.#end = end;
    if (!end.asked || (this.openRequests > 0 && !this.#isClosing)) this.#attachment?.fail(end.error());
    this.#attachment?.detach();
    this.#callbacks.outbox.push(() => this.#close(end));
  }

  #close(end: SessionEnd): void {
    for (let next = this.#takeHeld(); next !== undefined; next = this.#takeHeld()) this.#handOver(next);
    this.#isClosed = true;
    if (!end.asked) this.#report(end.error());
    try {
      this.onclose?.();
    } catch (thrown) {
      this.#report(thrown);
    }
  }

  report(error: Error): void {
    this.#callbacks.outbox.push(() => this.#report(error));
  }

  #report(error: unknown): void {
    try {
      this.onerror?.(error instanceof Error ? error : new Error(messageOf(error)));
    } catch {
      // There is no other handler for what `onerror` throws.
    }
  }
}
