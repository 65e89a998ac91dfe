import { type Answer, type JsonRpcMessage, property } from '../json-rpc.js';
import { fetchTools, type ToolChanges, ToolList } from './tool-list.js';

type Ask = (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void;

/** A server that announces a change whenever it is asked is not asked more often than this. */
const MOST_ATTEMPTS = 3;

/** Compares the tools of a new process with those that the clients know from the processes before it. */
export class ToolWatch {
  readonly #ask: Ask;
  readonly #onChanged: (changes: ToolChanges) => void;
  /** The tools of the process that serves now, as far as clients have asked for them. */
  #tools = new ToolList();
  /** The tools of an earlier process, which clients know, and which were not compared with the present ones yet. */
  #outdated: ToolList | undefined;
  /** The present tools, while they are fetched. Outdated: the server has announced a change since. */
  #fetching: { isOutdated: boolean } | undefined;

  constructor(ask: Ask, onChanged: (changes: ToolChanges) => void) {
    this.#ask = ask;
    this.#onChanged = onChanged;
  }

  /** A client got an answer to `tools/list`, from the process that serves now or from one that is being replaced. */
  seen(request: JsonRpcMessage, answer: Answer, isFromCurrent: boolean): void {
    const cursor = property(request.params, 'cursor');
    if (isFromCurrent) return this.#tools.page(cursor, answer);
    const late = new ToolList();
    late.page(cursor, answer);
    this.#compare(late);
  }

  /** The server has announced that its tools changed; its clients got the same notification. */
  forget(): void {
    this.#tools.forget();
    if (this.#fetching) this.#fetching.isOutdated = true;
  }

  isRepeatable(name: unknown): boolean {
    return this.#tools.isRepeatable(name);
  }

  /** Another process serves now. It may have other tools. */
  replaced(): void {
    const known = this.#tools;
    this.#tools = new ToolList();
    this.#fetching = undefined;
    this.#compare(known);
  }

  #compare(known: ToolList): void {
    // While the last comparison is not complete, clients still know the tools from before it.
    if (known.isWhole) this.#outdated ??= known;
    if (this.#outdated !== undefined && this.#fetching === undefined) this.#fetch(1);
  }

  #fetch(attempt: number): void {
    const fetching = { isOutdated: false };
    this.#fetching = fetching;
    fetchTools(this.#ask, (tools) => {
      // The process was replaced before it answered.
      if (this.#fetching !== fetching) return;
      this.#fetching = undefined;
      if (fetching.isOutdated && attempt < MOST_ATTEMPTS) return this.#fetch(attempt + 1);
      const changes = this.#outdated?.changesTo(tools);
      this.#outdated = undefined;
      this.#tools = tools;
      if (changes) this.#onChanged(changes);
    });
  }
}
