import type { Answer, JsonRpcMessage } from '../json-rpc.js';
import { property } from '../json-rpc.js';
import { fetchTools, type ToolChanges, ToolList } from './tool-list.js';

/** What the clients of a server know of its tools, and whether the process that serves now still has them. */
export class ToolWatch {
  readonly #ask: (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void;
  readonly #onChanged: (changes: ToolChanges) => void;
  /** The tools of the process that serves now, as far as clients have asked for them. */
  #tools = new ToolList();
  /** Those of an earlier one that clients still believe in. */
  #believed: ToolList | undefined;

  constructor(
    ask: (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void,
    onChanged: (changes: ToolChanges) => void,
  ) {
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

  /** The server said that its tools have changed, and its clients with it. */
  forget(): void {
    this.#tools.forget();
  }

  isRepeatable(name: unknown): boolean {
    return this.#tools.isRepeatable(name);
  }

  /** Another process serves now: it may have other tools than those that clients know. */
  replaced(): void {
    const known = this.#tools;
    this.#tools = new ToolList();
    this.#compare(known);
  }

  #compare(known: ToolList): void {
    // What they were told before the last one could be compared is what they still believe in.
    if (known.isWhole) this.#believed ??= known;
    const believed = this.#believed;
    if (believed === undefined) return;
    fetchTools(this.#ask, (tools) => {
      this.#believed = undefined;
      this.#tools = tools;
      const changes = believed.changesTo(tools);
      if (changes) this.#onChanged(changes);
    });
  }
}
