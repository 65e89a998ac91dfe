import { type Answer, type JsonRpcMessage, property } from '../json-rpc.js';
import { fetchTools, type ToolChanges, ToolList } from './tool-list.js';

type Ask = (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void;

/** Compares the tools of a new process with those that the clients know from the processes before it. */
export class ToolWatch {
  readonly #ask: Ask;
  readonly #onChanged: (changes: ToolChanges) => void;
  /** The tools of the process that serves now, as far as clients have asked for them. */
  #tools = new ToolList();
  /** The tools of an earlier process, which clients know, and which were not compared with the present ones yet. */
  #outdated: ToolList | undefined;

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
  }

  isRepeatable(name: unknown): boolean {
    return this.#tools.isRepeatable(name);
  }

  /** Another process serves now. It may have other tools. */
  replaced(): void {
    const known = this.#tools;
    this.#tools = new ToolList();
    this.#compare(known);
  }

  #compare(known: ToolList): void {
    // While the last comparison is not complete, clients still know the tools from before it.
    if (known.isWhole) this.#outdated ??= known;
    const outdated = this.#outdated;
    if (outdated === undefined) return;
    fetchTools(this.#ask, (tools) => {
      this.#outdated = undefined;
      this.#tools = tools;
      const changes = outdated.changesTo(tools);
      if (changes) this.#onChanged(changes);
    });
  }
}
