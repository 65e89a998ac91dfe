import type { Answer } from './json-rpc.js';

/** A request of a session that waits for its answer. */
export interface Asker<S> {
  readonly session: S;
}

/** How subscriptions reach the server, and answers the sessions. */
export interface SubscriptionWire<A> {
  /** Sends a request of the pool; the answer is undefined when the server ended before. */
  request(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void;
  /** Answers a request; does nothing when it was cancelled, or its session is gone. */
  answer(asker: A, answer: Answer): void;
}

interface Subscription<S, A> {
  readonly sessions: Set<S>;
  /** Those who wait for the server's answer; undefined once it has come. */
  waiting: A[] | undefined;
}

const SUCCESS: Answer = { result: {} };

/**
 * Who has subscribed to which resource. A server knows one subscriber only: it is told of the first and of the last, and
 * whoever comes while it has not answered the first waits for that answer.
 */
export class Subscriptions<S, A extends Asker<S>> {
  readonly #wire: SubscriptionWire<A>;
  readonly #byUri = new Map<string, Subscription<S, A>>();
  /** The URIs of each session that has any. */
  readonly #bySession = new Map<S, Set<string>>();

  constructor(wire: SubscriptionWire<A>) {
    this.#wire = wire;
  }

  /** Returns the answer if it is known; otherwise it comes from the server. */
  subscribe(uri: string, asker: A): Answer | undefined {
    const known = this.#byUri.get(uri);
    const subscription = known ?? { sessions: new Set(), waiting: [] };
    subscription.sessions.add(asker.session);
    const uris = this.#bySession.get(asker.session);
    if (uris) uris.add(uri);
    else this.#bySession.set(asker.session, new Set([uri]));
    if (subscription.waiting === undefined) return SUCCESS;
    subscription.waiting.push(asker);
    if (known === undefined) {
      this.#byUri.set(uri, subscription);
      this.#send(uri, subscription);
    }
    return undefined;
  }

  /** The same, to give it back. */
  unsubscribe(uri: string, asker: A): Answer | undefined {
    if (!this.#leave(uri, asker.session)) return SUCCESS;
    this.#wire.request('resources/unsubscribe', { uri }, (answer) => {
      // A server that has ended knows of no subscription either.
      this.#wire.answer(asker, answer ?? SUCCESS);
    });
    return undefined;
  }

  /** A session does not want a subscription any more, and nobody waits for an answer. */
  giveBack(uri: string, session: S): void {
    if (this.#leave(uri, session)) this.#wire.request('resources/unsubscribe', { uri }, () => {});
  }

  /** A session is gone: what only it had subscribed to is given back. */
  drop(session: S): void {
    for (const uri of this.#bySession.get(session) ?? []) this.giveBack(uri, session);
  }

  /**
   * Who is to hear that `uri` has changed: it may be part of what was subscribed to (2025-11-25, server/resources: "this
   * might be a sub-resource of the one that the client actually subscribed to").
   */
  subscribers(uri: string): Iterable<S> {
    const exact = this.#byUri.get(uri);
    if (exact) return [...exact.sessions];
    const sessions = new Set<S>();
    for (const [whole, subscription] of this.#byUri) {
      const isPart = uri.startsWith(whole) && (whole.endsWith('/') || '/?#'.includes(uri.charAt(whole.length)));
      if (isPart) for (const session of subscription.sessions) sessions.add(session);
    }
    return sessions;
  }

  /** The server is another process now: subscribes to everything again. */
  replay(): void {
    for (const [uri, subscription] of this.#byUri) this.#send(uri, subscription);
  }

  #send(uri: string, subscription: Subscription<S, A>): void {
    this.#wire.request('resources/subscribe', { uri }, (answer) => {
      // Asked again when there is another server.
      if (answer === undefined) return;
      const askers = subscription.waiting ?? [];
      subscription.waiting = undefined;
      // What a server refuses nobody has; it may have been given back, and taken again, while the answer was on its way.
      if (answer.error !== undefined && this.#byUri.get(uri) === subscription) {
        for (const session of [...subscription.sessions]) this.#leave(uri, session);
      }
      for (const asker of askers) this.#wire.answer(asker, answer);
    });
  }

  /** True when that was the last subscriber, so that the server must be told. */
  #leave(uri: string, session: S): boolean {
    const subscription = this.#byUri.get(uri);
    if (!subscription?.sessions.delete(session)) return false;
    const uris = this.#bySession.get(session);
    uris?.delete(uri);
    if (uris?.size === 0) this.#bySession.delete(session);
    if (subscription.sessions.size > 0) return false;
    this.#byUri.delete(uri);
    return true;
  }
}
