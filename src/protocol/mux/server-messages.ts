import { copyOf, type JsonRpcMessage, type JsonRpcRequest, property, type RequestId, wireIdOf } from '../json-rpc.js';
import { hears } from './log-levels.js';
import type { Member, OpenRequest } from './member.js';
import type { OpenRequests } from './open-requests.js';
import type { RequestFlow } from './request-flow.js';
import type { ServerRequests } from './server-requests.js';
import { type Subscriptions, uriOf } from './subscriptions.js';
import type { Tasks } from './tasks.js';
import type { ToolWatch } from './tool-watch.js';
import type { Upstream, UpstreamCallbacks } from './upstream.js';

export interface ServerMessagesDeps {
  /** Whether there may be several sessions, so that a request of the server cannot be assigned to one of them. */
  readonly shared: boolean;
  readonly members: ReadonlySet<Member>;
  readonly open: OpenRequests;
  readonly flow: RequestFlow;
  readonly subscriptions: Subscriptions<Member, OpenRequest>;
  readonly tasks: Tasks<Member>;
  readonly tools: ToolWatch;
  readonly serverRequests: ServerRequests;
}

/** Delivers each message of a server: to the session that asked, to those that it concerns, or to all. */
export class ServerMessages implements UpstreamCallbacks {
  readonly #deps: ServerMessagesDeps;

  constructor(deps: ServerMessagesDeps) {
    this.#deps = deps;
  }

  onAnswer(request: OpenRequest, message: JsonRpcMessage): void {
    const { open, flow } = this.#deps;
    // Changed in place: the message was parsed for this one receiver.
    (message as { id: RequestId }).id = request.id;
    request.leavePlace?.();
    if (!request.done) open.deliver(request, request.onAnswer?.(message, request) ?? message);
    flow.pump();
  }

  onRequest(message: JsonRpcRequest, upstream: Upstream): void {
    const { shared, serverRequests } = this.#deps;
    if (shared) return upstream.refuse(message.id, 'several clients share this server, and none can answer for all');
    serverRequests.forward(message, upstream);
  }

  onNotification(message: JsonRpcMessage, upstream: Upstream): void {
    const { method, params } = message;
    const { shared, members, flow, subscriptions, tasks, tools, serverRequests } = this.#deps;
    if (method === 'notifications/progress') return this.#onProgress(message, upstream);
    if (method === 'notifications/message') return this.toAll(message, (member) => hears(member, message));
    // A process that is being replaced does not speak for the one that serves now.
    if (upstream !== flow.upstream) return;
    switch (method) {
      case 'notifications/resources/updated': {
        const subscribers = new Set(shared ? subscriptions.subscribers(uriOf(message)) : members);
        return this.toAll(message, (member) => subscribers.has(member));
      }
      case 'notifications/tasks/status': {
        const taskId = property(params, 'taskId');
        tasks.statusChanged(taskId, property(params, 'status'));
        return tasks.ownerOf(taskId)?.endpoint.receive(message);
      }
      case 'notifications/tools/list_changed':
        tools.forget();
        break;
      case 'notifications/cancelled': {
        const cancelled = serverRequests.cancel(message, upstream);
        return cancelled && this.toAll(cancelled);
      }
    }
    this.toAll(message);
  }

  onRoom(): void {
    this.#deps.flow.pump();
  }

  /** Delivers a message to all sessions that want it. */
  toAll(message: JsonRpcMessage, wants: (member: Member) => boolean = () => true): void {
    const { shared, members } = this.#deps;
    for (const member of members) {
      // Each gets its own copy, because a client may change it.
      if (wants(member)) member.endpoint.receive(shared ? copyOf(message) : message);
    }
  }

  #onProgress(message: JsonRpcMessage, upstream: Upstream): void {
    const wireToken = wireIdOf(property(message.params, 'progressToken'));
    const request = upstream.byToken(wireToken);
    // The session has given up the request, which only keeps its place.
    if (request?.done) return;
    if (request) upstream.givenUp.responded();
    const { flow, tasks } = this.#deps;
    // The tasks are those of the process that serves now. One that is being replaced uses the same numbers.
    const ofTask = upstream === flow.upstream ? tasks.ownerOfToken(wireToken) : undefined;
    const receiver = request ? { session: request.session, token: request.progressToken } : ofTask;
    if (receiver?.token === undefined) return;
    const params = { ...(message.params as object), progressToken: receiver.token };
    receiver.session.endpoint.receive({ ...message, params });
  }
}
