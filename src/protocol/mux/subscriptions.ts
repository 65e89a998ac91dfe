import { type Answer, type JsonRpcMessage, property, success } from '../json-rpc.js';

/** A request of a session that waits for its answer. */
export interface Asker<S> {
  readonly session: S;
}

/** How subscriptions reach the server, and answers the sessions. */
export interface SubscriptionWire<A> {
  /** Sends a request of the pool; the answer is undefined when the server ended before. */
  request(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void;
  /** The same, before all that waits: a new process is told what the last one knew. */
  replay(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void;
  /** Answers a request; does nothing when it was cancelled, or its session is gone. */
  answer(asker: A, answer: Answer): void;
}

/** Most resources that one session may subscribe to. */
const MOST_SUBSCRIPTIONS = 10_000;

interface Subscription<S, A> {
  readonly sessions: Set<S>;
  /** Those who wait for the server's answer; undefined once it has come. */
  waiting: A[] | undefined;
  /** How many requests are under way that will answer them: there may be no server now, or an old and a new one. */
  asked: number;
}

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

  /** Whether a session has subscribed to as much as it may. */
  isFull(session: S): boolean {
    return (this.#bySession.get(session)?.size ?? 0) >= MOST_SUBSCRIPTIONS;
  }

  /** Returns the answer if it is known; otherwise it comes from the server. */
  subscribe(uri: string, asker: A): Answer | undefined {
    const known = this.#byUri.get(uri);
    const subscription = known ?? { sessions: new Set(), waiting: [], asked: 0 };
    subscription.sessions.add(asker.session);
    const uris = this.#bySession.get(asker.session);
    if (uris) uris.add(uri);
    else this.#bySession.set(asker.session, new Set([uri]));
    if (subscription.waiting === undefined) return success();
    subscription.waiting.push(asker);
    if (known === undefined) {
      this.#byUri.set(uri, subscription);
      this.#send(uri, subscription);
    }
    return undefined;
  }

  /** The same, to give it back. */
  unsubscribe(uri: string, asker: A): Answer | undefined {
    if (!this.#leave(uri, asker.session)) return success();
    this.#wire.request('resources/unsubscribe', { uri }, (answer) => {
      // A server that has ended knows of no subscription either.
      this.#wire.answer(asker, answer ?? success());
    });
    return undefined;
  }

  /** A session does not want the answer to its subscription any more: it is given back, unless it has it otherwise. */
  cancel(uri: string, asker: A): void {
    const subscription = this.#byUri.get(uri);
    if (!subscription?.waiting?.includes(asker)) return;
    subscription.waiting = subscription.waiting.filter((other) => other !== asker);
    if (!subscription.waiting.some(({ session }) => session === asker.session)) this.#giveBack(uri, asker.session);
  }

  /** A session is gone: what only it had subscribed to is given back. */
  drop(session: S): void {
    for (const uri of this.#bySession.get(session) ?? []) this.#giveBack(uri, session);
  }

  /**
   * Who is to hear that `uri` has changed: it may be part of what was subscribed to (2025-11-25, server/resources: "this
   * might be a sub-resource of the one that the client actually subscribed to").
   */
  subscribers(uri: string): Iterable<S> {
    const sessions = new Set<S>(this.#byUri.get(uri)?.sessions);
    // What it may be part of ends before, or with, a separator: so each is looked up, instead of all gone through.
    for (const { index } of uri.matchAll(/[/?#]/g)) {
      const wholes = uri[index] === '/' ? [uri.slice(0, index), uri.slice(0, index + 1)] : [uri.slice(0, index)];
      for (const whole of wholes) for (const session of this.#byUri.get(whole)?.sessions ?? []) sessions.add(session);
    }
    return sessions;
  }

  /** The server is another process now: subscribes to everything again. */
  replay(): void {
    for (const [uri, subscription] of this.#byUri) this.#send(uri, subscription, 'replay');
  }

  #send(uri: string, subscription: Subscription<S, A>, how: 'request' | 'replay' = 'request'): void {
    subscription.asked += 1;
    this.#wire[how]('resources/subscribe', { uri }, (answer) => {
      subscription.asked -= 1;
      // Asked again when there is another server, if anybody still wants it.
      if (answer === undefined && this.#byUri.get(uri) === subscription) return;
      this.#answer(subscription, answer ?? success());
      // What a server refuses nobody has.
      if (answer?.error) for (const session of [...subscription.sessions]) this.#leave(uri, session);
    });
  }

  #answer(subscription: Subscription<S, A>, answer: Answer): void {
    const askers = subscription.waiting ?? [];
    subscription.waiting = undefined;
    for (const asker of askers) this.#wire.answer(asker, answer);
  }

  #giveBack(uri: string, session: S): void {
    if (this.#leave(uri, session)) this.#wire.request('resources/unsubscribe', { uri }, () => {});
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
    // There is no server to answer, and nothing to be told to the next one.
    if (subscription.asked === 0) this.#answer(subscription, success());
    return true;
  }
}

/** The resource that a message is about; empty for what is no URI: a server may write anything. */
export function uriOf({ params }: JsonRpcMessage): string {
  const uri = property(params, 'uri');
  return typeof uri === 'string' ? uri : '';
}
