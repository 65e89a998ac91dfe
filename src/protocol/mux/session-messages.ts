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
import type { Guard } from './guard.js';
import { isLogLevel, type LogLevels } from './log-levels.js';
import { type Member, OpenRequest } from './member.js';
import type { RequestFlow } from './request-flow.js';
import type { ServerRequests } from './server-requests.js';
import { type Subscriptions, uriOf } from './subscriptions.js';
import type { Tasks } from './tasks.js';
import type { ToolWatch } from './tool-watch.js';

/** What is kept of a server and its sessions, as far as the messages of these concern it. */
export interface SessionMessagesParts {
  /** Whether several sessions are there at once. */
  readonly shared: boolean;
  readonly flow: RequestFlow;
  readonly handshake: SessionHandshake;
  readonly levels: LogLevels;
  readonly subscriptions: Subscriptions<Member, OpenRequest>;
  readonly tasks: Tasks<Member>;
  readonly tools: ToolWatch;
  readonly asked: ServerRequests;
  readonly guard: Guard;
}

/** What is done with each message of a session: answered here, put together with those of others, or sent to the server. */
export class SessionMessages {
  readonly #parts: SessionMessagesParts;

  constructor(parts: SessionMessagesParts) {
    this.#parts = parts;
  }

  receive(member: Member, message: JsonRpcMessage): Promise<void> {
    if (isRequest(message)) return this.#request(member, message);
    if (message.method !== undefined) return this.#notification(member, message);
    return this.#parts.asked.answer(message);
  }

  #request(member: Member, message: JsonRpcRequest): Promise<void> {
    const { method, params } = message;
    const refusal = this.#parts.flow.refusal(member);
    if (refusal) return Promise.reject(refusal);
    switch (method) {
      case 'initialize':
        return this.#answerSoon(member, message, this.#parts.handshake.answer(params));
      case 'ping':
        return this.#answerSoon(member, message, success());
      case 'server/discover':
        // A process that was initialized speaks the legacy era; a client of both eras falls back on this answer.
        return this.#answerSoon(member, message, { error: { code: METHOD_NOT_FOUND, message: 'Method not found' } });
      case 'logging/setLevel':
        return this.#setLevel(member, message);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return this.#subscribe(member, message);
      case 'tools/list':
        return this.#parts.flow.forward(new OpenRequest(member, message, this.#seeTools));
      case 'tasks/list':
        return this.#parts.flow.forward(new OpenRequest(member, message, this.#filterTasks));
      case 'tasks/get':
      case 'tasks/result':
      case 'tasks/cancel':
        if (this.#parts.tasks.ownerOf(property(params, 'taskId')) === member) break;
        // Whether or not there is one of that id: it is not this session's.
        return this.#answerSoon(member, message, { error: { code: INVALID_PARAMS, message: 'Task not found' } });
    }
    const beginsTask = property(params, 'task') !== undefined;
    return this.#parts.flow.forward(new OpenRequest(member, message, beginsTask ? this.#seeTask : undefined));
  }

  #notification(member: Member, message: JsonRpcMessage): Promise<void> {
    const { method, params } = message;
    switch (method) {
      case 'notifications/cancelled': {
        const request = member.find(property(params, 'requestId'));
        if (request === undefined) return Promise.resolve();
        if (request.method === 'resources/subscribe') {
          this.#parts.subscriptions.cancel(uriOf(request.message), request);
        }
        return this.#parts.flow.cancel(request, params);
      }
      case 'notifications/initialized':
        return Promise.resolve();
      case 'notifications/roots/list_changed':
        // Roots are part of what a shared server was started with: one client cannot change them for the others.
        if (this.#parts.shared) return Promise.resolve();
    }
    return this.#parts.flow.post(member, message);
  }

  #setLevel(member: Member, message: JsonRpcRequest): Promise<void> {
    const level = property(message.params, 'level');
    const request = new OpenRequest(member, message);
    // A server that has no levels, or is asked for one that there is not, says so itself.
    if (!isLogLevel(level) || !this.#parts.handshake.hasLevels) return this.#parts.flow.forward(request);
    this.#parts.flow.begin(request);
    const answer = this.#parts.levels.set(member, level, (late) => this.#parts.flow.answer(request, late));
    if (answer) this.#parts.guard.soon(() => this.#parts.flow.answer(request, answer));
    return Promise.resolve();
  }

  #subscribe(member: Member, message: JsonRpcRequest): Promise<void> {
    const request = new OpenRequest(member, message);
    // Nonsense is for the server to refuse.
    if (typeof property(message.params, 'uri') !== 'string') return this.#parts.flow.forward(request);
    if (this.#parts.subscriptions.isFull(member)) {
      const refusal = { code: INVALID_PARAMS, message: 'This session has too many subscriptions' };
      if (message.method === 'resources/subscribe') return this.#answerSoon(member, message, { error: refusal });
    }
    this.#parts.flow.begin(request);
    const answer =
      message.method === 'resources/subscribe'
        ? this.#parts.subscriptions.subscribe(uriOf(message), request)
        : this.#parts.subscriptions.unsubscribe(uriOf(message), request);
    if (answer) this.#parts.guard.soon(() => this.#parts.flow.answer(request, answer));
    return Promise.resolve();
  }

  readonly #seeTools: OpenRequest['onAnswer'] = (answer, { message, upstream }) => {
    this.#parts.tools.seen(message, answer, upstream === this.#parts.flow.upstream);
    return answer;
  };

  readonly #seeTask: OpenRequest['onAnswer'] = (answer, { session, wireId, upstream, progressToken: token }) => {
    // A task of a process that is being replaced ends with it, and its id may be another's in the next.
    if (upstream !== this.#parts.flow.upstream) return answer;
    this.#parts.tasks.began(session, answer, token === undefined ? undefined : { wireId, token });
    return answer;
  };

  readonly #filterTasks: OpenRequest['onAnswer'] = (answer, { session }) => {
    return this.#parts.tasks.filterList(session, answer);
  };

  /** Not before `send` has returned: the client is not ready for the answer yet. */
  #answerSoon(member: Member, message: JsonRpcRequest, { result, error }: Answer): Promise<void> {
    const { id } = message;
    this.#parts.guard.soon(() => {
      try {
        member.endpoint.receive(error === undefined ? resultFor(id, result) : errorFor(id, error));
      } catch (fault) {
        // The session still waits: for the error that the fault leads to.
        if (member.isListening) this.#parts.flow.begin(new OpenRequest(member, { ...message, id }));
        throw fault;
      }
    });
    return Promise.resolve();
  }
}
