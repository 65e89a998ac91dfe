import { PoolError } from '../../errors.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import { SERVER_SHARE, type WriteBudget } from '../channels/write-budget.js';
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js';
import { FairQueue } from './fair-queue.js';
import type { Member, OpenRequest } from './member.js';

/** A message that waits for its turn. */
export interface Outgoing {
  readonly member: Member;
  /** Undefined once nobody wants it sent. */
  message: JsonRpcMessage | undefined;
  readonly request: OpenRequest | undefined;
  /** Bytes that it takes of what may wait; 0 once it has given them back. */
  size: number;
  /** Absent when the sender was told long ago: the request was written to a server that is gone. */
  readonly sent: Deferred<void> | undefined;
}

/** Of what may wait to be written in a pool, one session gets a part. */
const SESSION_SHARE = 4;

/** The messages of sessions that wait to be sent to one server: whose turn is next, and how much may wait. */
export class Backlog {
  /** Name of the server, for errors. */
  readonly #name: string;
  readonly #budget: WriteBudget;
  readonly #waiting = new FairQueue<Member, Outgoing>();
  #bytes = 0;

  constructor(name: string, budget: WriteBudget) {
    this.#name = name;
    this.#budget = budget;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.isEmpty;
  }

  /** Whether anything of a session waits. */
  has(member: Member): boolean {
    return this.#waiting.has(member);
  }

  /**
   * Lets a message wait, as it is now.
   * @returns when it was sent, or nobody wants that any more
   * @throws PoolError `BUFFER_FULL`; TypeError for what is no JSON
   */
  add(member: Member, message: JsonRpcMessage, request: OpenRequest | undefined): Promise<void> {
    const text = JSON.stringify(message);
    const size = Buffer.byteLength(text);
    this.#takeRoom(member, size);
    const sent = deferred<void>();
    // As it is now: its sender may use the object again.
    const item: Outgoing = { member, message: JSON.parse(text) as JsonRpcMessage, request, size, sent };
    if (request) request.message = item.message as JsonRpcRequest;
    this.#waiting.push(member, item);
    // One that is cancelled is passed over when its turn comes, but takes nothing any more.
    if (request) {
      request.leaveQueue = () => {
        this.#leave(item);
        this.#waiting.tidy(member, ({ message: wanted }) => wanted !== undefined);
      };
    }
    return sent.promise;
  }

  /** Requests that were written to a server that is gone go before all that waits of their session. */
  putBack(member: Member, requests: readonly OpenRequest[]): void {
    const items = requests.map((request): Outgoing => {
      return { member, message: request.message, request, size: 0, sent: undefined };
    });
    this.#waiting.unshift(member, items);
  }

  /** Takes out what is next; it takes no room any more. */
  next(): Outgoing | undefined {
    const item = this.#waiting.shift();
    if (item) this.#giveBack(item);
    return item;
  }

  /** What waits of a session is not sent any more. */
  drop(member: Member): void {
    for (const item of this.#waiting.drop(member)) this.#leave(item);
  }

  #takeRoom(member: Member, size: number): void {
    const name = this.#name;
    const budget = this.#budget;
    const isOverShare = member.waitingBytes > 0 && member.waitingBytes + size > budget.limit / SESSION_SHARE;
    const isServerOver = this.#bytes > 0 && this.#bytes + size > budget.limit / SERVER_SHARE;
    if (isOverShare || isServerOver || !budget.take(size)) {
      const what = isOverShare
        ? 'a quarter of maxBufferedMB waits for this session'
        : `${isServerOver ? 'half of maxBufferedMB waits' : 'maxBufferedMB wait'}`;
      throw new PoolError(
        'BUFFER_FULL',
        `a message to server '${name}' was refused: ${what} already to be written; await send(), or raise it`,
        { name },
      );
    }
    member.waitingBytes += size;
    this.#bytes += size;
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
    this.#bytes -= size;
    this.#budget.give(size);
  }
}
