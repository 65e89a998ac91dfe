import { type Answer, type JsonRpcMessage, property, success } from '../json-rpc.js';

/** A request of a session that waits for its answer. */
export interface Asker<S> {
  readonly session: S;
}

/** What {@link Subscriptions} calls to reach the server and the sessions. */
export interface SubscriptionCallbacks<A> {
  /** Sends a request to the server, in turn with those of sessions. The answer is undefined if the process is lost. */
  request(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void;
  /** Sends a request to a new process, before all messages that wait. */
  replay(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void;
  /** Answers the request of a session. Does nothing if that was cancelled, or the session has ended. */
  answer(asker: A, answer: Answer): void;
}

/** Largest number of resources that one session may subscribe to. */
const MOST_SUBSCRIPTIONS = 10_000;

interface Subscription<S, A> {
  readonly sessions: Set<S>;
  /** The requests that wait for the server's answer; undefined when it has come. */
  waiting: A[] | undefined;
  /** How many requests to the server will answer them: 0 while there is no process, 2 while one replaces another. */
  pending: number;
}

/**
 * The subscriptions of all sessions of one server. The server sees a single subscriber: the first subscription and the last
 * unsubscription of each URI are sent to it. A session that subscribes before the server has answered waits for that answer.
 */
export class Subscriptions<S, A extends Asker<S>> {
  readonly #callbacks: SubscriptionCallbacks<A>;
  readonly #byUri = new Map<string, Subscription<S, A>>();
  /** The URIs of each session that has any. */
  readonly #bySession = new Map<S, Set<string>>();

  constructor(callbacks: SubscriptionCallbacks<A>) {
    this.#callbacks = callbacks;
  }

  /** Whether a session has reached the limit of subscriptions. */
  isFull(session: S): boolean {
    return (this.#bySession.get(session)?.size ?? 0) >= MOST_SUBSCRIPTIONS;
  }

  /** Returns the answer if it is known; otherwise the answer of the server is passed on. */
  subscribe(uri: string, asker: A): Answer | undefined {
    const known = this.#byUri.get(uri);
    const subscription = known ?? { sessions: new Set(), waiting: [], pending: 0 };
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

  /** Returns the answer if it is known; otherwise the answer of the server is passed on. */
  unsubscribe(uri: string, asker: A): Answer | undefined {
    if (!this.#leave(uri, asker.session)) return success();
    this.#callbacks.request('resources/unsubscribe', { uri }, (answer) => {
      // A process that is lost has no subscriptions any more.
      this.#callbacks.answer(asker, answer ?? success());
    });
    return undefined;
  }

  /** A session has cancelled its request to subscribe. That ends its subscription, unless it has sent the request twice. */
  cancel(uri: string, asker: A): void {
    const subscription = this.#byUri.get(uri);
    if (!subscription?.waiting?.includes(asker)) return;
    subscription.waiting = subscription.waiting.filter((other) => other !== asker);
    if (!subscription.waiting.some(({ session }) => session === asker.session)) this.#giveBack(uri, asker.session);
  }

  /** A session has ended, and its subscriptions with it. */
  drop(session: S): void {
    for (const uri of this.#bySession.get(session) ?? []) this.#giveBack(uri, session);
  }

  /**
   * The sessions that must learn that `uri` has changed: those that subscribed to it, or to a resource that it is part of
   * (2025-11-25, server/resources: "this might be a sub-resource of the one that the client actually subscribed to").
   */
  subscribers(uri: string): Iterable<S> {
    const sessions = new Set<S>(this.#byUri.get(uri)?.sessions);
    // The URI of a larger resource ends before a separator, or with it. To look up each is faster than to compare all.
    for (const { index } of uri.matchAll(/[/?#]/g)) {
      const wholes = uri[index] === '/' ? [uri.slice(0, index), uri.slice(0, index + 1)] : [uri.slice(0, index)];
      for (const whole of wholes) for (const session of this.#byUri.get(whole)?.sessions ?? []) sessions.add(session);
    }
    return sessions;
  }

  /** A new process serves the sessions: subscribes to everything again. */
  replay(): void {
    for (const [uri, subscription] of this.#byUri) this.#send(uri, subscription, 'replay');
  }

  #send(uri: string, subscription: Subscription<S, A>, how: 'request' | 'replay' = 'request'): void {
    subscription.pending += 1;
    this.#callbacks[how]('resources/subscribe', { uri }, (answer) => {
      subscription.pending -= 1;
      // The process is lost. `replay` asks the next one.
      if (answer === undefined && this.#byUri.get(uri) === subscription) return;
      this.#answer(subscription, answer ?? success());
      // The server has refused it.
      if (answer?.error) for (const session of [...subscription.sessions]) this.#leave(uri, session);
    });
  }

  #answer(subscription: Subscription<S, A>, answer: Answer): void {
    const askers = subscription.waiting ?? [];
    subscription.waiting = undefined;
    for (const asker of askers) this.#callbacks.answer(asker, answer);
  }

  #giveBack(uri: string, session: S): void {
    if (this.#leave(uri, session)) this.#callbacks.request('resources/unsubscribe', { uri }, () => {});
  }

  /** Removes a subscriber. True when it was the last, so that the server must unsubscribe. */
  #leave(uri: string, session: S): boolean {
    const subscription = this.#byUri.get(uri);
    if (!subscription?.sessions.delete(session)) return false;
    const uris = this.#bySession.get(session);
    uris?.delete(uri);
    if (uris?.size === 0) this.#bySession.delete(session);
    if (subscription.sessions.size > 0) return false;
    this.#byUri.delete(uri);
    // There is no process that could answer, and the next one will not be asked.
    if (subscription.pending === 0) this.#answer(subscription, success());
    return true;
  }
}

/** The URI of the resource that a message is about; '' if it has none. */
export function uriOf({ params }: JsonRpcMessage): string {
  const uri = property(params, 'uri');
  return typeof uri === 'string' ? uri : '';
}
