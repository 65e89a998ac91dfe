import type { ServerNames } from '../../errors.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import { BudgetShare, bufferFull, type WriteBudget } from '../channels/write-budget.js';
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js';
import { lineOf } from '../sendable.js';
import { FairQueue } from './fair-queue.js';
import type { Member, OpenRequest } from './member.js';

/** A message that waits for its turn. */
export interface Outgoing {
  readonly member: Member;
  /** Undefined when it is not to be sent any more. */
  message: JsonRpcMessage | undefined;
  readonly request: OpenRequest | undefined;
  /** Bytes that it takes of the budget; 0 when it has given them back. */
  size: number;
  /** Undefined for a request that is sent again: its `send` was settled when it was written to the process that is lost. */
  readonly sent: Deferred<void> | undefined;
}

/** The messages of sessions that wait to be sent to one server. Bounds them, and decides which is next. */
export class Backlog {
  /** The server, as errors name it now. */
  readonly #server: () => ServerNames;
  readonly #budget: BudgetShare;
  readonly #waiting = new FairQueue<Member, Outgoing>();

  constructor(server: () => ServerNames, budget: WriteBudget) {
    this.#server = server;
    this.#budget = new BudgetShare(budget);
  }

  get isEmpty(): boolean {
    return this.#waiting.isEmpty;
  }

  /** Whether a message of this session waits. */
  has(member: Member): boolean {
    return this.#waiting.has(member);
  }

  /**
   * Adds a message, as it is now.
   * @returns a promise that resolves when the message was sent, or is not to be sent any more
   * @throws PoolError `BUFFER_FULL`; `INVALID_OPTIONS` if the message cannot be written as JSON
   */
  add(member: Member, message: JsonRpcMessage, request: OpenRequest | undefined): Promise<void> {
    const text = lineOf(message);
    const size = Buffer.byteLength(text);
    this.#takeRoom(member, size);
    const sent = deferred<void>();
    // A copy: the sender may use the object for its next message.
    const item: Outgoing = { member, message: JSON.parse(text) as JsonRpcMessage, request, size, sent };
    if (request) request.message = item.message as JsonRpcRequest;
    this.#waiting.push(member, item);
    // A cancelled request stays in the queue, and is passed over there; its room is free at once.
    if (request) {
      request.leaveQueue = () => {
        this.#leave(item);
        this.#waiting.tidy(member, ({ message: wanted }) => wanted !== undefined);
      };
    }
    return sent.promise;
  }

  /** Adds requests that were written to a process that is lost: before all other messages of their session. */
  putBack(member: Member, requests: readonly OpenRequest[]): void {
    const items = requests.map((request): Outgoing => {
      return { member, message: request.message, request, size: 0, sent: undefined };
    });
    this.#waiting.unshift(member, items);
  }

  /** Removes the next message, and gives its room back. */
  next(): Outgoing | undefined {
    const item = this.#waiting.shift();
    if (item) this.#giveBack(item);
    return item;
  }

  /** Removes all messages of a session. */
  drop(member: Member): void {
    for (const item of this.#waiting.drop(member)) this.#leave(item);
  }

  #takeRoom(member: Member, size: number): void {
    const full = this.#budget.take(member.waitingBytes, size);
    if (full !== undefined) throw bufferFull(this.#server(), full);
    member.waitingBytes += size;
  }

  #leave(item: Outgoing): void {
    this.#giveBack(item);
    item.message = undefined;
    item.sent?.resolve();
  }

  #giveBack(item: Outgoing): void {
    const { member, size } = item;
    item.size = 0;
    member.waitingBytes -= size;
    this.#budget.give(size);
  }
}
