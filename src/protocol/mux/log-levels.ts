import { type Answer, type JsonRpcMessage, property } from '../json-rpc.js';
import { type Asker, type How, LatestWish, paramsOf, partsOf, type WishCallbacks } from './latest-wish.js';

/** Most verbose first (2025-11-25, server/utilities/logging). */
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type LogLevel = (typeof LEVELS)[number];

/** A session, as far as logging is concerned. */
export interface Listener {
  /** The least severe level that it wants. Undefined: it has not asked for a level, and gets all messages. */
  level: LogLevel | undefined;
  /** Whether it is attached. */
  isListening: boolean;
}

/** A request of a session for a level. */
interface LevelAsk<A> {
  readonly asker: A;
  readonly meta: unknown;
  /** The level that the session goes back to if this one is refused. */
  before: LogLevel | undefined;
}

/** The log levels of all sessions of one server. The server itself has one level: the most verbose of them. */
export class LogLevels<A extends Asker<Listener>> extends LatestWish<LevelAsk<A>> {
  readonly #callbacks: WishCallbacks<A>;
  /** How many sessions asked for each level; by undefined, how many asked for none. */
  readonly #counts = new Map<LogLevel | undefined, number>();
  /** The parameters of the latest request of a session: a later version of the protocol may know more than a level. */
  #asked = '{}';

  constructor(callbacks: WishCallbacks<A>) {
    super();
    this.#callbacks = callbacks;
  }

  attach(listener: Listener): void {
    listener.isListening = true;
    this.#count(listener.level, 1);
    // While no level was sent, the server uses its own default, also for a session that comes later.
    this.settle();
  }

  detach(listener: Listener): void {
    listener.isListening = false;
    this.#count(listener.level, -1);
    // Of what a session said beside its level, nothing stays.
    if (this.#wanted === undefined) this.#asked = '{}';
    this.settle();
  }

  /**
   * A session asks for a level. Returns the answer if it is known; otherwise the answer of the server is passed on.
   * @throws TypeError if the parameters cannot be written as JSON
   */
  set(level: LogLevel, message: JsonRpcMessage, asker: A): Answer | undefined {
    const { asked, meta } = partsOf(message);
    const before = asker.session.level;
    this.#asked = asked;
    this.#change(asker.session, level);
    return this.ask({ asker, meta, before });
  }

  protected wish(): string | undefined {
    const level = this.#wanted ?? (this.has === undefined ? undefined : 'debug');
    return level === undefined ? undefined : JSON.stringify({ ...JSON.parse(this.#asked), level });
  }

  /**
   * The level that the server needs; undefined while no session has asked for any. A session that asked for none then
   * counts as `debug`: the default of the server is not known, and such a session must not miss a message.
   */
  get #wanted(): LogLevel | undefined {
    const asked = LEVELS.find((level) => this.#counts.has(level));
    return asked !== undefined && this.#counts.has(undefined) ? 'debug' : asked;
  }

  protected send(
    value: string,
    asks: readonly LevelAsk<A>[],
    how: How,
    onAnswer: (answer: Answer | undefined) => void,
  ): void {
    const latest = asks.at(-1);
    this.#callbacks.send('logging/setLevel', paramsOf(value, latest?.meta), how, onAnswer, latest?.asker);
  }

  protected answer({ asker }: LevelAsk<A>, answer: Answer): void {
    this.#callbacks.answer(asker, answer);
  }

  protected refused(_value: string | undefined, asks: readonly LevelAsk<A>[]): readonly LevelAsk<A>[] {
    for (const { asker, before } of [...asks].reverse()) {
      const later = this.waiting.find((ask) => ask.asker.session === asker.session);
      if (later) later.before = before;
      else if (asker.session.isListening) this.#change(asker.session, before);
    }
    if (this.waiting.length === 0) this.#asked = this.has ?? '{}';
    return [];
  }

  /** The next process gets the level whether the session waits for that or not. */
  protected outlivesProcess(): boolean {
    return false;
  }

  protected settled(): void {}

  #change(listener: Listener, level: LogLevel | undefined): void {
    this.#count(listener.level, -1);
    listener.level = level;
    this.#count(level, 1);
  }

  #count(level: LogLevel | undefined, change: number): void {
    const count = (this.#counts.get(level) ?? 0) + change;
    if (count > 0) this.#counts.set(level, count);
    else this.#counts.delete(level);
  }
}

export function isLogLevel(value: unknown): value is LogLevel {
  return LEVELS.includes(value as LogLevel);
}

/** Whether a log message is severe enough for `listener`. */
export function hears({ level }: Listener, message: JsonRpcMessage): boolean {
  if (level === undefined) return true;
  const index = LEVELS.indexOf(property(message.params, 'level') as LogLevel);
  // A level that is not in the specification cannot be compared: the message is delivered.
  return index === -1 || index >= LEVELS.indexOf(level);
}
