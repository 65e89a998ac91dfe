import { copyOf, type JsonRpcMessage, type JsonRpcRequest, property, type RequestId } from '../json-rpc.js';
import { hears } from './log-levels.js';
import type { Member, OpenRequest } from './member.js';
import type { RequestFlow } from './request-flow.js';
import type { ServerRequests } from './server-requests.js';
import { type Subscriptions, uriOf } from './subscriptions.js';
import type { Tasks } from './tasks.js';
import type { ToolWatch } from './tool-watch.js';
import type { Upstream, UpstreamReceiver } from './upstream.js';

/** What is kept of a server and its sessions, as far as the messages of the server concern it. */
export interface ServerMessagesParts {
  /** Whether several sessions are there at once, so that nobody can say which of them the server means. */
  readonly shared: boolean;
  readonly members: ReadonlySet<Member>;
  readonly flow: RequestFlow;
  readonly subscriptions: Subscriptions<Member, OpenRequest>;
  readonly tasks: Tasks<Member>;
  readonly tools: ToolWatch;
  readonly asked: ServerRequests;
}

/** To whom each message of a server goes: the session that asked, those whom it concerns, or all. */
export class ServerMessages implements UpstreamReceiver {
  readonly #parts: ServerMessagesParts;

  constructor(parts: ServerMessagesParts) {
    this.#parts = parts;
  }

  answered(request: OpenRequest, message: JsonRpcMessage): void {
    // The message was parsed for this one receiver, so it can be changed in place.
    (message as { id: RequestId }).id = request.id;
    request.onGone?.();
    if (!request.done) this.#parts.flow.deliver(request, request.onAnswer?.(message, request) ?? message);
    this.#parts.flow.pump();
  }

  asked(message: JsonRpcRequest, upstream: Upstream): void {
    if (this.#parts.shared) {
      return upstream.refuse(message.id, 'several clients share this server, and none can answer for all');
    }
    const [session] = this.#parts.members;
    this.#parts.asked.ask(message, upstream, session?.endpoint);
  }

  told(message: JsonRpcMessage, upstream: Upstream): void {
    const { method, params } = message;
    const { shared } = this.#parts;
    if (method === 'notifications/progress') return this.#toldProgress(message, upstream);
    if (method === 'notifications/message') return this.toAll(message, (member) => hears(member, message));
    // What a server that is being replaced says of itself is not so for the one that replaces it.
    if (upstream !== this.#parts.flow.upstream) return;
    switch (method) {
      case 'notifications/resources/updated': {
        const wanted = new Set(shared ? this.#parts.subscriptions.subscribers(uriOf(message)) : this.#parts.members);
        return this.toAll(message, (member) => wanted.has(member));
      }
      case 'notifications/tasks/status': {
        const taskId = property(params, 'taskId');
        this.#parts.tasks.told(taskId, property(params, 'status'));
        return this.#parts.tasks.ownerOf(taskId)?.endpoint.receive(message);
      }
      case 'notifications/tools/list_changed':
        this.#parts.tools.forget();
        break;
      case 'notifications/cancelled':
        // Only of what the session was asked.
        if (!this.#parts.asked.cancel(property(params, 'requestId'))) return;
    }
    this.toAll(message);
  }

  roomAgain(): void {
    this.#parts.flow.pump();
  }

  /** Passes a message on to all sessions that want it. */
  toAll(message: JsonRpcMessage, wants: (member: Member) => boolean = () => true): void {
    for (const member of this.#parts.members) {
      // A copy for each: what one client does to it must not reach the next.
      if (wants(member)) member.endpoint.receive(this.#parts.shared ? copyOf(message) : message);
    }
  }

  #toldProgress(message: JsonRpcMessage, upstream: Upstream): void {
    const wireToken = property(message.params, 'progressToken') as RequestId;
    const request = upstream.byToken(wireToken);
    // It only keeps its place.
    if (request?.done) return;
    const whose = request
      ? { session: request.session, token: request.progressToken }
      : this.#parts.tasks.ownerOfToken(wireToken);
    if (whose?.token === undefined) return;
    const params = { ...(message.params as object), progressToken: whose.token };
    whose.session.endpoint.receive({ ...message, params });
  }
}
