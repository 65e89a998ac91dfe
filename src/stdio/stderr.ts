import type { IOType } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { PassThrough, type Readable, type Stream, type Writable } from 'node:stream';

/** What shall become of a server's stderr, as `child_process.spawn` and the SDK's transport take it. */
export type StderrOption = IOType | Stream | number;

/** How much is kept for a reader that has not come yet, bytes. */
const KEPT_UNREAD = 1_048_576;

/** The stream that `stderr: 'pipe'` gives to the host. */
export function stderrPipe(option: StderrOption | undefined): PassThrough | null {
  return option === 'pipe' || option === 'overlapped' ? new PassThrough({ readableHighWaterMark: KEPT_UNREAD }) : null;
}

/** Where the bytes of stderr go. */
export interface StderrSink {
  readonly stream: Writable;
  /** Whether it ends with the server. */
  readonly ends: boolean;
}

/** Undefined when they go nowhere. The pool reads them in any case, so no server ever waits for a reader that is not there. */
export function stderrSink(option: StderrOption | undefined, pipe: PassThrough | null): StderrSink | undefined {
  if (pipe !== null) return { stream: pipe, ends: true };
  if (option === 'ignore') return undefined;
  if (option === undefined || option === 'inherit' || option === 2) return { stream: process.stderr, ends: false };
  if (option === 1) return { stream: process.stdout, ends: false };
  if (typeof option === 'number') {
    const stream = createWriteStream('', { fd: option, autoClose: false });
    // A descriptor that the host closed meanwhile: nobody is left to be told.
    stream.on('error', () => {});
    return { stream, ends: true };
  }
  if (typeof option === 'object' && isWritable(option)) return { stream: option, ends: false };
  throw new TypeError("stderr must be 'inherit', 'pipe', 'overlapped', 'ignore', a writable stream, or a descriptor");
}

function isWritable(stream: Stream): stream is Writable {
  return 'write' in stream && typeof stream.write === 'function';
}

/**
 * Passes on every chunk of `source` as it is. A reader that is slow holds the server back, as a pipe does; what comes while
 * nobody has begun to read, beyond what is kept, is dropped.
 */
export function forwardStderr(source: Readable | undefined, { stream, ends }: StderrSink): void {
  if (source === undefined) {
    // The pool is one whose servers have none: whoever reads shall not wait for it.
    if (ends) stream.end();
    return;
  }
  source.on('data', (chunk: Buffer) => {
    if (stream.destroyed || stream.writableEnded || (stream.writableNeedDrain && isUnread(stream))) return;
    const hasRoom = writeQuietly(stream, chunk, () => source.isPaused() && source.resume());
    if (!hasRoom && !isUnread(stream)) source.pause();
  });
  // Not `end`: a stream that is cut off, because a helper holds it, has none.
  if (ends) source.once('close', () => stream.end());
}

function isUnread(stream: Writable): boolean {
  return stream instanceof PassThrough && stream.readableFlowing === null;
}

const ignore = () => {};

/**
 * Writes as `console` does: when the reader of the host's own stderr is gone, the host does not die of what a server wrote.
 * `done` is called in any case.
 */
function writeQuietly(stream: Writable, chunk: Buffer, done: () => void): boolean {
  // For an error that comes at once. One listener at a time, so that many servers may share a stream.
  stream.once('error', ignore);
  const hasRoom = stream.write(chunk, (error) => {
    // The event follows.
    if (error && stream.listenerCount('error') === 0) stream.once('error', ignore);
    done();
  });
  stream.removeListener('error', ignore);
  return hasRoom;
}
