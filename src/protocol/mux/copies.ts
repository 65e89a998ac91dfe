import type { ServerNames } from '../../errors.js';
import { BudgetShare, bufferFull, type FullBuffer, type WriteBudget } from '../channels/write-budget.js';
import type { JsonRpcRequest } from '../json-rpc.js';
import type { OpenRequest } from './member.js';

/** Stands for the message of a request that was written, and is not needed any more. */
export const NOT_KEPT: JsonRpcRequest = Object.freeze({ jsonrpc: '2.0', id: 0, method: '' });

/**
 * Copies of the messages of open requests that may be needed again. Their bytes have the same limits as those that wait to be
 * written, and are counted apart from them: a server that does not answer makes no message fail.
 */
export class Copies {
  /** The server, as errors name it now. */
  readonly #server: () => ServerNames;
  readonly #budget: BudgetShare;

  constructor(server: () => ServerNames, budget: WriteBudget) {
    this.#server = server;
    this.#budget = new BudgetShare(budget);
  }

  /** Copies the message, as it is now. False if there is no room: then the message is not kept at all. */
  keep(request: OpenRequest): boolean {
    if (request.copied > 0) return true;
    const text = JSON.stringify(request.message);
    const size = Buffer.byteLength(text);
    const isKept = this.#take(request, size) === undefined;
    request.message = isKept ? (JSON.parse(text) as JsonRpcRequest) : NOT_KEPT;
    return isKept;
  }

  /**
   * As {@link keep}, for a request that cannot be answered without its message.
   * @throws PoolError `BUFFER_FULL` if there is no room; TypeError if the message cannot be written as JSON
   */
  require(request: OpenRequest): void {
    const text = JSON.stringify(request.message);
    const full = this.#take(request, Buffer.byteLength(text));
    if (full !== undefined) throw bufferFull(this.#server(), full);
    request.message = JSON.parse(text) as JsonRpcRequest;
  }

  /** The request is answered, or given up. */
  drop(request: OpenRequest): void {
    const { copied, session } = request;
    request.copied = 0;
    request.message = NOT_KEPT;
    session.copiedBytes -= copied;
    this.#budget.give(copied);
  }

  /** Which buffer is full; undefined if there was room. */
  #take(request: OpenRequest, size: number): FullBuffer | undefined {
    const { session } = request;
    const full = this.#budget.take(session.copiedBytes, size);
    if (full !== undefined) return full;
    request.copied = size;
    session.copiedBytes += size;
    return undefined;
  }
}
