import type { Readable, Writable } from 'node:stream';
import { PoolError } from '../../errors.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import type { JsonRpcMessage } from '../json-rpc.js';
import { MessageReader } from './framing.js';

/** How much may wait to be written, counted over all connections of a pool. */
export class WriteBudget {
  /** Bytes. */
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** False when there is no room; then nothing was taken. An empty buffer takes any one message. */
  take(size: number): boolean {
    if (this.#used > 0 && this.#used + size > this.limit) return false;
    this.#used += size;
    return true;
  }

  /** Takes it whether or not there is room. */
  force(size: number): void {
    this.#used += size;
  }

  give(size: number): void {
    this.#used -= size;
  }
}

export interface ConnectionHandlers {
  onMessage(message: JsonRpcMessage): void;
  /** The connection is of no use any more, though the process may live: a message too large, or stdin closed. */
  onBroken(error: PoolError): void;
}

export interface ConnectionOptions {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Largest message in bytes. */
  readonly messageLimit: number;
  readonly budget: WriteBudget;
  /** Name of the server, for errors. */
  readonly name: string;
}

interface Batch {
  readonly lines: string[];
  size: number;
  readonly written: Deferred<void>;
}

/** Of what may wait to be written in a pool, one server gets a part. */
const SERVER_SHARE = 2;
/** Bytes that are written at once. */
const LARGEST_BATCH = 128 * 1_048_576;

/** Messages over two streams: one line each, in both directions. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  /** What was sent in this tick, to be written with one system call. */
  #batch: Batch | undefined;
  /** What the operating system has not taken yet. */
  readonly #inFlight = new Set<Batch>();
  #broken: PoolError | undefined;
  #skipped = 0;
  /** Bytes that wait to be written. */
  backlog = 0;
  /** Called when the operating system took what was sent. */
  onWritten: (() => void) | undefined;

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    // A stream that is destroyed does not always come back to a write that it has begun.
    options.stdin.once('close', () => {
      for (const batch of this.#inFlight) this.#written(batch, new Error('it was closed'));
    });
  }

  /** Lines of stdout that were no messages. */
  get skippedLines(): number {
    return this.#skipped;
  }

  /** Begins to read. Until then the pipe holds what the server writes. */
  open(): void {
    const { name, messageLimit, stdout } = this.#options;
    const reader = new MessageReader(messageLimit, {
      onMessage: (message) => this.#handle(message),
      onSkipped: () => {
        this.#skipped += 1;
      },
      // What follows is read and dropped: a server that could not write could not see the end of its stdin either.
      onTooLarge: (bytes) => {
        this.#break(
          new PoolError(
            'MESSAGE_TOO_LARGE',
            `server '${name}' wrote a message of more than ${bytes} bytes; its limit is ${messageLimit}: raise maxMessageMB, or ask the server for less at once`,
            { name },
          ),
        );
      },
    });
    stdout.on('data', (chunk: Buffer) => reader.push(chunk));
    // A server that closed it can never answer. Mostly it has exited, which is told by itself.
    stdout.once('end', () => {
      const { name } = this.#options;
      this.#break(
        new PoolError('SERVER_EXITED', `server '${name}' has closed its stdout: it ended, or is about to`, { name }),
      );
    });
  }

  /** What a server says may be shaped in a way that nobody thought of: such a message is skipped, and hurts no other. */
  #handle(message: JsonRpcMessage): void {
    try {
      this.#handlers.onMessage(message);
    } catch {
      this.#skipped += 1;
    }
  }

  /**
   * Writes one message. Resolves when the operating system took it, so a server that does not read holds its callers back;
   * rejects when it cannot be written.
   */
  send(message: JsonRpcMessage): Promise<void> {
    try {
      return this.queue(message);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The same, but what is refused at once is thrown at once, so that its sender can forget it.
   * @throws PoolError `BUFFER_FULL`, or why the connection is closed; TypeError for what is no JSON
   */
  queue(message: JsonRpcMessage): Promise<void> {
    if (this.#broken) throw this.#broken;
    const line = JSON.stringify(message);
    const size = Buffer.byteLength(line);
    const { budget, name } = this.#options;
    // One server that does not read must not refuse the others: it gets a part.
    const isOverShare = this.backlog > 0 && this.backlog + size > budget.limit / SERVER_SHARE;
    if (isOverShare || !budget.take(size)) {
      const what = isOverShare ? 'half of maxBufferedMB waits for it' : 'maxBufferedMB wait for servers of this pool';
      throw new PoolError(
        'BUFFER_FULL',
        `a message to server '${name}' was refused: ${what} already, and is not read; await send(), or raise it`,
        { name },
      );
    }
    return this.#append(line, size);
  }

  /** The same for what the pool itself has to say: it is little, and must not be refused for what others have sent. */
  sendOwn(message: JsonRpcMessage): void {
    if (this.#broken) return;
    const line = JSON.stringify(message);
    const size = Buffer.byteLength(line);
    this.#options.budget.force(size);
    // Whoever awaits nothing is told of the end by the connection itself.
    this.#append(line, size).catch(() => {});
  }

  #append(line: string, size: number): Promise<void> {
    // Node has no longer texts than 512 MB, and a batch becomes one.
    if (this.#batch !== undefined && this.#batch.size + size > LARGEST_BATCH) this.flush();
    if (this.#batch === undefined) {
      this.#batch = newBatch();
      // After all that is ready to run now: answers that came together lead to requests that leave together.
      process.nextTick(() => this.flush());
    }
    this.#batch.lines.push(line);
    this.#batch.size += size;
    this.backlog += size;
    return this.#batch.written.promise;
  }

  /** Rejects every later `send` with `error`. */
  close(error: PoolError): void {
    this.#broken ??= error;
  }

  /** Writes at once what was sent in this tick: for the moment before stdin is closed. */
  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    const { stdin } = this.#options;
    this.#inFlight.add(batch);
    if (stdin.writable) stdin.write(`${batch.lines.join('\n')}\n`, (error) => this.#written(batch, error));
    else this.#written(batch, new Error('it is closed'));
  }

  #written(batch: Batch, error?: Error | null): void {
    if (!this.#inFlight.delete(batch)) return;
    this.#options.budget.give(batch.size);
    this.backlog -= batch.size;
    if (!error) {
      batch.written.resolve();
      return this.onWritten?.();
    }
    const failure = this.#stdinClosed(error);
    batch.written.reject(this.#broken ?? failure);
    // After its senders learnt of it, so that nobody tells them again.
    queueMicrotask(() => this.#break(failure));
  }

  #stdinClosed(cause: Error): PoolError {
    const { name } = this.#options;
    const message = `server '${name}' cannot be written to (${cause.message}): it ended, or closed its stdin`;
    return new PoolError('SERVER_EXITED', message, { name }, cause);
  }

  #break(error: PoolError): void {
    if (this.#broken) return;
    this.#broken = error;
    this.#handlers.onBroken(error);
  }
}

function newBatch(): Batch {
  const written = deferred<void>();
  // Whoever awaits a send gets the error; a message of the pool itself has nobody who does.
  written.promise.catch(() => {});
  return { lines: [], size: 0, written };
}
