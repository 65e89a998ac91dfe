import type { PoolError, ServerNames } from '../../errors.js';
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
import { RequestDeadlines } from '../request-deadlines.js';
import type { RequestObserver } from '../request-observer.js';
import type { Attachment, Endpoint, Routing } from '../routing.js';
import { Guard } from './guard.js';
import type { WishCallbacks } from './latest-wish.js';
import { LogLevels } from './log-levels.js';
import { Member, type MemberCallbacks, type OpenRequest } from './member.js';
import { OpenRequests } from './open-requests.js';
import { RequestFlow } from './request-flow.js';
import { ServerMessages } from './server-messages.js';
import { ServerRequests } from './server-requests.js';
import { SessionMessages } from './session-messages.js';
import { Subscriptions } from './subscriptions.js';
import { Tasks } from './tasks.js';
import type { ToolChanges } from './tool-list.js';
import { ToolWatch } from './tool-watch.js';
import type { Upstream } from './upstream.js';

export interface MultiplexerDeps {
  /** The server, as errors name it until it has a process. */
  readonly server: ServerNames;
  /** Whether there may be several sessions at once, so that a request of the server cannot be assigned to one of them. */
  readonly shared: boolean;
  /** Whether sessions of several owners may come one after the other (`reuse: 'tenant'`). */
  readonly changesOwner: boolean;
  /** Whether sessions outlive the process: a request that is safe to repeat is sent again to the next one. */
  readonly sessionsStay: boolean;
  /** Which tool calls are safe to repeat: none, or those of tools that the server annotates so. */
  readonly retryTools: 'never' | 'annotated';
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
  /** For the messages of all servers of the pool that wait for their turn. */
  readonly writeBudget: WriteBudget;
  /** For the copies of requests that wait for their answers. */
  readonly copyBudget: WriteBudget;
  /** Learns of the requests of all sessions. */
  readonly observer: RequestObserver;
}

export interface MultiplexerCallbacks {
  /** A client declared capabilities that the pool did not declare to the server. */
  onUndeclared(capabilities: readonly string[]): void;
  /** After a restart, the tools are not those that the clients know. */
  onToolsChanged(changes: ToolChanges): void;
}

/**
 * The sessions of one server, which itself sees a single client. An exclusive server has one session at a time, a shared
 * server any number. Each message of a session goes to the process that serves now. Each answer and notification goes to the
 * sessions that it is meant for. What the next process must know when this one is lost or replaced is kept here.
 *
 * {@link SessionMessages} and {@link ServerMessages} handle the messages, as the table in docs/sharing.md says.
 */
