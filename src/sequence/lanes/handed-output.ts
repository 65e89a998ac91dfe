import { PassThrough, type Readable } from 'node:stream';

/** How much is taken from a command that has exited, although its reader is slow, bytes: more than the kernel holds. */
const MOST_KEPT = 1_048_576;

/**
 * What a command writes to one stream, for a reader of the host. The stream of the process is closed when its tree is dead; a
 * reader that is slow must nevertheless get all that was written.
 */
export class HandedOutput {
  readonly readable = new PassThrough();
  readonly #source: Readable;
  /** Bytes that may still be taken from the process although the reader has not asked for them. */
  #room = 0;

  constructor(source: Readable) {
    this.#source = source;
    source.on('data', (chunk: Buffer) => this.#pass(chunk));
    source.once('close', () => this.readable.end());
    this.readable.on('drain', () => source.resume());
    // A reader that gives up closes the pipe of the command.
    this.readable.once('close', () => source.destroy());
  }

  /** The command has exited: the rest is taken out of the pipe, before that is closed. */
  exited(): void {
    this.#room = MOST_KEPT;
    this.#source.resume();
  }

  #pass(chunk: Buffer): void {
    if (this.readable.destroyed || this.readable.write(chunk)) return;
    this.#room -= chunk.length;
    if (this.#room <= 0) this.#source.pause();
  }
}
