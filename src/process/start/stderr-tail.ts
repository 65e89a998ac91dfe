import { StringDecoder } from 'node:string_decoder';

/** A longer line is emitted in parts, so that a server without line breaks cannot fill the memory. */
const LONGEST_LINE = 8_192;

/** The memory of a tail begins with this many bytes, and grows to the limit: most servers write little. */
const FIRST_SIZE = 1_024;

/** Takes what a server writes to stderr: keeps the end of it, and splits it into lines for a listener. */
export class StderrTail {
  readonly #limit: number;
  /** The last bytes: a ring as soon as it has reached the limit, so that the size of the chunks costs nothing. */
  #ring = Buffer.alloc(0);
  #size = 0;
  /** Where the next byte goes. */
  #next = 0;
  /** While there is a listener: the beginning of a line without its end, and (in the decoder) of a character. */
  #line = '';
  #decoder: StringDecoder | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Calls `onLine`, if given, for each complete line. */
  push(chunk: Buffer, onLine?: (line: string) => void): void {
    this.#keep(chunk.length > this.#limit ? chunk.subarray(-this.#limit) : chunk);
    if (onLine === undefined) {
      this.#line = '';
      this.#decoder = undefined;
      return;
    }
    this.#decoder ??= new StringDecoder('utf8');
    // Only what is new is searched: a line may come byte by byte.
    const [first = '', ...others] = this.#decoder.write(chunk).split('\n');
    const begun = this.#line + first;
    const rest = others.pop();
    this.#line = rest ?? begun;
    if (rest !== undefined) for (const line of [begun, ...others]) emitLine(line, onLine);
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
    const ring = this.#ring;
    const bytes =
      this.#size < ring.length
        ? [ring.subarray(0, this.#size)]
        : [ring.subarray(this.#next), ring.subarray(0, this.#next)];
    return Buffer.concat(bytes).toString('utf8');
  }

  #keep(chunk: Buffer): void {
    if (chunk.length === 0) return;
    const needed = Math.min(this.#size + chunk.length, this.#limit);
    if (needed > this.#ring.length) this.#grow(needed);
    const copied = chunk.copy(this.#ring, this.#next);
    if (copied < chunk.length) chunk.copy(this.#ring, 0, copied);
    this.#next = (this.#next + chunk.length) % this.#ring.length;
    this.#size = needed;
  }

  /** Below the limit the bytes begin at 0. */
  #grow(needed: number): void {
    const ring = Buffer.alloc(Math.min(Math.max(FIRST_SIZE, this.#ring.length * 2, needed), this.#limit));
    this.#ring.copy(ring, 0, 0, this.#size);
    this.#ring = ring;
    this.#next = this.#size;
  }
}

function emitLine(line: string, onLine: (line: string) => void): void {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  for (let start = 0; start === 0 || start < text.length; start += LONGEST_LINE) {
    onLine(text.slice(start, start + LONGEST_LINE));
  }
}
