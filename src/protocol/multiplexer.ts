import type { Clock } from '../config/clock.js';
import type { HostHold } from '../config/host-hold.js';
import type { PoolError } from '../errors.js';
import type { WriteBudget } from './connection.js';
import { answerVersion, type InitializeResult } from './handshake.js';
import {
  type Answer,
  errorFor,
  INVALID_PARAMS,
  isRepeatable,
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  METHOD_NOT_FOUND,
  notification,
  property,
  type RequestId,
  resultFor,
  success,
} from './json-rpc.js';
import { hears, isLogLevel, LogLevels } from './log-levels.js';
import { Member, type MemberHost, OpenRequest } from './member.js';
import { RequestFlow } from './request-flow.js';
import type { Attachment, Endpoint, Routing } from './routing.js';
import { Subscriptions } from './subscriptions.js';
import { Tasks } from './tasks.js';
import type { ToolChanges } from './tool-list.js';
import { ToolWatch } from './tool-watch.js';
import type { Upstream, UpstreamReceiver } from './upstream.js';

export interface MultiplexerOptions {
  /** Name of the server, for errors. */
  readonly name: string;
  /** Whether several sessions are there at once, so that nobody can say which of them the server means. */
  readonly shared: boolean;
  /** Whether sessions outlive the process: what is safe to repeat is sent again to the next one. */
  readonly sessionsStay: boolean;
  /** Whether tools are safe to repeat of which the server says so. */
  readonly retryTools: 'never' | 'annotated';
  readonly clock: Clock;
  readonly hold: HostHold;
  readonly budget: WriteBudget;
}

export interface MultiplexerHandlers {
  /** A client counts on capabilities that the pool did not declare to the server. */
  onUndeclared(capabilities: readonly string[]): void;
  /** After a restart: the tools are not those that the clients know. */
  onToolsChanged(changes: ToolChanges): void;
}

/** Most requests of a server that its session has not answered. */
const MOST_ASKED = 10_000;
/** Capabilities of a client that let the server ask it something. */
const ASKING = ['roots', 'sampling', 'elicitation'];

/**
 * The sessions of one server, which sees one client. Each message of a session goes to the process that serves them now,
 * each answer and notification back to whom it is for; and what the next process must know, when this one is lost or
 * replaced, is kept here. An exclusive server has one session at a time, a shared one any number.
 *
 * The table of messages in docs/sharing.md says what is done with each.
 */
