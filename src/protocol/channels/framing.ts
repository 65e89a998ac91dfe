import { isAscii } from 'node:buffer';
import { isMessage, type JsonRpcMessage } from '../json-rpc.js';

const NEWLINE = 10;

/** What comes out of a stream of lines. */
export interface FrameSink {
  onMessage(message: JsonRpcMessage): void;
  /** A line that is no JSON-RPC message, such as a log line that a server wrote to stdout by mistake. */
  onSkipped(line: string): void;
  /** A line grew above the limit. Nothing that follows is read. */
  onTooLarge(bytes: number): void;
}

/**
 * Cuts a stream into messages, one a line. The cost is linear in the size of a message: parts of a line are kept as they
 * came and joined once, when its end is there.
 */
export class MessageReader {
  readonly #limit: number;
  readonly #sink: FrameSink;
  /** The parts of the line that has no end yet. */
  #parts: Buffer[] = [];
  #held = 0;
  #stopped = false;

  constructor(limit: number, sink: FrameSink) {
    this.#limit = limit;
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    if (this.#stopped) return;
    const last = chunk.lastIndexOf(NEWLINE);
    if (last === -1) return this.#hold(chunk);
    let start = 0;
    if (this.#held > 0) {
      const first = chunk.indexOf(NEWLINE);
      this.#hold(chunk.subarray(0, first));
      if (this.#stopped) return;
      const line = Buffer.concat(this.#parts, this.#held);
      this.#parts = [];
      this.#held = 0;
      this.#read(textOf(line));
      start = first + 1;
    }
    // No part of a character is ever a newline byte, so whole lines can be decoded together.
    if (start < last) for (const line of textOf(chunk.subarray(start, last)).split('\n')) this.#read(line);
    if (last + 1 < chunk.length) this.#hold(chunk.subarray(last + 1));
  }

  #hold(part: Buffer): void {
    this.#parts.push(part);
    this.#held += part.length;
    if (this.#held > this.#limit) this.#overflow(this.#held);
  }

  #overflow(bytes: number): void {
    this.#stopped = true;
    this.#parts = [];
    this.#sink.onTooLarge(bytes);
  }

  #read(line: string): void {
    if (this.#stopped || line === '' || line === '\r') return;
    if (isLonger(line, this.#limit)) return this.#overflow(Buffer.byteLength(line));
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return this.#sink.onSkipped(line);
    }
    if (isMessage(value)) this.#sink.onMessage(value);
    else this.#sink.onSkipped(line);
  }
}

/** Whether `line` has more than `limit` bytes; counts them only if its characters alone do not decide it. */
function isLonger(line: string, limit: number): boolean {
  return line.length > limit || (line.length * 3 > limit && Buffer.byteLength(line) > limit);
}

/** Most messages are ASCII, which as latin1 is decoded several times as fast as UTF-8. */
function textOf(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
}
