import type { ResolvedDefinition, Sharing } from '../config/options.js';
import { namesOf, PoolError } from '../errors.js';
import type { MessageChannel } from '../protocol/channels/message-channel.js';
import type { DroppedOutput, Noise } from '../protocol/channels/noise.js';
import { type InitializeResult, initialize, readInitializeResult } from '../protocol/eras/handshake.js';
import type { Answer } from '../protocol/json-rpc.js';
import { DirectRouting } from '../protocol/mux/direct-routing.js';
import type { GivenUp } from '../protocol/mux/given-up.js';
import { Multiplexer, type MultiplexerCallbacks } from '../protocol/mux/multiplexer.js';
import { Upstream } from '../protocol/mux/upstream.js';
import type { RequestObserver } from '../protocol/request-observer.js';
import type { Routing } from '../protocol/routing.js';
import type { Clock, Timer } from '../runtime/clock.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import { GiveUpWatch } from './give-up-watch.js';
import type { InstanceContext } from './instance-context.js';

export interface ConversationDeps {
  readonly definition: ResolvedDefinition;
  readonly channel: MessageChannel;
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
  readonly observer: RequestObserver;
  /** Its sessions, which may be older than the process; undefined for a dedicated server, which has one session. */
  readonly multiplexer: Multiplexer | undefined;
  /** Called when no message can be sent any more, although the process may still run. */
  onBroken(error: PoolError): void;
  /** `giveUpGrace` and `requestTimeout`, as they are now. */
  giveUpGrace(): number;
  requestTimeout(): number;
  /** Called when the process answers nothing any more; never for a dedicated server. */
  onStuck(): void;
  /** Called with what was dropped of its output: at once, then every 10 s at most, and at its end. */
  onNoise(dropped: DroppedOutput): void;
}

/** The messages between the pool and one process, from the handshake to the end. */
export class Conversation {
  readonly #definition: ResolvedDefinition;
  readonly #channel: MessageChannel;
  readonly #multiplexer: Multiplexer | undefined;
  /** The user of the channel: the one session of a dedicated server, or a multiplexer. */
  readonly #peer: DirectRouting | Upstream;
  readonly #onBroken: (error: PoolError) => void;
  readonly #reports: NoiseReports;
  /** The requests that were given up and not answered. Undefined for a dedicated server, which ends with its one session. */
  readonly givenUp: GivenUp | undefined;
  readonly #giveUpWatch: GiveUpWatch | undefined;
  #initialized: InitializeResult | undefined;

