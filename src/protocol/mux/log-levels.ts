import { type Answer, type JsonRpcMessage, property, success } from '../json-rpc.js';

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

/** Send a request to the server: in turn with those of sessions; or, to a new process, before all messages that wait. */
export type LogLevelCallbacks = Readonly<
  Record<
    'request' | 'replay',
    (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void
  >
>;

/** The log levels of all sessions of one server. The server itself has one level: the most verbose of them. */
export class LogLevels {
  readonly #callbacks: LogLevelCallbacks;
  /** How many sessions asked for each level; by undefined, how many asked for none. */
  readonly #counts = new Map<LogLevel | undefined, number>();
  /** The level that was last sent to the process. */
  #sent: LogLevel | undefined;

  constructor(callbacks: LogLevelCallbacks) {
    this.#callbacks = callbacks;
  }

  attach(listener: Listener): void {
    listener.isListening = true;
    this.#count(listener.level, 1);
    // While no level was sent, the server uses its own default, also for a session that comes later.
    if (this.#sent !== undefined) this.#settle();
  }

  detach(listener: Listener): void {
    listener.isListening = false;
    this.#count(listener.level, -1);
    if (this.#sent !== undefined) this.#settle();
  }

  /** A session asks for a level. Returns the answer if it is known; otherwise `onAnswer` gets the answer of the server. */
  set(listener: Listener, level: LogLevel, onAnswer: (answer: Answer) => void): Answer | undefined {
    const before = listener.level;
    this.#change(listener, level);
    if (this.#wanted === this.#sent) return success();
    this.#settle((answer) => {
      if (answer?.error && listener.isListening && listener.level === level) this.#change(listener, before);
      // Without an answer the process was lost; the next one gets the level by `replay`.
      onAnswer(answer ?? success());
    });
    return undefined;
  }

  /** A new process serves the sessions. No level was sent to it yet. */
  replay(): void {
    this.#sent = undefined;
    this.#settle(undefined, 'replay');
  }

  /**
   * The level that the server needs; undefined while no session has asked for any. A session that asked for none then
   * counts as `debug`: the default of the server is not known, and such a session must not miss a message.
   */
  get #wanted(): LogLevel | undefined {
    const asked = LEVELS.find((level) => this.#counts.has(level));
    return asked !== undefined && this.#counts.has(undefined) ? 'debug' : asked;
  }

  /** Sends the level that the server needs, unless it has that. */
  #settle(onAnswer: (answer: Answer | undefined) => void = () => {}, how: keyof LogLevelCallbacks = 'request'): void {
    const wanted = this.#wanted ?? (this.#sent === undefined ? undefined : 'debug');
    if (wanted === undefined || wanted === this.#sent) return;
    const before = this.#sent;
    this.#sent = wanted;
    this.#callbacks[how]('logging/setLevel', { level: wanted }, (answer) => {
      // The server has refused it, and will be asked again for the next session that wants it.
      if (answer?.error && this.#sent === wanted) this.#sent = before;
      onAnswer(answer);
    });
  }

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
