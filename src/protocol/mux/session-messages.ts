import type { SessionHandshake } from '../eras/session-handshake.js';
import {
  type Answer,
  errorFor,
  INVALID_PARAMS,
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  METHOD_NOT_FOUND,
  property,
  resultFor,
  success,
} from '../json-rpc.js';
import { refused } from '../sendable.js';
import { NOT_KEPT } from './copies.js';
import type { Guard } from './guard.js';
import { isLogLevel, type LogLevels } from './log-levels.js';
import { type Member, OpenRequest } from './member.js';
import type { OpenRequests } from './open-requests.js';
import type { RequestFlow } from './request-flow.js';
import type { ServerRequests } from './server-requests.js';
import { type Subscriptions, uriOf } from './subscriptions.js';
import type { Tasks } from './tasks.js';
import type { ToolWatch } from './tool-watch.js';

export interface SessionMessagesDeps {
  /** Whether there may be several sessions. */
  readonly shared: boolean;
  readonly open: OpenRequests;
  readonly flow: RequestFlow;
  readonly handshake: SessionHandshake;
  readonly levels: LogLevels<OpenRequest>;
  readonly subscriptions: Subscriptions<Member, OpenRequest>;
  readonly tasks: Tasks<Member>;
  readonly tools: ToolWatch;
  readonly serverRequests: ServerRequests;
  readonly guard: Guard;
}

/** Requests that a client may send before its handshake is complete. */
const OF_HANDSHAKE = new Set(['initialize', 'ping', 'server/discover']);

/** Handles each message of a session: answers it, combines it with those of other sessions, or sends it to the server. */
export class SessionMessages {
  readonly #deps: SessionMessagesDeps;

  constructor(deps: SessionMessagesDeps) {
    this.#deps = deps;
  }

  receive(member: Member, message: JsonRpcMessage): Promise<void> {
    if (isRequest(message)) return this.#request(member, message);
    if (message.method !== undefined) return this.#notification(member, message);
    return this.#deps.serverRequests.answer(message);
  }

  #request(member: Member, message: JsonRpcRequest): Promise<void> {
    const { open, flow, handshake, tasks } = this.#deps;
    const { method, params } = message;
    const refusal = open.refusal(member);
    if (refusal) return Promise.reject(refusal);
    if (!OF_HANDSHAKE.has(method)) this.#isReady(member);
    switch (method) {
      case 'initialize':
        return this.#answerSoon(member, message, handshake.answer(params));
      case 'ping':
        return this.#answerSoon(member, message, success());
      case 'server/discover':
        // A process that was initialized speaks the legacy era. After this answer, a client that knows both eras uses it.
        return this.#answerSoon(member, message, { error: { code: METHOD_NOT_FOUND, message: 'Method not found' } });
      case 'logging/setLevel':
        return this.#setLevel(member, message);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return this.#subscribe(member, message);
      case 'tools/list':
        return flow.forward(new OpenRequest(member, message, this.#seeTools));
      case 'tasks/list':
        return flow.forward(new OpenRequest(member, message, this.#filterTasks));
      case 'tasks/get':
      case 'tasks/result':
      case 'tasks/cancel':
        if (tasks.ownerOf(property(params, 'taskId')) === member) break;
        // The same answer whether another session has such a task or not.
        return this.#answerSoon(member, message, { error: { code: INVALID_PARAMS, message: 'Task not found' } });
    }
    const beginsTask = property(params, 'task') !== undefined;
    return flow.forward(new OpenRequest(member, message, beginsTask ? this.#seeTask : undefined));
  }

  #notification(member: Member, message: JsonRpcMessage): Promise<void> {
    const { method, params } = message;
    switch (method) {
      case 'notifications/cancelled': {
        const request = member.find(property(params, 'requestId'));
        if (request === undefined) return Promise.resolve();
        if (request.uri !== undefined) this.#deps.subscriptions.cancel(request.uri, request);
        return this.#deps.flow.cancel(request, params);
      }
      case 'notifications/initialized':
        this.#isReady(member);
        return Promise.resolve();
      case 'notifications/roots/list_changed':
        // A shared server was started with its roots: one client must not change them for the others.
        if (this.#deps.shared) return Promise.resolve();
    }
    return this.#deps.flow.post(member, message);
  }

  /** The session has completed its handshake, or does without: it can be asked something. */
  #isReady({ endpoint }: Member): void {
    const { shared, serverRequests, flow } = this.#deps;
    if (!shared && !serverRequests.isReady) serverRequests.ready(endpoint, flow.upstream);
  }

  #setLevel(member: Member, message: JsonRpcRequest): Promise<void> {
    const { flow, handshake, levels } = this.#deps;
    const level = property(message.params, 'level');
    const request = new OpenRequest(member, message);
    // The server itself refuses a level that does not exist, and any level if it has none.
    if (!isLogLevel(level) || !handshake.hasLevels) return flow.forward(request);
    return this.#ask(request, () => levels.set(level, message, request));
  }

  #subscribe(member: Member, message: JsonRpcRequest): Promise<void> {
    const { flow, subscriptions } = this.#deps;
    const request = new OpenRequest(member, message);
    // The server itself refuses wrong parameters.
    if (typeof property(message.params, 'uri') !== 'string') return flow.forward(request);
    const isSubscribe = message.method === 'resources/subscribe';
    if (isSubscribe && subscriptions.isFull(member)) {
      const error = { code: INVALID_PARAMS, message: 'This session has too many subscriptions' };
      return this.#answerSoon(member, message, { error });
    }
    if (isSubscribe) request.uri = uriOf(message);
    return this.#ask(request, () => {
      return isSubscribe ? subscriptions.subscribe(message, request) : subscriptions.unsubscribe(message, request);
    });
  }