export class Multiplexer implements Routing, MemberCallbacks {
  readonly #deps: MultiplexerDeps;
  /** Those of the process that serves now. */
  #callbacks: MultiplexerCallbacks | undefined;
  /** The process that serves the sessions, or the last that did. */
  #served: Upstream | undefined;
  readonly #members = new Set<Member>();
  /** Sessions so far. */
  #sessions = 0;
  readonly #guard = new Guard((cause) => {
    if (this.#served === undefined) throw cause;
    this.#failRequests(this.#served, this.#served.fail(cause));
  });
  readonly #open: OpenRequests;
  readonly #flow: RequestFlow;
  readonly #handshake: SessionHandshake;
  readonly #wishes: WishCallbacks<OpenRequest> = {
    send: (method, params, how, onAnswer, asker) => {
      this.#flow[how === 'replay' ? 'replay' : 'ask'](method, params, onAnswer, asker);
    },
    // Several requests may wait for one answer: each gets its own copy.
    answer: (request, answer) => this.#open.answer(request, copyOf(answer)),
  };
  readonly #levels = new LogLevels<OpenRequest>(this.#wishes);
  readonly #subscriptions = new Subscriptions<Member, OpenRequest>(this.#wishes);
  readonly #tasks = new Tasks<Member>();
  readonly #tools = new ToolWatch(
    (method, params, onAnswer) => this.#ask(method, params, onAnswer),
    (changes) => {
      this.#callbacks?.onToolsChanged(changes);
      this.#serverMessages.toAll(notification('notifications/tools/list_changed', undefined));
    },
  );
  readonly #serverRequests: ServerRequests;
  readonly #sessionMessages: SessionMessages;
  readonly #serverMessages: ServerMessages;

  constructor(deps: MultiplexerDeps) {
    const { shared } = deps;
    this.#deps = deps;
    // Its label may change.
    const server = () => this.#served?.server ?? deps.server;
    const isMixed = () => shared || (deps.changesOwner && this.#sessions > 1);
    const deadlines = new RequestDeadlines<OpenRequest>({
      clock: deps.clock,
      timeout: () => this.#served?.requestTimeout ?? Infinity,
      onLate: (request) => this.#guard.run(() => this.#flow.timeOut(request)),
    });
    this.#open = new OpenRequests({ ...deps, server, isMixed, deadlines });
    this.#serverRequests = new ServerRequests({ clock: deps.clock, guard: this.#guard });
    this.#flow = new RequestFlow({
      ...{ ...deps, server, open: this.#open, guard: this.#guard, deadlines },
      isRepeatable: (message) => this.#isRepeatable(message),
    });
    this.#handshake = new SessionHandshake(shared, (capabilities) => this.#callbacks?.onUndeclared(capabilities));
    const parts = {
      ...{ shared, members: this.#members, open: this.#open, flow: this.#flow, guard: this.#guard },
      ...{ handshake: this.#handshake, levels: this.#levels, subscriptions: this.#subscriptions },
      ...{ tasks: this.#tasks, tools: this.#tools, serverRequests: this.#serverRequests },
    };
    this.#sessionMessages = new SessionMessages(parts);
    this.#serverMessages = new ServerMessages(parts);
  }

  // The process.

  /** From now on `upstream` serves the sessions. A process that did so before finishes the requests that it has. */
  connect(upstream: Upstream, result: InitializeResult, callbacks: MultiplexerCallbacks): void {
    this.#served = upstream;
    this.#handshake.connect(result, upstream.clientCapabilities);
    this.#callbacks = callbacks;
    this.#tasks.clear();
    upstream.connect(this.#serverMessages);
    this.#flow.connect(upstream, () => {
      this.#levels.replay();
      this.#subscriptions.replay();
    });
    // After the requests that clients wait for.
    this.#tools.replaced();
  }

  /** If `upstream` serves now, new requests wait until another process is connected, or until `resume`. */
  suspend(upstream: Upstream): void {
    if (upstream === this.#flow.upstream) this.#flow.suspend();
  }

  resume(upstream: Upstream): void {
    if (upstream === this.#flow.upstream) this.#flow.resume();
  }

  /** A process is lost, with the requests that it has not answered. */
  lose(upstream: Upstream, error: PoolError): void {
    try {
      if (upstream === this.#flow.upstream) this.#tasks.clear();
      this.#serverRequests.lose(upstream);
      this.#flow.lose(upstream, error);
    } catch (cause) {
      this.#failRequests(upstream, upstream.fail(cause));
    }
    if (error.code === 'INTERNAL_ERROR') this.#failRequests(upstream, error);
  }

  /** After a fault of this library: answers every request that a process still owes an answer to. */
  #failRequests(upstream: Upstream, error: PoolError): void {
    for (const member of this.#members) {
      for (const request of member.requests()) {
        // A request that was combined with those of other sessions has no process of its own.
        if (request.isWaiting || (request.upstream ?? this.#served) !== upstream) continue;
        try {
          this.#open.lose(request, error);
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
    this.#sessions += 1;
    this.#levels.attach(member);
    this.#serverRequests.attach();
    return member;
  }

  detach(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#guard.runWithin(() => {
      this.#flow.detach(member);
      this.#subscriptions.drop(member);
      this.#cancelTasks(this.#tasks.drop(member));
      this.#serverRequests.detach(this.#flow.upstream);
      this.#levels.detach(member);
    });
  }

  fail(member: Member, error: PoolError): void {
    this.#guard.runWithin(() => this.#flow.fail(member, error));
  }

  fromSession(member: Member, message: JsonRpcMessage): Promise<void> {
    return this.#sessionMessages.receive(member, message);
  }

  /** The session of these tasks has ended. Until the server says so, it may still work on them. */
  #cancelTasks(ids: readonly string[]): void {
    const { upstream } = this.#flow;
    for (const taskId of ids) upstream?.giveUpOwn(upstream.request('tasks/cancel', { taskId }, () => {}));
  }

  #isRepeatable({ method, params }: JsonRpcRequest): boolean {
    if (method !== 'tools/call') return isRepeatable(method);
    if (this.#deps.retryTools === 'never' || property(params, 'task') !== undefined) return false;
    return this.#tools.isRepeatable(property(params, 'name'));
  }

  /** Sends a request of the pool, if there is a process. The answer of a process that was replaced meanwhile is dropped. */
  #ask(method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void): void {
    const { upstream } = this.#flow;
    if (upstream === undefined) return this.#guard.soon(() => onAnswer(undefined));
    const onValid = (answer: Answer | undefined) => onAnswer(upstream === this.#flow.upstream ? answer : undefined);
    upstream.request(method, params, onValid);
  }
}
