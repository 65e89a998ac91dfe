import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';

/** One server may fill this part of the budget, `1 / SERVER_SHARE`, so that a server that does not read blocks no other. */
export const SERVER_SHARE = 2;
/** One session may fill this part of it. */
const SESSION_SHARE = 4;

/** Bounds the bytes that wait to be written, counted over all servers of a pool (`maxBufferedMB`). */
export class WriteBudget {
  /** Bytes. */
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
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

/** The part of a budget that one server uses, and in it that of each of its sessions. */
export class BudgetShare {
  readonly #budget: WriteBudget;
  #used = 0;

  constructor(budget: WriteBudget) {
    this.#budget = budget;
  }

  /**
   * Takes the bytes of a message, if there is room for it. A session or a server that uses nothing has room for one message.
   * @param ofSession the bytes that the session uses already
   * @returns which buffer is full; undefined if the bytes were taken
   */
  take(ofSession: number, size: number): FullBuffer | undefined {
    const { limit } = this.#budget;
    if (ofSession > 0 && ofSession + size > limit / SESSION_SHARE) return 'session';
    if (this.#used > 0 && this.#used + size > limit / SERVER_SHARE) return 'server';
    if (!this.#budget.take(size)) return 'pool';
    this.#used += size;
    return undefined;
  }

  give(size: number): void {
    this.#used -= size;
    this.#budget.give(size);
  }
}

export type FullBuffer = keyof typeof BUFFERS;

const BUFFERS = {
  session: `this session is full (1/${SESSION_SHARE} of maxBufferedMB)`,
  server: `this server is full (1/${SERVER_SHARE} of maxBufferedMB)`,
  pool: 'all servers of the pool is full (maxBufferedMB)',
};

/** The error of a message to a server that finds no room. */
export function bufferFull(server: ServerNames, buffer: FullBuffer): PoolError {
  const message = `a message to server '${shownName(server)}' was refused: the buffer of ${BUFFERS[buffer]}; await send() before you send more, or raise maxBufferedMB`;
  return new PoolError('BUFFER_FULL', message, namesOf(server));
}
