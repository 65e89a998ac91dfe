import { BudgetShare, type WriteBudget } from '../channels/write-budget.js';
import type { JsonRpcRequest } from '../json-rpc.js';
import type { OpenRequest } from './member.js';

/** Stands for the message of a request that was written, and is not needed any more. */
export const NOT_KEPT: JsonRpcRequest = Object.freeze({ jsonrpc: '2.0', id: 0, method: '' });

/**
 * Copies of the messages of open requests that may be needed again. Their bytes have the same limits as those that wait to be
 * written, and are counted apart from them: a server that does not answer makes no message fail.
 */
export class Copies {
  readonly #budget: BudgetShare;

  constructor(budget: WriteBudget) {
    this.#budget = new BudgetShare(budget);
  }

  /** Copies the message, as it is now. If there is no room, it is not kept at all. */
  keep(request: OpenRequest): void {
    if (request.copied > 0) return;
    const text = JSON.stringify(request.message);
    const size = Buffer.byteLength(text);
    const { session } = request;
    const isKept = this.#budget.take(session.copiedBytes, size) === undefined;
    request.message = isKept ? (JSON.parse(text) as JsonRpcRequest) : NOT_KEPT;
    if (!isKept) return;
    request.copied = size;
    session.copiedBytes += size;
  }

  /** The request is answered, or given up. */
  drop(request: OpenRequest): void {
    const { copied, session } = request;
    request.copied = 0;
    request.message = NOT_KEPT;
    session.copiedBytes -= copied;
    this.#budget.give(copied);
  }
}
