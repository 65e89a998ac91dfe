import type { Readable, Writable } from 'node:stream';
import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import type { JsonRpcMessage } from '../json-rpc.js';
import { lineOf } from '../sendable.js';
import { MessageReader } from './framing.js';
import { type ChannelCallbacks, internalError, type MessageChannel } from './message-channel.js';
import { Noise } from './noise.js';
import { bufferFull, SERVER_SHARE, type WriteBudget } from './write-budget.js';

export interface StdioChannelOptions {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Largest message in bytes. */
  readonly messageLimit: number;
  readonly budget: WriteBudget;
  /** The server, as errors name it. Its label may change. */
  readonly server: ServerNames;
  /** Gets what is dropped. */
  readonly noise?: Noise;
}

interface Batch {
  readonly lines: string[];
  size: number;
  readonly written: Deferred<void>;
}

/** Largest number of bytes in one write. */
const LARGEST_BATCH = 128 * 1_048_576;

/** Messages over the stdin and stdout of a process: one line for each message, in both directions. */
export class StdioChannel implements MessageChannel {
  readonly #options: StdioChannelOptions;
  #callbacks: ChannelCallbacks | undefined;
  /** What was sent in this tick, to be written with one system call. */
  #batch: Batch | undefined;
  /** What the operating system has not taken yet. */
  readonly #inFlight = new Set<Batch>();
  #closed: PoolError | undefined;
  #hasFailed = false;
  readonly noise: Noise;
  backlog = 0;

  constructor(options: StdioChannelOptions) {
    this.#options = options;
    this.noise = options.noise ?? new Noise();
    // A destroyed stream does not always call back for a write that it has begun.
    options.stdin.once('close', () => {
      for (const batch of this.#inFlight) this.#guard(() => this.#written(batch, new Error('it was closed')));
    });
  }

  get server(): ServerNames {
    return this.#options.server;
  }

  open(callbacks: ChannelCallbacks): void {
    this.#callbacks = callbacks;
    const { messageLimit, server, stdout } = this.#options;
    const reader = new MessageReader(messageLimit, {
      onMessage: (message) => callbacks.onMessage(message),
      onSkipped: (line) => this.noise.line(line),
      // What follows is read and dropped: a server that is blocked by a full stdout does not see the end of its stdin.
      onTooLarge: (bytes) => {
        this.#end(
          new PoolError(
            'MESSAGE_TOO_LARGE',
            // Hosts look for the words of the SDK.
            `server '${shownName(server)}' wrote a message of more than ${bytes} bytes (ReadBuffer exceeded maximum size of ${messageLimit} bytes): raise maxMessageMB, or ask the server for less at once`,
            namesOf(server),
          ),
        );
      },
    });
    stdout.on('data', (chunk: Buffer) => {
      if (this.#hasFailed) return;
      const dropped = this.noise.count;
      this.#guard(() => reader.push(chunk));
      if (this.noise.count > dropped) callbacks.onNoise?.();
    });
    // Without stdout a server cannot answer. Mostly it has exited, and its exit is reported separately.
    stdout.once('end', () => {
      const message = `server '${shownName(server)}' has closed its stdout: it ended, or is about to`;
      this.#guard(() => this.#end(new PoolError('SERVER_EXITED', message, namesOf(server))));
    });
  }

  send(message: JsonRpcMessage): Promise<void> {
    try {
      return this.queue(message);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  queue(message: JsonRpcMessage): Promise<void> {
    if (this.#closed) throw this.#closed;
    const line = lineOf(message);
    const size = Buffer.byteLength(line);
    const { budget, server } = this.#options;
    if (this.backlog > 0 && this.backlog + size > budget.limit / SERVER_SHARE) throw bufferFull(server, 'server');
    if (!budget.take(size)) throw bufferFull(server, 'pool');
    return this.#append(line, size);
  }

  sendOwn(message: JsonRpcMessage): void {
    if (this.#closed) return;
    const line = JSON.stringify(message);
    const size = Buffer.byteLength(line);
    this.#options.budget.force(size);
    // The caller waits for nothing: the channel itself reports its end.
    this.#append(line, size).catch(() => {});
  }

  #append(line: string, size: number): Promise<void> {
    // A batch becomes one string, and Node has no strings longer than 512 MB.
    if (this.#batch !== undefined && this.#batch.size + size > LARGEST_BATCH) this.flush();
    if (this.#batch === undefined) {
      this.#batch = newBatch();
      // After everything that is ready to run now: answers that came together lead to requests that leave together.
      process.nextTick(() => this.flush());
    }
    this.#batch.lines.push(line);
    this.#batch.size += size;
    this.backlog += size;
    return this.#batch.written.promise;
  }

  close(error: PoolError): void {
    this.#closed ??= error;
  }

  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    const { stdin } = this.#options;
    this.#inFlight.add(batch);
    if (!stdin.writable) return this.#written(batch, new Error('it is closed'));
    try {
      stdin.write(`${batch.lines.join('\n')}\n`, (error) => this.#guard(() => this.#written(batch, error)));
    } catch (cause) {
      this.#take(batch);
      batch.written.reject(internalError(this.server, cause));
      queueMicrotask(() => this.fail(cause));
    }
  }

  fail(cause: unknown): PoolError {
    const error = internalError(this.server, cause);
    // What this library keeps of the server may be wrong now. So later messages of the server are dropped.
    this.#hasFailed = true;
    this.#closed = error;
    this.#callbacks?.onClosed(error);
    return error;
  }

  /** Runs what a stream calls. What the server sent was checked before, so that an exception is a fault of this library. */
  #guard(task: () => void): void {
    try {
      task();
    } catch (cause) {
      this.fail(cause);
    }
  }

  /** Gives the room of a batch back. False if that was done before. */
  #take(batch: Batch): boolean {
    if (!this.#inFlight.delete(batch)) return false;
    this.#options.budget.give(batch.size);
    this.backlog -= batch.size;
    return true;
  }

  #written(batch: Batch, error?: Error | null): void {
    if (!this.#take(batch)) return;
    if (!error) {
      batch.written.resolve();
      return this.#callbacks?.onWritten();
    }
    const failure = this.#stdinClosed(error);
    batch.written.reject(this.#closed ?? failure);
    // After the senders have got the error, so that they do not get it a second time as the answer to their requests.
    queueMicrotask(() => this.#guard(() => this.#end(failure)));
  }

  #stdinClosed(cause: Error): PoolError {
    const { server } = this.#options;
    const message = `server '${shownName(server)}' cannot be written to (${cause.message}): it ended, or closed its stdin`;
    return new PoolError('SERVER_EXITED', message, namesOf(server), cause);
  }

  #end(error: PoolError): void {
    if (this.#closed) return;
    this.#closed = error;
    this.#callbacks?.onClosed(error);
  }
}

function newBatch(): Batch {
  const written = deferred<void>();
  // A caller that awaits send() gets the error. For a message of the pool itself there is no such caller.
  written.promise.catch(() => {});
  return { lines: [], size: 0, written };
}
