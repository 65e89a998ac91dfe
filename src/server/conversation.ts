import type { Readable, Writable } from 'node:stream';
import type { HostHold } from '../config/host-hold.js';
import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError, PoolErrorData } from '../errors.js';
import { Connection, type WriteBudget } from '../protocol/connection.js';
import { initializeParams, readInitializeResult } from '../protocol/handshake.js';
import { RemappedRouting } from '../protocol/remapped-routing.js';
import { DirectRouting } from '../protocol/routing.js';
import { Session, type SessionEnd } from '../protocol/session.js';

const MB = 1_048_576;

export interface ConversationParts {
  readonly definition: ResolvedDefinition;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly hold: HostHold;
  readonly writeBudget: WriteBudget;
  /** Nothing can be said any more, though the process may live. */
  onBroken(error: PoolError): void;
}

/** Whose session it is, and what it shows of itself. */
export interface SessionOwner {
  /** The client closed its transport. */
  closeRequested(): void;
  /** Its client said something, or was answered. */
  touched(): void;
}

/** How one server is spoken to, from the pool's handshake through the sessions of its leases to its end. */
export class Conversation {
  readonly #definition: ResolvedDefinition;
  readonly #connection: Connection;
  readonly #routing: DirectRouting | RemappedRouting;
  #session: Session | undefined;

  constructor({ definition, stdin, stdout, hold, writeBudget, onBroken }: ConversationParts) {
    const { name, maxMessageMB, sharing } = definition;
    this.#definition = definition;
    this.#connection = new Connection(
      { name, stdin, stdout, messageLimit: maxMessageMB * MB, budget: writeBudget },
      { onBroken, onMessage: (message) => this.#routing.receive(message) },
    );
    this.#routing =
      sharing === 'dedicated' ? new DirectRouting(this.#connection, hold) : new RemappedRouting(this.#connection, hold);
  }

  /** Requests that the server has not answered. */
  get openRequests(): number {
    return this.#routing.openRequests;
  }

  /** Lines of its stdout that were no messages. */
  get skippedLines(): number {
    return this.#connection.skippedLines;
  }

  /**
   * Makes the pool's own handshake, where there is one: a dedicated server answers its client itself.
   * @param errorData what an error shall know at the moment in which it is made
   * @param onDone called once, with the error when the server refused; never when it does not answer
   */
  initialize(errorData: () => PoolErrorData, onDone: (failure?: PoolError) => void): void {
    const routing = this.#routing;
    if (routing instanceof DirectRouting) return onDone();
    this.#connection.open();
    routing.request('initialize', initializeParams(this.#definition.clientCapabilities), (answer) => {
      try {
        routing.initialized(readInitializeResult(answer, errorData()));
      } catch (error) {
        return onDone(error as PoolError);
      }
      onDone();
    });
  }

  /** The session of a new lease. */
  openSession(owner: SessionOwner): Session {
    this.#session = new Session({
      routing: this.#routing,
      // A dedicated server is first read when its client listens, so that nothing it says early is lost.
      opened: () => this.#routing instanceof DirectRouting && this.#connection.open(),
      closeRequested: () => owner.closeRequested(),
      touched: () => owner.touched(),
    });
    return this.#session;
  }

  /** Ends the session of the lease, if there is one. */
  endSession(end: SessionEnd): void {
    const session = this.#session;
    this.#session = undefined;
    session?.end(end);
  }

  /** Writes at once what was sent in this tick. */
  flush(): void {
    this.#connection.flush();
  }

  /** Answers what is open, closes the session, and refuses whatever comes later. */
  end(error: PoolError): void {
    this.endSession({ asked: false, error: () => error });
    this.#connection.close(error);
  }
}