  constructor(deps: ConversationDeps) {
    const { definition, channel, keepAlive, multiplexer, onBroken } = deps;
    const { maxInFlight, clientCapabilities, onCrash } = definition;
    this.#definition = definition;
    this.#multiplexer = multiplexer;
    this.#channel = channel;
    this.#onBroken = onBroken;
    const { clock, onNoise } = deps;
    this.#reports = new NoiseReports(channel.noise, clock, onNoise);
    if (multiplexer === undefined) {
      this.#peer = new DirectRouting({
        ...{ channel, clock: deps.clock, keepAlive, observer: deps.observer, requestTimeout: deps.requestTimeout },
        onClosed: onBroken,
        onNoise: () => this.#reports.changed(),
      });
      return;
    }
    const watch = new GiveUpWatch({
      clock,
      grace: deps.giveUpGrace,
      isDoubtful: () => upstream.givenUp.isDoubtful,
      ping: () => upstream.request('ping', undefined, () => {}),
      onStuck: deps.onStuck,
    });
    const sessionsStay = onCrash === 'restart';
    const upstream: Upstream = new Upstream(
      channel,
      { clock, maxInFlight, requestTimeout: deps.requestTimeout, clientCapabilities, sessionsStay },
      watch,
    );
    this.#peer = upstream;
    this.#giveUpWatch = watch;
    this.givenUp = upstream.givenUp;
  }

  /**
   * Tests the process for the next lease. A request that keeps its place must be answered itself: that a ping is answered
   * does not show that its work has ended.
   * @param onVerdict called once: whether it has passed within `giveUpGrace`
   */
  test(onVerdict: (isFit: boolean) => void): void {
    const { givenUp } = this;
    const kept = givenUp?.kept() ?? [];
    this.#giveUpWatch?.test(onVerdict, () => givenUp?.areAnswered(kept) === true);
  }

  /** How many messages the server has sent. */
  get heard(): number {
    return this.#peer.heard;
  }

  /** Clock time of the last of them, ms; -Infinity before the first. */
  get heardAt(): number {
    return this.#peer.heardAt;
  }

  /** Number of requests that no client has given up. */
  get wantedRequests(): number {
    return this.givenUp?.wanted ?? this.#peer.openRequests;
  }

  /** Whether the server can be asked by the pool itself. */
  get canAsk(): boolean {
    return this.#peer instanceof Upstream;
  }

  /** What the server has said of itself in its handshake. */
  get capabilities(): object {
    const capabilities = this.#initialized?.capabilities;
    return typeof capabilities === 'object' && capabilities !== null ? capabilities : {};
  }

  /**
   * Sends a request of the pool itself, past `maxInFlight`. It is never given up: that would test whether the server is stuck.
   * @param onAnswer called once; with undefined if the process is lost before it answers
   */
  ask(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    if (this.#peer instanceof DirectRouting) throw new TypeError('a dedicated server is asked by its client alone');
    this.#peer.request(method, params, onAnswer);
  }

  /** Number of requests that the server has not answered. */
  get openRequests(): number {
    return this.#peer.openRequests;
  }

  /** How many requests of sessions the server has answered. */
  get answers(): number {
    return this.#peer.answers;
  }

  /**
   * Makes the pool's own handshake. A dedicated server has none: its client initializes it.
   * @param refusal makes the error about a refusal; it gets the end of the message
   * @param onDone called once, with an error if the server refused; not called if the server does not answer
   */
  initialize(refusal: (why: string) => PoolError, onDone: (failure?: PoolError) => void): void {
    const upstream = this.#peer;
    if (upstream instanceof DirectRouting) return onDone();
    upstream.open(this.#onBroken, () => this.#reports.changed());
    const request = upstream.request.bind(upstream);
    initialize(request, this.#definition, (answer, offered) => {
      try {
        this.#initialized = readInitializeResult(answer, offered, refusal);
      } catch (error) {
        if (error instanceof PoolError) return onDone(error);
        throw error;
      }
      upstream.write({ jsonrpc: '2.0', method: 'notifications/initialized' });
      onDone();
    });
  }

  /** From now on this process serves the sessions, instead of the one that did so before. */
  connect(callbacks: MultiplexerCallbacks): void {
    if (this.#peer instanceof DirectRouting || this.#initialized === undefined) return;
    this.#multiplexer?.connect(this.#peer, this.#initialized, callbacks);
  }

  /** New requests of its sessions wait from now on. */
  suspend(): void {
    if (this.#peer instanceof Upstream) this.#multiplexer?.suspend(this.#peer);
  }

  /** Requests of its sessions are sent again. */
  resume(): void {
    if (this.#peer instanceof Upstream) this.#multiplexer?.resume(this.#peer);
  }

  /** Calls `task` when no request is open: now or later. */
  whenDrained(task: () => void): void {
    if (this.#peer instanceof Upstream) this.#peer.whenDrained(task);
    else task();
  }

  /** Where the session of a dedicated server attaches; undefined for others: their sessions attach to the multiplexer. */
  get direct(): Routing | undefined {
    return this.#peer instanceof DirectRouting ? this.#peer : undefined;
  }

  /** Writes the messages of this tick now. */
  flush(): void {
    this.#channel.flush();
  }

  /** From now on, messages to the server are refused with `error`. */
  close(error: PoolError): void {
    this.#giveUpWatch?.stop();
    this.#channel.close(error);
    this.#reports.end();
  }

  /** Requests that the process has not answered are answered with `error`, or go to the next process. */
  end(error: PoolError): void {
    if (this.#peer instanceof Upstream) this.#multiplexer?.lose(this.#peer, error);
  }
}

/** The multiplexer for the sessions of an instance; undefined for a dedicated server: its one session needs none. */
export function multiplexerFor(
  definition: ResolvedDefinition,
  sharing: Sharing,
  { clock, keepAlive, writeBudget, copyBudget, requests: observer }: InstanceContext,
): Multiplexer | undefined {
  const { onCrash, retryTools, reuse } = definition;
  if (sharing === 'dedicated') return undefined;
  const server = namesOf(definition);
  const shared = sharing === 'shared';
  const sessions = { shared, changesOwner: reuse === 'tenant', sessionsStay: onCrash === 'restart' };
  return new Multiplexer({ server, ...sessions, retryTools, clock, keepAlive, writeBudget, copyBudget, observer });
}

/** Least time between two reports, ms: a server may write thousands of such lines. */
const NOISE_INTERVAL = 10_000;

/** Reports what a server wrote and was dropped: the first at once, the rest in turns. */
class NoiseReports {
  readonly #noise: Noise;
  readonly #clock: Clock;
  readonly #report: (dropped: DroppedOutput) => void;
  #timer: Timer | undefined;
  #hasEnded = false;

  constructor(noise: Noise, clock: Clock, report: (dropped: DroppedOutput) => void) {
    this.#noise = noise;
    this.#clock = clock;
    this.#report = report;
  }

  /** Something was dropped. */
  changed(): void {
    if (this.#timer === undefined && !this.#hasEnded) this.#reportNow();
  }

  /** The server has ended: the rest is reported now. */
  end(): void {
    this.#hasEnded = true;
    this.#timer?.cancel();
    const dropped = this.#noise.take();
    if (dropped) this.#report(dropped);
  }

  #reportNow(): void {
    const dropped = this.#noise.take();
    this.#timer = dropped && this.#clock.after(NOISE_INTERVAL, () => this.#reportNow());
    if (dropped) this.#report(dropped);
  }
}
