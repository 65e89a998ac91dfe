import { StringDecoder } from 'node:string_decoder';

/** A longer line is emitted in parts, so that a server without line breaks cannot fill the memory. */
const LONGEST_LINE = 8_192;

/** Takes what a server writes to stderr: keeps the end of it, and splits it into lines for a listener. */
export class StderrTail {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #size = 0;
  /** While there is a listener: the beginning of a line without its end, and (in the decoder) of a character. */
  #line = '';
  #decoder: StringDecoder | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Calls `onLine`, if given, for each complete line. */
  push(chunk: Buffer, onLine?: (line: string) => void): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    // Whole chunks are dropped, so the tail holds the limit and at most one chunk more.
    for (let first = this.#chunks[0]; first && this.#size - first.length >= this.#limit; first = this.#chunks[0]) {
      this.#size -= first.length;
      this.#chunks.shift();
    }
    if (onLine === undefined) {
      this.#line = '';
      this.#decoder = undefined;
      return;
    }
    this.#decoder ??= new StringDecoder('utf8');
    const lines = (this.#line + this.#decoder.write(chunk)).split('\n');
    this.#line = lines.pop() ?? '';
    for (const line of lines) emitLine(line, onLine);
    while (this.#line.length > LONGEST_LINE) {
      onLine(this.#line.slice(0, LONGEST_LINE));
      this.#line = this.#line.slice(LONGEST_LINE);
    }
  }

  /** Emits the last line, if it has no line break. */
  flush(onLine: (line: string) => void): void {
    const rest = this.#line + (this.#decoder?.end() ?? '');
    if (rest !== '') emitLine(rest, onLine);
    this.#line = '';
  }

  toString(): string {
    return Buffer.concat(this.#chunks).subarray(-this.#limit).toString('utf8');
  }
}

function emitLine(line: string, onLine: (line: string) => void): void {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  for (let start = 0; start === 0 || start < text.length; start += LONGEST_LINE) {
    onLine(text.slice(start, start + LONGEST_LINE));
  }
}
