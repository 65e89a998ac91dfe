import { isAscii } from 'node:buffer';
import { ByteList } from '../../runtime/byte-list.js';
import { isMessage, type JsonRpcMessage, tidied } from '../json-rpc.js';

const NEWLINE = 10;
/** Some programs, mostly on Windows, write it before their first line. */
const BYTE_ORDER_MARK = '\ufeff';

/** What a {@link MessageReader} calls for each line. */
export interface FrameCallbacks {
  onMessage(message: JsonRpcMessage): void;
  /** A line that is not a JSON-RPC message, such as a log line that a server wrote to stdout by mistake. */
  onSkipped(line: string): void;
  /** A line grew above the limit. Nothing that follows is read. */
  onTooLarge(bytes: number): void;
}

/**
 * Cuts a stream into messages, one for each line. Cost and memory are linear in the size of a message, however the stream
 * is cut: the parts of a line are joined when the line is complete, small ones before.
 */
export class MessageReader {
  readonly #limit: number;
  readonly #callbacks: FrameCallbacks;
  /** A line that is not complete yet. */
  readonly #held = new ByteList();
  #stopped = false;

  constructor(limit: number, callbacks: FrameCallbacks) {
    this.#limit = limit;
    this.#callbacks = callbacks;
  }

  push(chunk: Buffer): void {
    if (this.#stopped) return;
    const last = chunk.lastIndexOf(NEWLINE);
    if (last === -1) return this.#hold(chunk);
    let start = 0;
    if (this.#held.size > 0) {
      const first = chunk.indexOf(NEWLINE);
      this.#hold(chunk.subarray(0, first));
      if (this.#stopped) return;
      this.#read(decoded(this.#held.take()));
      start = first + 1;
    }
    // In UTF-8 no part of a longer character is a newline byte, so whole lines can be decoded together.
    if (start < last) for (const line of decoded(chunk.subarray(start, last)).split('\n')) this.#read(line);
    if (last + 1 < chunk.length) this.#hold(chunk.subarray(last + 1));
  }

  #hold(part: Buffer): void {
    this.#held.push(part);
    if (this.#held.size > this.#limit) this.#overflow(this.#held.size);
  }

  #overflow(bytes: number): void {
    this.#stopped = true;
    this.#held.clear();
    this.#callbacks.onTooLarge(bytes);
  }

  #read(line: string): void {
    if (this.#stopped || line === '' || line === '\r') return;
    if (isLonger(line, this.#limit)) return this.#overflow(Buffer.byteLength(line));
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      if (line[0] === BYTE_ORDER_MARK && line.length > 1 && line[1] !== BYTE_ORDER_MARK)
        return this.#read(line.slice(1));
      return this.#callbacks.onSkipped(line);
    }
    if (isMessage(value)) this.#callbacks.onMessage(tidied(value));
    else this.#callbacks.onSkipped(line);
  }
}

/** Whether `line` has more than `limit` bytes. Counts the bytes only where the number of characters does not decide it. */
function isLonger(line: string, limit: number): boolean {
  return line.length > limit || (line.length * 3 > limit && Buffer.byteLength(line) > limit);
}

/** Most messages are ASCII. Decoding these as latin1 is several times as fast as UTF-8. */
function decoded(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
}
