import { quoted } from '../../runtime/quoted.js';
import type { JsonRpcMessage } from '../json-rpc.js';

/** How many of what was dropped are kept: of the life of a process, and in each report. */
const MOST_SAMPLES = 5;
/** Longest sample, in characters. */
const LONGEST_SAMPLE = 200;
/** How much of a line is searched for secrets. */
const LONGEST_LINE = 16_384;

/** What was dropped since the last report. */
export interface DroppedOutput {
  /** Number of lines that are no messages. */
  readonly skippedLines: number;
  /** Number of answers that belong to no open request. */
  readonly unmatchedAnswers: number;
  /** The first of them: at most 5, each with at most 200 characters, control characters as codes, without secrets. */
  readonly lines: readonly string[];
}

/** What a server wrote to its stdout and was dropped: counts, and the first of it, which shows the cause. */
export class Noise {
  skippedLines = 0;
  unmatchedAnswers = 0;
  /** The first of what was dropped, as in {@link DroppedOutput}. */
  readonly first: string[] = [];
  /** Called for each line that is no message. */
  onLine: ((line: string) => void) | undefined;
  readonly #hide: (output: string) => string;
  #reported: DroppedOutput = { skippedLines: 0, unmatchedAnswers: 0, lines: [] };
  #lines: string[] = [];

  /** @param hide takes the secrets out of a string */
  constructor(hide: (output: string) => string = (output) => output) {
    this.#hide = hide;
  }

  /** Number of all that was dropped. */
  get count(): number {
    return this.skippedLines + this.unmatchedAnswers;
  }

  /** A line that is not a message, such as a log line that a server wrote to stdout by mistake. */
  line(line: string): void {
    this.skippedLines += 1;
    this.#keep(line);
    this.onLine?.(this.#shown(line));
  }

  /** An answer that belongs to no open request. */
  answer(message: JsonRpcMessage): void {
    this.unmatchedAnswers += 1;
    if (this.#hasRoom) this.#keep(textOf(message));
  }

  /** What was dropped since the last call; undefined if nothing was. */
  take(): DroppedOutput | undefined {
    const { skippedLines, unmatchedAnswers } = this;
    const lines = this.#lines;
    const more = {
      skippedLines: skippedLines - this.#reported.skippedLines,
      unmatchedAnswers: unmatchedAnswers - this.#reported.unmatchedAnswers,
    };
    if (more.skippedLines + more.unmatchedAnswers === 0) return undefined;
    this.#reported = { skippedLines, unmatchedAnswers, lines };
    this.#lines = [];
    return { ...more, lines };
  }

  get #hasRoom(): boolean {
    return this.#lines.length < MOST_SAMPLES;
  }

  #keep(text: string): void {
    if (!this.#hasRoom) return;
    const sample = this.#shown(text);
    this.#lines.push(sample);
    if (this.first.length < MOST_SAMPLES) this.first.push(sample);
  }

  #shown(text: string): string {
    return quoted(this.#hide(text.slice(0, LONGEST_LINE)), LONGEST_SAMPLE);
  }
}

function textOf(message: JsonRpcMessage): string {
  try {
    return JSON.stringify(message);
  } catch {
    return `an answer that is nested too deeply to be shown, with the id ${JSON.stringify(message.id)}`;
  }
}
