import { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { WriteBudget } from '../channels/write-budget.js';
import {
  type Answer,
  errorFor,
  type JsonRpcMessage,
  type JsonRpcRequest,
  notification,
  resultFor,
} from '../json-rpc.js';
import { lostRequest } from '../routing.js';
import { Backlog, type Outgoing } from './backlog.js';
import type { Guard } from './guard.js';
import type { Member, OpenRequest } from './member.js';
import type { Upstream } from './upstream.js';

export interface RequestFlowOptions {
  /** Name of the server, for errors. */
  readonly name: string;
  /** Whether sessions outlive the process: what is safe to repeat is sent again to the next one. */
  readonly sessionsStay: boolean;
  readonly clock: Clock;
  readonly hold: KeepAlive;
  readonly budget: WriteBudget;
  readonly guard: Guard;
  /** Whether a request changes nothing, or no more than it did before, when it is sent twice. */
  isRepeatable(message: JsonRpcRequest): boolean;
}

/** A request of the pool that waits for its turn. */
interface Ask {
  readonly method: string;
  readonly params: unknown;
  readonly answered: (answer: Answer | undefined) => void;
}

/** How long a request that nobody waits for may keep its place on a server that must not be given another meanwhile, ms. */
const FINISHING_TIME = 60_000;
const GONE = { reason: 'its client is gone' };
/** Most requests of one session that are not answered. */
const MOST_OPEN = 100_000;

/**
 * The requests of all sessions of one server, each from its `send` to its answer: at once while the process has room, else
 * in turn; held back while there is no process, or another is to come. While one is open, the host is held open.
 */
export class RequestFlow {
  readonly #options: RequestFlowOptions;
  readonly #waiting: Backlog;
  #upstream: Upstream | undefined;
  #suspended = false;
  #open = 0;
  /** What the pool has to ask when there is room. */
  readonly #asks: Ask[] = [];
  #askedLast = false;

  constructor(options: RequestFlowOptions) {
    this.#options = options;
    this.#waiting = new Backlog(options.name, options.budget);
  }

  /** The process that new requests go to. */
  get upstream(): Upstream | undefined {
    return this.#upstream;
  }

  /** New requests go to `upstream` from now on, after what `first` sends. */
  connect(upstream: Upstream, first: () => void): void {
    this.#upstream = upstream;
    this.#forgetAsks();
    first();
    this.resume();
  }

  /** New requests wait from now on, although there is a process. */
  suspend(): void {
    this.#suspended = true;
  }

  resume(): void {
    this.#suspended = false;
    this.pump();
  }

  /**
   * A process is lost, with the requests that it has not answered: those that are safe to repeat are sent to the next one,
   * once; all others are answered with an error at once.
   */
  lose(upstream: Upstream, error: PoolError): void {
    if (upstream === this.#upstream) {
      this.#upstream = undefined;
      this.#forgetAsks();
    }
    const { sessionsStay } = this.#options;
    // After a fault of this library nothing is repeated: it might come again.
    const mayRepeat = sessionsStay && error.code !== 'INTERNAL_ERROR';
    const again = new Map<Member, OpenRequest[]>();
    for (const request of upstream.lose()) {
      const { session } = request;
      request.onGone?.();
      if (request.done) continue;
      if (mayRepeat && !request.repeated && request.isRepeatable) {
        const requests = again.get(session) ?? [];
        again.set(session, requests);
        requests.push(request);
      } else {
        this.lost(request, error);
      }
    }
    for (const [member, requests] of again) {
      for (const request of requests) {
        request.repeated = true;
        request.upstream = undefined;
      }
      this.#waiting.putBack(member, requests);
    }
    this.pump();
  }

  /** Why a session may send no more requests now; undefined when it may. */
  refusal({ openRequests }: Member): PoolError | undefined {
    if (openRequests < MOST_OPEN) return undefined;
    const { name } = this.#options;
    const message = `a request to server '${name}' was refused: ${MOST_OPEN} of this session wait for their answers already`;
    return new PoolError('BUFFER_FULL', message, { name });
  }

  /** Sends a request, if it is its turn. */
  forward(request: OpenRequest): Promise<void> {
    this.begin(request);
    const upstream = this.#upstream;
    // Known now: what its sender does to the message later changes nothing.
    request.isRepeatable = this.#options.isRepeatable(request.message);
    try {
      if (upstream?.hasRoom && !this.#suspended && this.#waiting.isEmpty) {
        const sent = upstream.forward(request);
        if (this.#options.sessionsStay && request.isRepeatable) request.keep();
        return sent;
      }
      return this.#waiting.add(request.session, request.message, request);
    } catch (error) {
      this.finish(request);
      return Promise.reject(error);
    }
  }

  /**
   * Asks the server in the name of the pool for what a session wants for itself: in turn with the requests of sessions, so
   * that many of them neither delay the others nor pass maxInFlight.
   * @param onAnswer called once, with undefined when the process is lost, or replaced, before it answers
   */
  ask(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return this.#options.guard.soon(() => onAnswer(undefined));
    const answered = (answer: Answer | undefined) => onAnswer(upstream === this.#upstream ? answer : undefined);
    if (upstream.hasRoom && this.#asks.length === 0) return upstream.requestCounted(method, params, answered);
    this.#asks.push({ method, params, answered });
  }

  /** Sends what needs no answer, after all that its session has sent before. */
  post(member: Member, message: JsonRpcMessage): Promise<void> {
    if (this.#upstream?.canWrite && !this.#suspended && !this.#waiting.has(member)) return this.#upstream.send(message);
    try {
      return this.#waiting.add(member, message, undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Gives a request up that its session does not want any more. */
  cancel(request: OpenRequest, params: unknown): Promise<void> {
    this.finish(request);
    request.leaveQueue?.();
    return this.#abandon(request, params);
  }

  /** The server is lost to a session: answers all its requests with an error. */
  fail(member: Member, error: PoolError): void {
    this.#waiting.drop(member);
    for (const request of member.requests()) {
      this.lost(request, error, {});
      this.#abandon(request, GONE).catch(() => {});
    }
  }

  /** A session is gone. */
  detach(member: Member): void {
    this.#waiting.drop(member);
    for (const request of member.requests()) this.cancel(request, GONE).catch(() => {});
  }

  /**
   * Nobody waits for the answer to a request any more: the server is told, and owes none; one that comes all the same finds
   * nobody. But one that works on few at once for fear of losing data (`maxInFlight`) has to finish what may change
   * something, since nobody can see when it has stopped: the request keeps its place until its answer, for a time.
   */
  #abandon(request: OpenRequest, params: unknown): Promise<void> {
    const { upstream, wireId } = request;
    if (upstream === undefined) return Promise.resolve();
    const tell = () => {
      const sent = upstream.send(notification('notifications/cancelled', { ...(params as object), requestId: wireId }));
      upstream.take(request);
      this.pump();
      return sent;
    };
    if (!upstream.isBounded || request.isRepeatable) return tell();
    const timer = this.#options.clock.after(FINISHING_TIME, () =>
      this.#options.guard.run(() => void tell().catch(() => {})),
    );
    request.onGone = () => timer.cancel();
    return Promise.resolve();
  }

  /** A request waits for its answer from now on, whoever gives it. */
  begin(request: OpenRequest): void {
    request.session.add(request);
    if (this.#open === 0) this.#options.hold.take();
    this.#open += 1;
  }

  /** It waits no more. False when that was so before. */
  finish(request: OpenRequest): boolean {
    if (request.done) return false;
    request.done = true;
    request.session.remove(request);
    this.#open -= 1;
    if (this.#open === 0) this.#options.hold.drop();
    return true;
  }

  answer(request: OpenRequest, { result, error }: Answer): void {
    const { id } = request;
    this.deliver(request, error === undefined ? resultFor(id, result) : errorFor(id, error));
  }

  /** Hands the answer to the session that waits for it, if it still does. */
  deliver(request: OpenRequest, answer: JsonRpcMessage): void {
    if (!this.finish(request)) return;
    try {
      request.session.endpoint.receive(answer);
    } catch (fault) {
      // The session still waits: for the error that the fault leads to.
      request.done = false;
      this.begin(request);
      throw fault;
    }
  }

  /** Sends what waits, in turn, as far as there is room. */
  pump(): void {
    while (!this.#suspended && this.#upstream?.hasRoom) {
      const isAsksTurn = this.#waiting.isEmpty || !this.#askedLast;
      const ask = isAsksTurn ? this.#asks.shift() : undefined;
      this.#askedLast = ask !== undefined;
      if (ask) {
        this.#upstream.requestCounted(ask.method, ask.params, ask.answered);
        continue;
      }
      const item = this.#waiting.next();
      if (item === undefined) return;
      this.#sendWaiting(this.#upstream, item);
    }
  }

  #sendWaiting(upstream: Upstream, { message, request, sent }: Outgoing): void {
    if (message === undefined || request?.done) return sent?.resolve();
    if (request) request.leaveQueue = undefined;
    try {
      const written = request ? upstream.forward(request) : upstream.send(message);
      if (sent) written.then(sent.resolve, sent.reject);
    } catch (error) {
      // It was JSON when it came, so the buffer is full.
      if (request === undefined) sent?.reject(error);
      else if (sent === undefined) this.lost(request, error as PoolError, {});
      else if (this.finish(request)) sent.reject(error);
    }
  }

  /** What was to be asked of a process that is no more. */
  #forgetAsks(): void {
    for (const { answered } of this.#asks.splice(0)) answered(undefined);
  }

  /** Answers a request that was lost with its process. */
  lost(
    request: OpenRequest,
    error: PoolError,
    more: { retryable?: boolean } = this.#options.sessionsStay ? { retryable: true } : {},
  ): void {
    const mayHaveRun = request.upstream !== undefined || request.repeated;
    const { error: lost } = lostRequest(request.id, request.method, error, { mayHaveRun, ...more });
    this.answer(request, { error: lost });
  }
}
