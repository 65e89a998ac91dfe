import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { WriteBudget } from '../channels/write-budget.js';
import type { InitializeResult } from '../eras/handshake.js';
import { SessionHandshake } from '../eras/session-handshake.js';
import {
  type Answer,
  copyOf,
  isRepeatable,
  type JsonRpcMessage,
  type JsonRpcRequest,
  notification,
  property,
} from '../json-rpc.js';
import type { Attachment, Endpoint, Routing } from '../routing.js';
import { Guard } from './guard.js';
import { LogLevels } from './log-levels.js';
import { Member, type MemberHost, type OpenRequest } from './member.js';
import { RequestFlow } from './request-flow.js';
import { ServerMessages } from './server-messages.js';
import { ServerRequests } from './server-requests.js';
import { SessionMessages } from './session-messages.js';
import { Subscriptions } from './subscriptions.js';
import { Tasks } from './tasks.js';
import type { ToolChanges } from './tool-list.js';
import { ToolWatch } from './tool-watch.js';
import type { Upstream } from './upstream.js';

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
  readonly hold: KeepAlive;
  readonly budget: WriteBudget;
}

export interface MultiplexerHandlers {
  /** A client counts on capabilities that the pool did not declare to the server. */
  onUndeclared(capabilities: readonly string[]): void;
  /** After a restart: the tools are not those that the clients know. */
  onToolsChanged(changes: ToolChanges): void;
}

/**
 * The sessions of one server, which sees one client. Each message of a session goes to the process that serves them now,
 * each answer and notification back to whom it is for; and what the next process must know, when this one is lost or
 * replaced, is kept here. An exclusive server has one session at a time, a shared one any number.
 *
 * {@link SessionMessages} and {@link ServerMessages} say what is done with each message, as the table in docs/sharing.md
 * does.
 */
export class Multiplexer implements Routing, MemberHost {
  readonly #options: MultiplexerOptions;
  /** Told of by the process that serves now. */
  #handlers: MultiplexerHandlers | undefined;
  /** The process that serves the sessions, or the last that did. */
  #served: Upstream | undefined;
  readonly #guard = new Guard((cause) => {
    if (this.#served === undefined) throw cause;
    this.#failRequests(this.#served, this.#served.fail(cause));
  });
  readonly #flow: RequestFlow;
  readonly #members = new Set<Member>();
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
      this.#fromServer.toAll(notification('notifications/tools/list_changed', undefined));
    },
  );
  readonly #asked = new ServerRequests();
  readonly #handshake: SessionHandshake;
  readonly #fromSessions: SessionMessages;
  readonly #fromServer: ServerMessages;

  constructor(options: MultiplexerOptions) {
    const { shared } = options;
    this.#options = options;
    this.#flow = new RequestFlow({
      ...options,
      guard: this.#guard,
      isRepeatable: (message) => this.#isRepeatable(message),
    });
    this.#handshake = new SessionHandshake(shared, (capabilities) => this.#handlers?.onUndeclared(capabilities));
    const kept = {
      ...{ shared, members: this.#members, flow: this.#flow, handshake: this.#handshake, asked: this.#asked },
      guard: this.#guard,
      ...{ levels: this.#levels, subscriptions: this.#subscriptions, tasks: this.#tasks, tools: this.#tools },
    };
    this.#fromSessions = new SessionMessages(kept);
    this.#fromServer = new ServerMessages(kept);
  }

  // The process.

  /** From now on `upstream` serves the sessions. One that did so before finishes what it has. */
  connect(upstream: Upstream, result: InitializeResult, handlers: MultiplexerHandlers): void {
    this.#served = upstream;
    this.#handshake.connect(result, upstream.clientCapabilities);
    this.#handlers = handlers;
    this.#tasks.clear();
    upstream.connect(this.#fromServer);
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
    try {
      if (upstream === this.#flow.upstream) this.#tasks.clear();
      this.#asked.lose(upstream);
      this.#flow.lose(upstream, error);
    } catch (cause) {
      this.#failRequests(upstream, upstream.fail(cause));
    }
    if (error.code === 'INTERNAL_ERROR') this.#failRequests(upstream, error);
  }

  /** After a fault of this library: nothing of what a process was asked stays without an answer. */
  #failRequests(upstream: Upstream, error: PoolError): void {
    for (const member of this.#members) {
      for (const request of member.requests()) {
        // A request that was put together with those of others has no process of its own.
        if (request.isWaiting || (request.upstream ?? this.#served) !== upstream) continue;
        try {
          this.#flow.lost(request, error);
        } catch (cause) {
          upstream.fail(cause);
        }
      }
    }
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
    this.#guard.runWithin(() => {
      this.#flow.detach(member);
      this.#subscriptions.drop(member);
      for (const taskId of this.#tasks.drop(member)) this.#ask('tasks/cancel', { taskId }, () => {});
      this.#asked.refuseAll();
      this.#levels.detach(member);
    });
  }

  fail(member: Member, error: PoolError): void {
    this.#guard.runWithin(() => this.#flow.fail(member, error));
  }

  giveUp(request: OpenRequest): void {
    this.#flow.finish(request);
  }

  fromSession(member: Member, message: JsonRpcMessage): Promise<void> {
    return this.#fromSessions.receive(member, message);
  }

  #isRepeatable({ method, params }: JsonRpcRequest): boolean {
    if (method !== 'tools/call') return isRepeatable(method);
    if (this.#options.retryTools === 'never' || property(params, 'task') !== undefined) return false;
    return this.#tools.isRepeatable(property(params, 'name'));
  }

  /** A request of the pool, if there is a server to ask. What a server says that was replaced meanwhile counts for nothing. */
  #ask(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    const { upstream } = this.#flow;
    if (upstream === undefined) return this.#guard.soon(() => onAnswer(undefined));
    upstream.request(method, params, (answer) => onAnswer(upstream === this.#flow.upstream ? answer : undefined));
  }
}
