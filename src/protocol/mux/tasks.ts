import { type Answer, type JsonRpcMessage, property, type RequestId } from '../json-rpc.js';

/** Largest number of tasks that are kept for one session; the oldest ones are forgotten first. */
const MOST_TASKS = 1_000;
/**
 * Longest id of a task, in characters: the server chooses it. A task with a longer one belongs to no session. Also the longest
 * progress token of a client: with a longer one, its progress ends with the answer to its request.
 */
const LONGEST_ID = 4_096;
/** After one of these states a task has no more progress (2025-11-25, basic/utilities/tasks). */
const TERMINAL = ['completed', 'failed', 'cancelled'];

interface Task<S> {
  readonly session: S;
  /** The progress token of the request that began the task: its progress goes on after the request was answered. */
  readonly progress: { readonly wireId: RequestId; readonly token: RequestId } | undefined;
}

/** The tasks of a server by session: on a shared server, a session sees only its own. */
export class Tasks<S> {
  readonly #tasks = new Map<string, Task<S>>();
  readonly #bySession = new Map<S, Set<string>>();
  /** Tasks by the progress token that the server knows. */
  readonly #byToken = new Map<RequestId, Task<S>>();

  /** A request was answered. If the answer says that a task has begun, it belongs to the session of the request. */
  began(session: S, answer: Answer, progress: Task<S>['progress']): void {
    const id = property(property(answer.result, 'task'), 'taskId');
    if (typeof id !== 'string' || id.length > LONGEST_ID || this.#tasks.has(id)) return;
    const hasLongToken = typeof progress?.token === 'string' && progress.token.length > LONGEST_ID;
    const task = { session, progress: hasLongToken ? undefined : progress };
    this.#tasks.set(id, task);
    if (task.progress) this.#byToken.set(task.progress.wireId, task);
    const own = this.#bySession.get(session) ?? new Set();
    this.#bySession.set(session, own.add(id));
    const [oldest] = own;
    if (own.size > MOST_TASKS && oldest !== undefined) this.#forget(oldest);
  }

  ownerOf(id: unknown): S | undefined {
    return this.#tasks.get(id as string)?.session;
  }

  /** The session that progress with this token is meant for, and the token that the session chose. */
  ownerOfToken(wireId: RequestId | undefined): { readonly session: S; readonly token: RequestId } | undefined {
    const task = this.#byToken.get(wireId as RequestId);
    return task?.progress && { session: task.session, token: task.progress.token };
  }

  /** The server has sent the state of a task. */
  statusChanged(id: unknown, status: unknown): void {
    const wireId = this.#tasks.get(id as string)?.progress?.wireId;
    if (wireId !== undefined && TERMINAL.includes(status as string)) this.#byToken.delete(wireId);
  }

  /** An answer to `tasks/list` without the tasks of other sessions. */
  filterList(session: S, answer: JsonRpcMessage): JsonRpcMessage {
    const tasks = property(answer.result, 'tasks');
    if (!Array.isArray(tasks)) return answer;
    const own = tasks.filter((task) => this.ownerOf(property(task, 'taskId')) === session);
    return { ...answer, result: { ...(answer.result as object), tasks: own } };
  }

  /** The session has ended. Returns the ids of its tasks. */
  drop(session: S): string[] {
    const ids = [...(this.#bySession.get(session) ?? [])];
    for (const id of ids) this.#forget(id);
    return ids;
  }

  /** The process has ended, and all its tasks with it. */
  clear(): void {
    this.#tasks.clear();
    this.#bySession.clear();
    this.#byToken.clear();
  }

  #forget(id: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    this.#tasks.delete(id);
    if (task.progress) this.#byToken.delete(task.progress.wireId);
    const own = this.#bySession.get(task.session);
    own?.delete(id);
    if (own?.size === 0) this.#bySession.delete(task.session);
  }
}
