import { type Answer, INVALID_PARAMS, type JsonRpcMessage, property, success } from '../json-rpc.js';
import { type Asker, type How, LatestWish, paramsOf, partsOf, type WishCallbacks } from './latest-wish.js';

/** Largest number of resources that one session may subscribe to. */
const MOST_SUBSCRIPTIONS = 10_000;
/** Largest sum of the lengths of their URIs, in characters: a URI may be as long as a message. */
const MOST_CHARACTERS = 4 * 1_048_576;
/** Most characters of the parameters beside the URI and `_meta`, as JSON. They are sent again to each new process. */
const MOST_BESIDE = 4_096;

/**
 * The subscriptions of all sessions of one server. The server sees a single subscriber: the first subscription and the last
 * unsubscription of each URI are sent to it. A session that subscribes before the server has answered waits for that answer.
 */
export class Subscriptions<S, A extends Asker<S>> {
  readonly #callbacks: WishCallbacks<A>;
  readonly #byUri = new Map<string, Subscription<S, A>>();
  /** The URIs of each session that has any, and the sum of their lengths. */
  readonly #bySession = new Map<S, { readonly uris: Set<string>; characters: number }>();

  constructor(callbacks: WishCallbacks<A>) {
    this.#callbacks = callbacks;
  }

  /** Whether a session has reached the limit of subscriptions. */
  isFull(session: S): boolean {
    const own = this.#bySession.get(session);
    return own !== undefined && (own.uris.size >= MOST_SUBSCRIPTIONS || own.characters >= MOST_CHARACTERS);
  }

