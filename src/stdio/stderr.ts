import type { IOType } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { PassThrough, type Readable, type Stream, type TransformCallback, type Writable } from 'node:stream';
import { PoolError } from '../index.js';
import { ByteList } from '../runtime/byte-list.js';

/** Where the stderr of a server goes: the values of `child_process.spawn` and of the SDK's transport. */
export type StderrOption = IOType | Stream | number;

const LARGEST_DESCRIPTOR = 2_147_483_647;

/** Bytes that are kept until the host begins to read. */
const KEPT_UNREAD = 1_048_576;

/**
 * The stream from which the host reads. What comes before that is kept aside: a stream keeps every chunk as it came, and a
 * server that writes single bytes would cost a hundred times their number.
 */
class StderrPipe extends PassThrough {
  readonly #kept = new ByteList();
  #isRead = false;

  /** Keeps a chunk, or drops it when there is no more room. False when the host reads: then the chunk is to be written. */
  keep(chunk: Buffer): boolean {
    if (this.#isRead) return false;
    if (this.#kept.size + chunk.length <= KEPT_UNREAD) this.#kept.push(chunk);
    return true;
  }

  /** Called for the first time when the host begins to read. */
  override _read(size: number): void {
    this.#isRead = true;
    this.#giveOut();
    super._read(size);
  }

  /** The server has ended, perhaps before the host has read anything. */
  override _flush(done: TransformCallback): void {
    this.#giveOut();
    done();
  }

  #giveOut(): void {
    if (this.#kept.size > 0) this.push(this.#kept.take());
  }
}

/** The stream from which the host reads with `stderr: 'pipe'`; null for all other values. */
export function stderrPipe(option: StderrOption | undefined): PassThrough | null {
  return option === 'pipe' || option === 'overlapped' ? new StderrPipe() : null;
}

/** The stream that gets the bytes of stderr. */
export interface StderrSink {
  readonly stream: Writable;
  /** Whether the stream is ended when the server has ended. */
  readonly ends: boolean;
}

/**
 * Finds the stream for a value of the option; undefined when the bytes go nowhere. The pool reads stderr in any case, so a
 * server never blocks for want of a reader.
 * @throws PoolError `INVALID_OPTIONS` when the value is wrong
 */
export function stderrSink(option: StderrOption | undefined, pipe: PassThrough | null): StderrSink | undefined {
  if (pipe !== null) return { stream: pipe, ends: true };
  if (option === 'ignore') return undefined;
  if (option === undefined || option === 'inherit' || option === 2) return { stream: process.stderr, ends: false };
  if (option === 1) return { stream: process.stdout, ends: false };
  if (typeof option === 'number' && Number.isInteger(option) && option >= 0 && option <= LARGEST_DESCRIPTOR) {
    const stream = createWriteStream('', { fd: option, autoClose: false });
    // The host has closed the descriptor meanwhile. It does not want the bytes, so this is not an error.
    stream.on('error', () => {});
    return { stream, ends: true };
  }
  if (typeof option === 'object' && option !== null && isWritable(option)) return { stream: option, ends: false };
  const problem = "stderr must be 'inherit', 'pipe', 'overlapped', 'ignore', a writable stream, or a descriptor";
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

function isWritable(stream: Stream): stream is Writable {
  return 'write' in stream && typeof stream.write === 'function';
}

/**
 * Writes every chunk of `source` to the stream, unchanged. A slow reader slows the server down, as with a pipe. Before the
 * host begins to read, chunks are dropped when the buffer is full.
 */
export function forwardStderr(source: Readable | undefined, { stream, ends }: StderrSink): void {
  if (source === undefined) {
    // The pool offers no stderr (another version of this package): end the stream, so that its reader does not wait.
    if (ends) stream.end();
    return;
  }
  source.on('data', (chunk: Buffer) => {
    if (stream.destroyed || stream.writableEnded || (stream instanceof StderrPipe && stream.keep(chunk))) return;
    if (!writeQuietly(stream, chunk, () => source.isPaused() && source.resume())) source.pause();
  });
  // `close`, since a source that is destroyed emits no `end`: a helper of the server may hold its other side open.
  if (ends) source.once('close', () => stream.end());
}

const ignore = () => {};

/**
 * Writes, and ignores errors of the stream, as `console` does: when the stderr of the host is closed, output of a server must
 * not crash the host. `done` is called in any case.
 */
function writeQuietly(stream: Writable, chunk: Buffer, done: () => void): boolean {
  // For a synchronous error. It is removed below, so that many servers can write to one stream without many listeners.
  stream.once('error', ignore);
  const hasRoom = stream.write(chunk, (error) => {
    // The stream emits `error` after this callback.
    if (error && stream.listenerCount('error') === 0) stream.once('error', ignore);
    done();
  });
  stream.removeListener('error', ignore);
  return hasRoom;
}
