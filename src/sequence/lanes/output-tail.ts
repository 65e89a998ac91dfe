import type { Readable } from 'node:stream';
import { StderrTail } from '../../process/start/stderr-tail.js';

/** The end of what a command writes to one stream. */
export class OutputTail {
  readonly #tail: StderrTail;
  readonly #limit: number;
  #size = 0;

  /** @param limit bytes */
  constructor(stream: Readable | undefined, limit: number) {
    this.#limit = limit;
    this.#tail = new StderrTail(limit);
    stream?.on('data', (chunk: Buffer) => {
      this.#size += chunk.length;
      this.#tail.push(chunk);
    });
  }

  /** Whether only its end was kept. */
  get isCut(): boolean {
    return this.#size > this.#limit;
  }

  toString(): string {
    return this.#tail.toString();
  }
}
