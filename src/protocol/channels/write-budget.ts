import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';

/** One server may fill this part of the budget, `1 / SERVER_SHARE`, so that a server that does not read blocks no other. */
export const SERVER_SHARE = 2;
/** One session may fill this part of it. */
export const SESSION_SHARE = 4;

/** Bounds the bytes that wait to be written, counted over all servers of a pool (`maxBufferedMB`). */
export class WriteBudget {
  /** Bytes. */
  readonly limit: number;
  #used = 0;
  #copies: WriteBudget | undefined;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** The budget for copies of messages that were written: as large, and counted apart. */
  get copies(): WriteBudget {
    this.#copies ??= new WriteBudget(this.limit);
    return this.#copies;
  }

  /** False when there is no room; then nothing was taken. An empty budget has room for one message of any size. */
  take(size: number): boolean {
    if (this.#used > 0 && this.#used + size > this.limit) return false;
    this.#used += size;
    return true;
  }

  /** Takes the bytes whether or not there is room. */
  force(size: number): void {
    this.#used += size;
  }

  give(size: number): void {
    this.#used -= size;
  }
}

const BUFFERS = {
  session: `this session is full (1/${SESSION_SHARE} of maxBufferedMB)`,
  server: `this server is full (1/${SERVER_SHARE} of maxBufferedMB)`,
  pool: 'all servers of the pool is full (maxBufferedMB)',
};

/** The error of a message to a server that finds no room. */
export function bufferFull(server: ServerNames, buffer: keyof typeof BUFFERS): PoolError {
  const message = `a message to server '${shownName(server)}' was refused: the buffer of ${BUFFERS[buffer]}; await send() before you send more, or raise maxBufferedMB`;
  return new PoolError('BUFFER_FULL', message, namesOf(server));
}
