import { type Answer, type JsonRpcMessage, success } from '../json-rpc.js';

/** A request of a session that waits for its answer. */
export interface Asker<S> {
  readonly session: S;
}

/** How a request of the pool is sent: in turn with those of sessions; or, to a new process, before all that wait. */
export type How = 'request' | 'replay';

/** What is called to reach the server and the sessions. */
export interface WishCallbacks<A> {
  /**
   * Sends a request to the server.
   * @param onAnswer called once; with undefined if the process is lost or replaced before it answers
   * @param asker the session that has caused the request, and gets its progress; undefined if none has
   */
  send(
    method: string,
    params: object,
    how: How,
    onAnswer: (answer: Answer | undefined) => void,
    asker: A | undefined,
  ): void;
  /** Answers the request of a session. Does nothing if that was cancelled, or the session has ended. */
  answer(asker: A, answer: Answer): void;
}

/** A request on its way to the server. */
interface Sending<K> {
  readonly value: string | undefined;
  /** The requests of sessions that it answers. */
  asks: readonly K[];
}

/**
 * Something at the server that its sessions decide together, such as its log level. The server has one value of it, the JSON
 * text of the parameters that were sent for it; undefined while nothing was sent.
 *
 * A server may work on several requests at once, and finish them in any order. So there is one request at a time: what is
 * asked for in the meantime waits for the answer, and then only the latest wish is sent.
 *
 * @typeParam K the request of a session that waits for its answer
 */
export abstract class LatestWish<K> {
  /** What the process that serves now has, as far as it has answered. */
  protected has: string | undefined;
  /** The requests of sessions that came after the one on its way was sent. */
  protected waiting: K[] = [];
  #sending: Sending<K> | undefined;
  /** Whether the process was lost that should have answered. `replay` asks the next one. */
  #isLost = false;

  /** What the sessions want it to be now. */
  protected abstract wish(): string | undefined;
  protected abstract send(
    value: string | undefined,
    asks: readonly K[],
    how: How,
    onAnswer: (answer: Answer | undefined) => void,
  ): void;
  /** Answers the request of a session, after `value` was sent. Does nothing if that does not wait any more. */
  protected abstract answer(ask: K, answer: Answer, value: string | undefined): void;
  /** The server has refused `value`. Returns which of `asks` are refused with it, besides those that it was sent for. */
  protected abstract refused(value: string | undefined, asks: readonly K[]): readonly K[];
  /** Whether the request of a session waits for the next process, after one is lost; else it is done. */
  protected abstract outlivesProcess(ask: K): boolean;
  /** Nothing is on its way, and nothing waits. */
  protected abstract settled(): void;

  /** A session has asked for something. Returns the answer if it is known; otherwise it comes later. */
  protected ask(ask: K): Answer | undefined {
    const isKnown = this.#sending === undefined && this.wish() === this.has;
    if (isKnown || (this.#isLost && !this.outlivesProcess(ask))) {
      this.settle();
      return success();
    }
    this.waiting.push(ask);
    this.settle();
    return undefined;
  }

  /** Sends what the sessions want now, unless the server has it, or owes an answer. */
  settle(how: How = 'request'): void {
    const value = this.wish();
    // A process that is lost has nothing. So nothing must be done if nothing is wanted.
    if (this.#isLost && value === undefined) this.#sending = undefined;
    if (this.#sending !== undefined) return;
    const asks = this.waiting;
    this.waiting = [];
    if (value === this.has) {
      for (const ask of asks) this.answer(ask, success(), value);
      if (this.#sending === undefined && this.waiting.length === 0) this.settled();
      return;
    }
    const sending = { value, asks };
    this.#sending = sending;
    this.send(value, asks, how, (answer) => this.#answered(sending, answer));
  }

  /** A new process serves the sessions. Nothing was sent to it yet. */
  replay(): void {
    this.waiting = [...(this.#sending?.asks ?? []), ...this.waiting];
    this.#sending = undefined;
    this.#isLost = false;
    this.has = undefined;
    this.settle('replay');
  }

  /** Removes a request that waits. Returns it, and those that came after it. */
  protected remove(isMeant: (ask: K) => boolean): readonly K[] {
    const asks = [...(this.#sending?.asks ?? []), ...this.waiting];
    const index = asks.findIndex(isMeant);
    if (index === -1) return [];
    const stays = (ask: K) => ask !== asks[index];
    if (this.#sending) this.#sending.asks = this.#sending.asks.filter(stays);
    this.waiting = this.waiting.filter(stays);
    return asks.slice(index);
  }

  #answered(sending: Sending<K>, answer: Answer | undefined): void {
    // The process was replaced before it answered.
    if (this.#sending !== sending) return;
    if (answer === undefined) return this.#lost(sending);
    this.#sending = undefined;
    const { value, asks } = sending;
    if (answer.error === undefined) this.has = value;
    const refused = answer.error === undefined ? [] : this.refused(value, asks);
    this.waiting = this.waiting.filter((ask) => !refused.includes(ask));
    for (const ask of [...asks, ...refused]) this.answer(ask, answer, value);
    // What was just refused is sent again only when a session asks for it again.
    if (answer.error === undefined || this.waiting.length > 0 || this.wish() !== value) this.settle();
    else this.settled();
  }

  #lost(sending: Sending<K>): void {
    this.#isLost = true;
    this.has = undefined;
    const asks = [...sending.asks, ...this.waiting];
    sending.asks = [];
    this.waiting = asks.filter((ask) => this.outlivesProcess(ask));
    for (const ask of asks) if (!this.outlivesProcess(ask)) this.answer(ask, success(), sending.value);
    this.settle();
  }
}

/** The parameters of a request: what it asks for, as JSON text, and what it says beside that. */
export function partsOf({ params }: JsonRpcMessage): { readonly asked: string; readonly meta: unknown } {
  const { _meta: meta, ...rest } = params as Record<string, unknown>;
  // In which order a client names them means nothing.
  const asked = Object.fromEntries(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
  // A copy: the sender may use the object for its next message.
  return { asked: JSON.stringify(asked), meta: meta === undefined ? undefined : JSON.parse(JSON.stringify(meta)) };
}

/** The parameters that are sent for `value`, on behalf of `meta`. */
export function paramsOf(value: string, meta: unknown): object {
  const params = JSON.parse(value) as object;
  return meta === undefined ? params : { ...params, _meta: meta };
}
