import type { ResolvedDefinition } from '../config/options.js';
import { PoolError, type PoolErrorData } from '../errors.js';
import type { MessageChannel } from '../protocol/channels/message-channel.js';
import { type InitializeResult, initializeParams, readInitializeResult } from '../protocol/eras/handshake.js';
import { DirectRouting } from '../protocol/mux/direct-routing.js';
import { Multiplexer, type MultiplexerHandlers } from '../protocol/mux/multiplexer.js';
import { Upstream } from '../protocol/mux/upstream.js';
import type { Routing } from '../protocol/routing.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import type { InstanceContext } from './instance-context.js';

export interface ConversationParts {
  readonly definition: ResolvedDefinition;
  readonly channel: MessageChannel;
  readonly hold: KeepAlive;
  /** The sessions that it serves, which may be there before it; undefined for a dedicated server, which has one. */
  readonly multiplexer: Multiplexer | undefined;
  /** Nothing can be said any more, though the process may live. */
  onBroken(error: PoolError): void;
}

/** How one process is spoken to, from the pool's handshake to its end. */
export class Conversation {
  readonly #definition: ResolvedDefinition;
  readonly #channel: MessageChannel;
  readonly #multiplexer: Multiplexer | undefined;
  readonly #line: DirectRouting | Upstream;
  readonly #onBroken: (error: PoolError) => void;
  #initialized: InitializeResult | undefined;

  constructor({ definition, channel, hold, multiplexer, onBroken }: ConversationParts) {
    const { maxInFlight, clientCapabilities, onCrash } = definition;
    this.#definition = definition;
    this.#multiplexer = multiplexer;
    this.#channel = channel;
    this.#onBroken = onBroken;
    this.#line = multiplexer
      ? new Upstream(channel, { maxInFlight, clientCapabilities, sessionsStay: onCrash === 'restart' })
      : new DirectRouting(channel, hold, onBroken);
  }

  /** Requests that the server has not answered. */
  get openRequests(): number {
    return this.#line.openRequests;
  }

  /** Whether it has answered a request of a session. */
  get answered(): boolean {
    return this.#line.answered;
  }

  /** Lines of its stdout that were no messages. */
  get skippedLines(): number {
    return this.#channel.skipped;
  }

  /**
   * Makes the pool's own handshake, where there is one: a dedicated server answers its client itself.
   * @param errorData what an error shall know at the moment in which it is made
   * @param onDone called once, with the error when the server refused; never when it does not answer
   */
  initialize(errorData: () => PoolErrorData, onDone: (failure?: PoolError) => void): void {
    const upstream = this.#line;
    if (upstream instanceof DirectRouting) return onDone();
    upstream.open(this.#onBroken);
    upstream.request('initialize', initializeParams(this.#definition.clientCapabilities), (answer) => {
      if (answer === undefined) return;
      try {
        this.#initialized = readInitializeResult(answer, errorData());
      } catch (error) {
        if (error instanceof PoolError) return onDone(error);
        throw error;
      }
      upstream.write({ jsonrpc: '2.0', method: 'notifications/initialized' });
      onDone();
    });
  }

  /** From now on it serves the sessions, in the place of the process that did so before. */
  connect(handlers: MultiplexerHandlers): void {
    if (this.#line instanceof DirectRouting || this.#initialized === undefined) return;
    this.#multiplexer?.connect(this.#line, this.#initialized, handlers);
  }

  /** New requests of its sessions wait from now on. */
  suspend(): void {
    if (this.#line instanceof Upstream) this.#multiplexer?.suspend(this.#line);
  }

  /** They are sent again. */
  resume(): void {
    if (this.#line instanceof Upstream) this.#multiplexer?.resume(this.#line);
  }

  /** `task` is run when nothing is open, now or later. */
  whenDrained(task: () => void): void {
    if (!(this.#line instanceof Upstream) || this.#line.openRequests === 0) return task();
    this.#line.onDrained = task;
  }

  /** Where the one session of a dedicated server attaches; undefined for others, whose sessions may outlive it. */
  get direct(): Routing | undefined {
    return this.#line instanceof DirectRouting ? this.#line : undefined;
  }

  /** Writes at once what was sent in this tick. */
  flush(): void {
    this.#channel.flush();
  }

  /** Refuses with `error` whatever is to be sent from now on. */
  close(error: PoolError): void {
    this.#channel.close(error);
  }

  /** What it has not answered is answered with `error`, or goes to the next process. */
  end(error: PoolError): void {
    if (this.#line instanceof Upstream) this.#multiplexer?.lose(this.#line, error);
  }
}

/** What the sessions of a definition share, whichever process serves them; undefined for a dedicated server, which has one. */
export function multiplexerFor(
  { name, sharing, onCrash, retryTools }: ResolvedDefinition,
  { clock, hold, writeBudget: budget }: InstanceContext,
): Multiplexer | undefined {
  if (sharing === 'dedicated') return undefined;
  const shared = sharing === 'shared';
  return new Multiplexer({ name, shared, sessionsStay: onCrash === 'restart', retryTools, clock, hold, budget });
}
