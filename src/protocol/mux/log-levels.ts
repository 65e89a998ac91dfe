import { type Answer, type JsonRpcMessage, property, success } from '../json-rpc.js';

/** Most verbose first (2025-11-25, server/utilities/logging). */
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type LogLevel = (typeof LEVELS)[number];

export function isLogLevel(value: unknown): value is LogLevel {
  return LEVELS.includes(value as LogLevel);
}

/** Who listens to logs, and from which level on; undefined: it asked for none, and hears all. */
export interface Listener {
  level: LogLevel | undefined;
  /** Whether it has not left. */
  isListening: boolean;
}

/** Whether a log message is one that `listener` wants. */
export function hears({ level }: Listener, message: JsonRpcMessage): boolean {
  if (level === undefined) return true;
  const index = LEVELS.indexOf(property(message.params, 'level') as LogLevel);
  // A level that the specification does not know is nobody's to hold back.
  return index === -1 || index >= LEVELS.indexOf(level);
}

/** How a level reaches the server: in turn with what sessions ask, or, when the process is new, before all that waits. */
export type LevelWire = Readonly<
  Record<
    'request' | 'replay',
    (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void
  >
>;

/** The log levels of all sessions of one server. A server has one level: that of the session that wants most. */
export class LogLevels {
  readonly #wire: LevelWire;
  /** How many sessions ask for each level, and how many for none. */
  readonly #counts = new Map<LogLevel | undefined, number>();
  /** What the process was told. */
  #told: LogLevel | undefined;

  constructor(wire: LevelWire) {
    this.#wire = wire;
  }

  attach(listener: Listener): void {
    listener.isListening = true;
    this.#count(listener.level, 1);
    // Before anybody has asked for a level, a server says what it likes to.
    if (this.#told !== undefined) this.#settle();
  }

  detach(listener: Listener): void {
    listener.isListening = false;
    this.#count(listener.level, -1);
    if (this.#told !== undefined) this.#settle();
  }

  /** A session asks for a level. Returns the answer if it is known; otherwise `onAnswer` gets that of the server. */
  set(listener: Listener, level: LogLevel, onAnswer: (answer: Answer) => void): Answer | undefined {
    const before = listener.level;
    this.#change(listener, level);
    if (this.#wanted === this.#told) return success();
    this.#settle((answer) => {
      if (answer?.error && listener.isListening && listener.level === level) this.#change(listener, before);
      // One that was lost is asked again when there is another process.
      onAnswer(answer ?? success());
    });
    return undefined;
  }

  /** There is another process, which was told nothing yet. */
  replay(): void {
    this.#told = undefined;
    this.#settle(undefined, 'replay');
  }

  /**
   * The level for the server; undefined while nobody has asked for any. A session that asked for none counts as `debug`
   * then: nobody knows what the server would tell it if it were alone, so that it must not miss anything.
   */
  get #wanted(): LogLevel | undefined {
    const asked = LEVELS.find((level) => this.#counts.has(level));
    return asked !== undefined && this.#counts.has(undefined) ? 'debug' : asked;
  }

  #settle(onAnswer: (answer: Answer | undefined) => void = () => {}, how: keyof LevelWire = 'request'): void {
    const wanted = this.#wanted ?? (this.#told === undefined ? undefined : 'debug');
    if (wanted === undefined || wanted === this.#told) return;
    const before = this.#told;
    this.#told = wanted;
    this.#wire[how]('logging/setLevel', { level: wanted }, (answer) => {
      // Whoever asks for it again is refused again.
      if (answer?.error && this.#told === wanted) this.#told = before;
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
