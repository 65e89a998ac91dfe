import type { Clock, Timer } from '../../runtime/clock.js';
import {
  type JsonRpcMessage,
  type JsonRpcRequest,
  NO_CLIENT,
  notification,
  property,
  type RequestId,
} from '../json-rpc.js';
import type { Endpoint } from '../routing.js';
import type { Guard } from './guard.js';
import type { Upstream } from './upstream.js';

/** Largest number of requests of a server that its session has not answered. */
const MOST_OPEN = 10_000;
/** Largest number of requests that wait for a client, and of characters in each. */
const MOST_HELD = 100;
const LONGEST_HELD = 100_000;
/** How long a request waits for a client, ms. */
const HOLD_TIME = 60_000;

/** Longest id, in characters: the server chooses it, and it is kept until the session answers. */
const LONGEST_ID = 4_096;

/** The process that sent a request, and the id that it gave it. */
interface Sender {
  readonly id: RequestId;
  /** Undefined when the process is lost: then nothing needs the answer, but the session still owes it. */
  upstream: Upstream | undefined;
}

interface Held {
  readonly message: JsonRpcRequest;
  readonly upstream: Upstream;
  readonly timer: Timer;
}

/**
 * The requests that an exclusive server sends to its session.
 *
 * A process may ask as soon as it is initialized, long before it gets its first client. Such requests wait for that client,
 * and so do those that come while a client is there, but has not completed its own handshake. Between two sessions nothing
 * waits: what a process asks then is about the session that has ended.
 */
export class ServerRequests {
  readonly #clock: Clock;
  readonly #guard: Guard;
  /** By the ids that the session knows: those of the process, unless the session owes an answer with the same id. */
  readonly #open = new Map<RequestId, Sender>();
  #held: Held[] = [];
  #isAttached = false;
  /** The session that has completed its handshake. */
  #session: Endpoint | undefined;
  /** The process that has served a session before this one. */
  #used: Upstream | undefined;
  #nextId = 1;

  constructor({ clock, guard }: { readonly clock: Clock; readonly guard: Guard }) {
    this.#clock = clock;
    this.#guard = guard;
  }

  /** Whether a session is there that has completed its handshake. */
  get isReady(): boolean {
    return this.#session !== undefined;
  }

  attach(): void {
    this.#isAttached = true;
  }

  /**
   * The session has completed its handshake: it gets what waits for it. Its process gets `notifications/roots/list_changed`,
   * unless it cannot know any other roots, or was not told that such notifications come (`roots: { listChanged: true }`).
   */
  ready(session: Endpoint, upstream: Upstream | undefined): void {
    this.#session = session;
    const knowsOthers = upstream !== undefined && (upstream === this.#used || upstream.hasRefused);
    if (knowsOthers && property(upstream.clientCapabilities.roots, 'listChanged') === true) {
      upstream.write(notification('notifications/roots/list_changed', undefined));
    }
    const held = this.#held.splice(0);
    for (const { timer } of held) timer.cancel();
    if (held.length === 0) return;
    // Its client does not expect anything before its `send` has returned.
    this.#guard.soon(() => {
      for (const { message, upstream: sender } of held) this.forward(message, sender);
    });
  }

  /** Passes a request of the server on to its session, now or later. */
  forward(message: JsonRpcRequest, upstream: Upstream): void {
    if (typeof message.id === 'string' && message.id.length > LONGEST_ID) {
      return upstream.refuse(message.id, 'the id of this request is too long');
    }
    if (this.#session !== undefined) this.#pass(message, upstream, this.#session);
    else this.#hold(message, upstream);
  }

  /** Passes the answer of the session on to the process that sent the request. */
  answer(message: JsonRpcMessage): Promise<void> {
    const sender = this.#open.get(message.id as RequestId);
    this.#open.delete(message.id as RequestId);
    // Without a sender, the request was cancelled, or was sent to an earlier session. The answer does not wait for its
    // turn: requests that have the turn before it may depend on it.
    return sender?.upstream === undefined ? Promise.resolve() : sender.upstream.send({ ...message, id: sender.id });
  }

  /** The server has cancelled a request. Returns what its session must learn; undefined if it does not know the request. */
  cancel(message: JsonRpcMessage, upstream: Upstream): JsonRpcMessage | undefined {
    const requestId = property(message.params, 'requestId') as RequestId;
    this.#dropHeld((held) => held.upstream === upstream && held.message.id === requestId);
    const isMeant = (sender: Sender | undefined) => sender?.upstream === upstream && sender.id === requestId;
    if (isMeant(this.#open.get(requestId))) {
      this.#open.delete(requestId);
      return message;
    }
    // Few have another id for the session, and only after a process was lost.
    const id = this.#nextId > 1 ? [...this.#open].find(([, sender]) => isMeant(sender))?.[0] : undefined;
    if (id === undefined) return undefined;
    this.#open.delete(id);
    return { ...message, params: { ...(message.params as object), requestId: id } };
  }

  /** The session has ended. */
  detach(upstream: Upstream | undefined): void {
    this.#isAttached = false;
    this.#session = undefined;
    this.#used = upstream;
    for (const { id, upstream: sender } of this.#open.values()) sender?.refuse(id, NO_CLIENT);
    this.#open.clear();
    for (const { message, upstream: sender, timer } of this.#held.splice(0)) {
      timer.cancel();
      sender.refuse(message.id, NO_CLIENT);
    }
  }

  /** A process is lost, and does not need its answers any more. */
  lose(upstream: Upstream): void {
    this.#dropHeld((held) => held.upstream === upstream);
    for (const [requestId, sender] of this.#open) {
      if (sender.upstream !== upstream) continue;
      // The next process may use the same id: the late answer to this one must not be taken for the answer to that.
      sender.upstream = undefined;
      this.#session?.receive(notification('notifications/cancelled', { requestId, reason: 'its server is gone' }));
    }
  }

  #hold(message: JsonRpcRequest, upstream: Upstream): void {
    const waits = this.#isAttached || upstream !== this.#used;
    const isSmall = waits && this.#held.length < MOST_HELD && JSON.stringify(message).length <= LONGEST_HELD;
    if (!isSmall) return upstream.refuse(message.id, NO_CLIENT);
    const expire = () => {
      this.#dropHeld((other) => other === held);
      upstream.refuse(message.id, NO_CLIENT);
    };
    const timer = this.#clock.after(HOLD_TIME, () => this.#guard.run(expire));
    const held = { message, upstream, timer };
    this.#held.push(held);
  }

  #pass(message: JsonRpcRequest, upstream: Upstream, session: Endpoint): void {
    if (this.#open.size >= MOST_OPEN) return upstream.refuse(message.id, 'too many requests are not answered yet');
    const id = this.#open.has(message.id) ? this.#freeId() : message.id;
    this.#open.set(id, { id: message.id, upstream });
    session.receive(id === message.id ? message : { ...message, id });
  }

  #freeId(): RequestId {
    let id: string;
    do id = `pool-${this.#nextId++}`;
    while (this.#open.has(id));
    return id;
  }

  #dropHeld(isMeant: (held: Held) => boolean): void {
    const dropped = this.#held.filter(isMeant);
    if (dropped.length === 0) return;
    for (const { timer } of dropped) timer.cancel();
    this.#held = this.#held.filter((held) => !dropped.includes(held));
  }
}