  /** A request that is combined with those of other sessions. `ask` returns the answer if it is known. */
  #ask(request: OpenRequest, ask: () => Answer | undefined): Promise<void> {
    const { open, guard } = this.#deps;
    try {
      request.wishCharacters = JSON.stringify(request.message.params).length;
    } catch (error) {
      return Promise.reject(refused(error));
    }
    request.message = NOT_KEPT;
    open.add(request);
    try {
      const answer = ask();
      if (answer) guard.soon(() => open.answer(request, answer));
      return Promise.resolve();
    } catch (error) {
      open.finish(request, 'lost');
      return Promise.reject(refused(error));
    }
  }

  readonly #seeTools: OpenRequest['onAnswer'] = (answer, { message, upstream }) => {
    // Without its message it is not known which page this is.
    if (message !== NOT_KEPT) this.#deps.tools.seen(message, answer, upstream === this.#deps.flow.upstream);
    return answer;
  };

  readonly #seeTask: OpenRequest['onAnswer'] = (answer, { session, wireId, upstream, progressToken: token }) => {
    // A task of a process that is being replaced ends with it, and the next process may use the same task id.
    if (upstream !== this.#deps.flow.upstream) return answer;
    this.#deps.tasks.began(session, answer, token === undefined ? undefined : { wireId, token });
    return answer;
  };

  readonly #filterTasks: OpenRequest['onAnswer'] = (answer, { session }) => {
    return this.#deps.tasks.filterList(session, answer);
  };

  /** Answers in a microtask: before `send` has returned, the client does not expect an answer. */
  #answerSoon(member: Member, message: JsonRpcRequest, { result, error }: Answer): Promise<void> {
    const { open, guard } = this.#deps;
    const { id } = message;
    guard.soon(() => {
      try {
        member.endpoint.receive(error === undefined ? resultFor(id, result) : errorFor(id, error));
      } catch (fault) {
        // The session still waits: it gets the error that follows from the fault.
        if (member.isListening) open.add(new OpenRequest(member, { ...message, id }));
        throw fault;
      }
    });
    return Promise.resolve();
  }
}
