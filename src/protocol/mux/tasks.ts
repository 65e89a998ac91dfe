import { type Answer, type JsonRpcMessage, property, type RequestId } from '../json-rpc.js';

/** Most tasks that are remembered for one session; those that began first are forgotten first. */
const MOST_TASKS = 1_000;
/** After these states of a task nothing more comes of it (2025-11-25, basic/utilities/tasks). */
const TERMINAL = ['completed', 'failed', 'cancelled'];

interface Task<S> {
  readonly session: S;
  /** Progress of the request that began it goes on after that was answered. */
  readonly progress: { readonly wireId: RequestId; readonly token: RequestId } | undefined;
}

/** Which task is whose: on a shared server a session sees its own only. */
export class Tasks<S> {
  readonly #tasks = new Map<string, Task<S>>();
  readonly #bySession = new Map<S, Set<string>>();
  /** Tokens on the wire that outlive their requests. */
  readonly #tokens = new Map<RequestId, Task<S>>();

  /** A request was answered; if that began a task, it is the session's. */
  began(session: S, answer: Answer, progress: Task<S>['progress']): void {
    const id = property(property(answer.result, 'task'), 'taskId');
    if (typeof id !== 'string' || this.#tasks.has(id)) return;
    const task = { session, progress };
    this.#tasks.set(id, task);
    if (progress) this.#tokens.set(progress.wireId, task);
    const own = this.#bySession.get(session) ?? new Set();
    this.#bySession.set(session, own.add(id));
    const [oldest] = own;
    if (own.size > MOST_TASKS && oldest !== undefined) this.#forget(oldest);
  }

  ownerOf(id: unknown): S | undefined {
    return this.#tasks.get(id as string)?.session;
  }

  /** Whom progress of a task is for, and the token as the session gave it. */
  ownerOfToken(wireId: RequestId): { readonly session: S; readonly token: RequestId } | undefined {
    const task = this.#tokens.get(wireId);
    return task?.progress && { session: task.session, token: task.progress.token };
  }

  /** The server tells the state of a task: after the last no progress comes. */
  told(id: unknown, status: unknown): void {
    const wireId = this.#tasks.get(id as string)?.progress?.wireId;
    if (wireId !== undefined && TERMINAL.includes(status as string)) this.#tokens.delete(wireId);
  }

  /** An answer to `tasks/list` without the tasks of others. */
  filterList(session: S, answer: JsonRpcMessage): JsonRpcMessage {
    const tasks = property(answer.result, 'tasks');
    if (!Array.isArray(tasks)) return answer;
    const own = tasks.filter((task) => this.ownerOf(property(task, 'taskId')) === session);
    return { ...answer, result: { ...(answer.result as object), tasks: own } };
  }

  /** A session is gone; returns the ids of what it has begun. */
  drop(session: S): string[] {
    const ids = [...(this.#bySession.get(session) ?? [])];
    for (const id of ids) this.#forget(id);
    return ids;
  }

  /** The process is gone, and all its tasks with it. */
  clear(): void {
    this.#tasks.clear();
    this.#bySession.clear();
    this.#tokens.clear();
  }

  #forget(id: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    this.#tasks.delete(id);
    if (task.progress) this.#tokens.delete(task.progress.wireId);
    const own = this.#bySession.get(task.session);
    own?.delete(id);
    if (own?.size === 0) this.#bySession.delete(task.session);
  }
}