export class Multiplexer implements Routing, MemberHost, UpstreamReceiver {
  readonly #options: MultiplexerOptions;
  /** Told of by the process that serves now. */
  #handlers: MultiplexerHandlers | undefined;
  readonly #flow: RequestFlow;
  readonly #members = new Set<Member>();
  #initialized: InitializeResult | undefined;
  /** What the pool declared to the process that was connected last. */
  #declared: Readonly<Record<string, unknown>> = {};
  readonly #levels = new LogLevels({
    request: (method, params, onAnswer) => this.#flow.ask(method, params, onAnswer),
    replay: (method, params, onAnswer) => this.#ask(method, params, onAnswer),
  });
  readonly #subscriptions = new Subscriptions<Member, OpenRequest>({
    request: (method, params, onAnswer) => this.#flow.ask(method, params, onAnswer),
    replay: (method, params, onAnswer) => this.#ask(method, params, onAnswer),
    // A copy for each: several may wait for one answer.
    answer: (request, answer) => this.#flow.answer(request, copyOf(answer)),
  });
  readonly #tasks = new Tasks<Member>();
  readonly #tools = new ToolWatch(
    (method, params, onAnswer) => this.#ask(method, params, onAnswer),
    (changes) => {
      this.#handlers?.onToolsChanged(changes);
      this.#toAll(notification('notifications/tools/list_changed', undefined));
    },
  );
  /** Requests of an exclusive server that its session has not answered, by process. */
  readonly #asked = new Map<RequestId, Upstream>();

  constructor(options: MultiplexerOptions) {
    this.#options = options;
    this.#flow = new RequestFlow({ ...options, isRepeatable: (message) => this.#isRepeatable(message) });
  }

  // The process.

  /** From now on `upstream` serves the sessions. One that did so before finishes what it has. */
  connect(upstream: Upstream, result: InitializeResult, handlers: MultiplexerHandlers): void {
    this.#initialized = result;
    this.#declared = upstream.clientCapabilities;
    this.#handlers = handlers;
    this.#tasks.clear();
    upstream.connect(this);
    this.#flow.connect(upstream, () => {
      this.#levels.replay();
      this.#subscriptions.replay();
    });
    // Last: those who wait for answers go first.
    this.#tools.replaced();
  }

  /** If it is `upstream` that serves now, new requests wait until another is connected, or this one shall go on. */
  suspend(upstream: Upstream): void {
    if (upstream === this.#flow.upstream) this.#flow.suspend();
  }

  resume(upstream: Upstream): void {
    if (upstream === this.#flow.upstream) this.#flow.resume();
  }

  /** A process is lost, with what it has not answered. */
  lose(upstream: Upstream, error: PoolError): void {
    if (upstream === this.#flow.upstream) this.#tasks.clear();
    for (const [id, asker] of this.#asked) if (asker === upstream) this.#asked.delete(id);
    this.#flow.lose(upstream, error);
  }

  // The sessions.

  attach(session: Endpoint): Attachment {
    const member = new Member(session, this);
    this.#members.add(member);
    this.#levels.attach(member);
    return member;
  }

  detach(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#flow.detach(member);
    this.#subscriptions.drop(member);
    for (const taskId of this.#tasks.drop(member)) this.#ask('tasks/cancel', { taskId }, () => {});
    for (const [id, upstream] of this.#asked) upstream.refuse(id, 'no client is there to answer');
    this.#asked.clear();
    this.#levels.detach(member);
  }

  fail(member: Member, error: PoolError): void {
    this.#flow.fail(member, error);
  }

  giveUp(request: OpenRequest): void {
    this.#flow.finish(request);
  }

  fromSession(member: Member, message: JsonRpcMessage): Promise<void> {
    if (isRequest(message)) return this.#fromSessionRequest(member, message);
    if (message.method !== undefined) return this.#fromSessionNotification(member, message);
    // An answer to nothing that this session was asked: it was given up, or asked of the session before.
    const asker = this.#asked.get(message.id as RequestId);
    this.#asked.delete(message.id as RequestId);
    // At once: whoever waits for its turn may wait for this.
    return asker === undefined ? Promise.resolve() : asker.send(message);
  }

  #fromSessionRequest(member: Member, message: JsonRpcRequest): Promise<void> {
    const { id, method, params } = message;
    const refusal = this.#flow.refusal(member);
    if (refusal) return Promise.reject(refusal);
    switch (method) {
      case 'initialize':
        return answerSoon(member, id, this.#initialize(params));
      case 'ping':
        return answerSoon(member, id, success());
      case 'server/discover':
        // A process that was initialized speaks the legacy era; a client of both eras falls back on this answer.
        return answerSoon(member, id, { error: { code: METHOD_NOT_FOUND, message: 'Method not found' } });
      case 'logging/setLevel':
        return this.#setLevel(member, message);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return this.#subscribe(member, message);
      case 'tools/list':
        return this.#flow.forward(new OpenRequest(member, message, this.#seeTools));
      case 'tasks/list':
        return this.#flow.forward(new OpenRequest(member, message, this.#filterTasks));
      case 'tasks/get':
      case 'tasks/result':
      case 'tasks/cancel':
        if (this.#tasks.ownerOf(property(params, 'taskId')) === member) break;
        // Whether or not there is one of that id: it is not this session's.
        return answerSoon(member, id, { error: { code: INVALID_PARAMS, message: 'Task not found' } });
    }
    const beginsTask = property(params, 'task') !== undefined;
    return this.#flow.forward(new OpenRequest(member, message, beginsTask ? this.#seeTask : undefined));
  }

  #fromSessionNotification(member: Member, message: JsonRpcMessage): Promise<void> {
    const { method, params } = message;
    switch (method) {
      case 'notifications/cancelled': {
        const request = member.find(property(params, 'requestId'));
        if (request === undefined) return Promise.resolve();
        if (request.method === 'resources/subscribe') {
          this.#subscriptions.cancel(uriOf(request.message), request);
        }
        return this.#flow.cancel(request, params);
      }
      case 'notifications/initialized':
        return Promise.resolve();
      case 'notifications/roots/list_changed':
        // Roots are part of what a shared server was started with: one client cannot change them for the others.
        if (this.#options.shared) return Promise.resolve();
    }
    return this.#flow.post(member, message);
  }

  // What the server says.

  answered(request: OpenRequest, message: JsonRpcMessage): void {
    // The message was parsed for this one receiver, so it can be changed in place.
    (message as { id: RequestId }).id = request.id;
    const { session, onAnswer } = request;
    request.onGone?.();
    if (this.#flow.finish(request)) session.endpoint.receive(onAnswer ? onAnswer(message, request) : message);
    this.#flow.pump();
  }

  asked(message: JsonRpcRequest, upstream: Upstream): void {
    if (this.#options.shared) {
      return upstream.refuse(message.id, 'several clients share this server, and none can answer for all');
    }
    const [session] = this.#members;
    if (session === undefined) return upstream.refuse(message.id, 'no client is there to answer');
    if (this.#asked.size >= MOST_ASKED) return upstream.refuse(message.id, 'too many requests are not answered yet');
    this.#asked.set(message.id, upstream);
    session.endpoint.receive(message);
  }

  told(message: JsonRpcMessage, upstream: Upstream): void {
    const { method, params } = message;
    const { shared } = this.#options;
    if (method === 'notifications/progress') return this.#toldProgress(message, upstream);
    if (method === 'notifications/message') return this.#toAll(message, (member) => hears(member, message));
    // What a server that is being replaced says of itself is not so for the one that replaces it.
    if (upstream !== this.#flow.upstream) return;
    switch (method) {
      case 'notifications/resources/updated': {
        const wanted = new Set(shared ? this.#subscriptions.subscribers(uriOf(message)) : this.#members);
        return this.#toAll(message, (member) => wanted.has(member));
      }
      case 'notifications/tasks/status': {
        const taskId = property(params, 'taskId');
        this.#tasks.told(taskId, property(params, 'status'));
        return this.#tasks.ownerOf(taskId)?.endpoint.receive(message);
      }
      case 'notifications/tools/list_changed':
        this.#tools.forget();
        break;
      case 'notifications/cancelled':
        // Only of what the session was asked.
        if (!this.#asked.delete(property(params, 'requestId') as RequestId)) return;
    }
    this.#toAll(message);
  }

  roomAgain(): void {
    this.#flow.pump();
  }

  #toldProgress(message: JsonRpcMessage, upstream: Upstream): void {
    const wireToken = property(message.params, 'progressToken') as RequestId;
    const request = upstream.byToken(wireToken);
    // It only keeps its place.
    if (request?.done) return;
    const whose = request
      ? { session: request.session, token: request.progressToken }
      : this.#tasks.ownerOfToken(wireToken);
    if (whose?.token === undefined) return;
    const params = { ...(message.params as object), progressToken: whose.token };
    whose.session.endpoint.receive({ ...message, params });
  }

  #toAll(message: JsonRpcMessage, wants: (member: Member) => boolean = () => true): void {
    for (const member of this.#members) {
      // A copy for each: what one client does to it must not reach the next.
      if (wants(member)) member.endpoint.receive(this.#options.shared ? copyOf(message) : message);
    }
  }

  // What concerns the process, or all of its sessions.

  #initialize(params: unknown): Answer {
    const { shared } = this.#options;
    const result = this.#initialized as InitializeResult;
    const counted = property(params, 'capabilities');
    const undeclared = ASKING.filter(
      (name) => property(counted, name) !== undefined && (shared || !(name in this.#declared)),
    );
    if (undeclared.length > 0) this.#handlers?.onUndeclared(undeclared);
    const protocolVersion = answerVersion(property(params, 'protocolVersion'), result.protocolVersion);
    return { result: { ...copyOf(result), protocolVersion } };
  }

  #setLevel(member: Member, message: JsonRpcRequest): Promise<void> {
    const level = property(message.params, 'level');
    const request = new OpenRequest(member, message);
    // A server that has no levels, or is asked for one that there is not, says so itself.
    const hasLevels = this.#initialized?.capabilities.logging !== undefined;
    if (!isLogLevel(level) || !hasLevels) return this.#flow.forward(request);
    this.#flow.begin(request);
    const answer = this.#levels.set(member, level, (late) => this.#flow.answer(request, late));
    if (answer) queueMicrotask(() => this.#flow.answer(request, answer));
    return Promise.resolve();
  }

  #subscribe(member: Member, message: JsonRpcRequest): Promise<void> {
    const request = new OpenRequest(member, message);
    // Nonsense is for the server to refuse.
    if (typeof property(message.params, 'uri') !== 'string') return this.#flow.forward(request);
    if (this.#subscriptions.isFull(member)) {
      const refusal = { code: INVALID_PARAMS, message: 'This session has too many subscriptions' };
      if (message.method === 'resources/subscribe') return answerSoon(member, message.id, { error: refusal });
    }
    this.#flow.begin(request);
    const answer =
      message.method === 'resources/subscribe'
        ? this.#subscriptions.subscribe(uriOf(message), request)
        : this.#subscriptions.unsubscribe(uriOf(message), request);
    if (answer) queueMicrotask(() => this.#flow.answer(request, answer));
    return Promise.resolve();
  }

  readonly #seeTools: OpenRequest['onAnswer'] = (answer, { message, upstream }) => {
    this.#tools.seen(message, answer, upstream === this.#flow.upstream);
    return answer;
  };

  readonly #seeTask: OpenRequest['onAnswer'] = (answer, { session, wireId, upstream, progressToken: token }) => {
    // A task of a process that is being replaced ends with it, and its id may be another's in the next.
    if (upstream !== this.#flow.upstream) return answer;
    this.#tasks.began(session, answer, token === undefined ? undefined : { wireId, token });
    return answer;
  };

  readonly #filterTasks: OpenRequest['onAnswer'] = (answer, { session }) => {
    return this.#tasks.filterList(session, answer);
  };

  #isRepeatable({ method, params }: JsonRpcRequest): boolean {
    if (method !== 'tools/call') return isRepeatable(method);
    if (this.#options.retryTools === 'never' || property(params, 'task') !== undefined) return false;
    return this.#tools.isRepeatable(property(params, 'name'));
  }

  /** A request of the pool, if there is a server to ask. What a server says that was replaced meanwhile counts for nothing. */
  #ask(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    const { upstream } = this.#flow;
    if (upstream === undefined) return queueMicrotask(() => onAnswer(undefined));
    upstream.request(method, params, (answer) => onAnswer(upstream === this.#flow.upstream ? answer : undefined));
  }
}

/** Empty for what is no URI: a server may write anything. */
function uriOf({ params }: JsonRpcMessage): string {
  const uri = property(params, 'uri');
  return typeof uri === 'string' ? uri : '';
}

function copyOf<T extends object>(value: T): T {
  try {
    return structuredClone(value);
  } catch {
    // Nested deeper than can be copied: better one that is shared than none.
    return { ...value };
  }
}

/** Not before `send` has returned: the client is not ready for the answer yet. */
function answerSoon({ endpoint }: Member, id: RequestId, { result, error }: Answer): Promise<void> {
  queueMicrotask(() => endpoint.receive(error === undefined ? resultFor(id, result) : errorFor(id, error)));
  return Promise.resolve();
}