  /**
   * Returns the answer if it is known; otherwise the answer of the server is passed on.
   * @throws TypeError if the parameters cannot be written as JSON
   */
  subscribe(message: JsonRpcMessage, asker: A): Answer | undefined {
    const parts = partsOf(message);
    const uri = uriOf(message);
    if (parts.asked.length > JSON.stringify({ uri }).length + MOST_BESIDE) {
      return { error: { code: INVALID_PARAMS, message: 'The parameters of this subscription are too large' } };
    }
    const known = this.#byUri.get(uri);
    const subscription = known ?? new Subscription<S, A>(uri, this.#callbacks, this.#ends);
    if (known === undefined) this.#byUri.set(uri, subscription);
    const own = this.#bySession.get(asker.session) ?? { uris: new Set(), characters: 0 };
    if (!own.uris.has(uri)) own.characters += uri.length;
    own.uris.add(uri);
    this.#bySession.set(asker.session, own);
    return subscription.subscribe({ ...parts, asker });
  }

  /** As {@link subscribe}. */
  unsubscribe(message: JsonRpcMessage, asker: A): Answer | undefined {
    const subscription = this.#byUri.get(uriOf(message));
    return subscription ? subscription.unsubscribe({ ...partsOf(message), asker }) : success();
  }

  /** A session has cancelled its request to subscribe. That ends its subscription, unless it has sent the request twice. */
  cancel(uri: string, asker: A): void {
    this.#byUri.get(uri)?.cancel(asker);
  }

  /** A session has ended, and its subscriptions with it. */
  drop(session: S): void {
    for (const uri of this.#bySession.get(session)?.uris ?? []) this.#byUri.get(uri)?.drop(session);
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
    for (const subscription of [...this.#byUri.values()]) subscription.replay();
  }

  readonly #ends = {
    left: (uri: string, session: S) => {
      const own = this.#bySession.get(session);
      if (own?.uris.delete(uri)) own.characters -= uri.length;
      if (own?.uris.size === 0) this.#bySession.delete(session);
    },
    unused: (uri: string) => this.#byUri.delete(uri),
  };
}

/** A request of a session to subscribe or to unsubscribe. */
interface SubscriptionAsk<A> {
  readonly asker: A;
  /** Its parameters, apart from `meta`. */
  readonly asked: string;
  readonly meta: unknown;
  readonly subscribes: boolean;
  /** Whether the session had no subscription before. */
  isNew: boolean;
}

type NewAsk<A> = Pick<SubscriptionAsk<A>, 'asker' | 'asked' | 'meta'>;

/** What the sessions of a server want of one URI: the parameters of a subscription to it, or none. */
class Subscription<S, A extends Asker<S>> extends LatestWish<SubscriptionAsk<A>> {
  readonly sessions = new Set<S>();
  readonly #uri: string;
  readonly #callbacks: WishCallbacks<A>;
  readonly #ends: { left(uri: string, session: S): void; unused(uri: string): void };
  /** The parameters of the latest subscriber. */
  #wanted: string | undefined;

  constructor(
    uri: string,
    callbacks: WishCallbacks<A>,
    ends: { left(uri: string, session: S): void; unused(uri: string): void },
  ) {
    super();
    this.#uri = uri;
    this.#callbacks = callbacks;
    this.#ends = ends;
  }

  subscribe(ask: NewAsk<A>): Answer | undefined {
    const isNew = !this.sessions.has(ask.asker.session);
    this.sessions.add(ask.asker.session);
    this.#wanted = ask.asked;
    return this.ask({ ...ask, subscribes: true, isNew });
  }

  unsubscribe(ask: NewAsk<A>): Answer | undefined {
    if (!this.sessions.has(ask.asker.session)) return success();
    this.#leave(ask.asker.session);
    // The others stay subscribed.
    if (this.sessions.size > 0) return success();
    return this.ask({ ...ask, subscribes: false, isNew: false });
  }

  cancel(asker: A): void {
    const [cancelled, ...later] = this.remove((ask) => ask.asker === asker);
    if (!cancelled?.isNew) return;
    const again = later.find((ask) => ask.asker.session === asker.session);
    // Its second request keeps the subscription; its request to give it back has ended it already.
    if (again?.subscribes) again.isNew = true;
    if (again) return;
    this.#leave(asker.session);
    this.settle();
  }

  drop(session: S): void {
    this.#leave(session);
    this.settle();
  }

  protected wish(): string | undefined {
    return this.sessions.size > 0 ? this.#wanted : undefined;
  }

  protected send(
    value: string | undefined,
    asks: readonly SubscriptionAsk<A>[],
    how: How,
    onAnswer: (answer: Answer | undefined) => void,
  ): void {
    const subscribes = value !== undefined;
    const latest = asks.filter((ask) => ask.subscribes === subscribes).at(-1);
    const method = subscribes ? 'resources/subscribe' : 'resources/unsubscribe';
    const params = paramsOf(value ?? latest?.asked ?? JSON.stringify({ uri: this.#uri }), latest?.meta);
    this.#callbacks.send(method, params, how, onAnswer, latest?.asker);
  }

  /** A session that has changed its mind since it asked does not get the answer to what another one asked for. */
  protected answer({ asker, subscribes }: SubscriptionAsk<A>, answer: Answer, value: string | undefined): void {
    this.#callbacks.answer(asker, subscribes === (value !== undefined) ? answer : success());
  }

  protected refused(value: string | undefined, asks: readonly SubscriptionAsk<A>[]): readonly SubscriptionAsk<A>[] {
    if (value === undefined) {
      // Nothing shows what the server has now. The next subscriber asks it again.
      this.has = undefined;
      return [];
    }
    const same = this.waiting.filter((ask) => ask.subscribes && ask.asked === value);
    const others = this.waiting.filter((ask) => ask.subscribes && ask.asked !== value);
    const failed = [...asks, ...same].filter((ask) => ask.isNew).map(({ asker }) => asker.session);
    for (const session of this.has === undefined ? [...this.sessions] : failed) {
      if (!others.some(({ asker }) => asker.session === session)) this.#leave(session);
    }
    this.#wanted = others.at(-1)?.asked ?? this.has;
    return same;
  }

  protected outlivesProcess({ subscribes }: SubscriptionAsk<A>): boolean {
    return subscribes;
  }

  protected settled(): void {
    if (this.sessions.size === 0 && this.has === undefined) this.#ends.unused(this.#uri);
  }

  #leave(session: S): void {
    if (this.sessions.delete(session)) this.#ends.left(this.#uri, session);
  }
}

/** The URI of the resource that a message is about; '' if it has none. */
export function uriOf({ params }: JsonRpcMessage): string {
  const uri = property(params, 'uri');
  return typeof uri === 'string' ? uri : '';
}
