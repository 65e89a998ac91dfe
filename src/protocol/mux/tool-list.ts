import { type Answer, METHOD_NOT_FOUND, property } from '../json-rpc.js';

/** How the tools of a server differ from those that its clients know. */
export interface ToolChanges {
  /** Names that are gone. */
  readonly lost: readonly string[];
  readonly added: readonly string[];
  /** Same name, another description or schema. */
  readonly changed: readonly string[];
}

/** Most pages of one list: a server whose list has more is not asked for the rest, and its tools are not known. */
const MOST_PAGES = 100;

/** The tools of a server as its answers to `tools/list` show them, page by page. Looked at only when it matters. */
export class ToolList {
  #pages: (readonly unknown[])[] = [];
  /** Made when it is first asked for. */
  #repeatable: Set<unknown> | undefined;
  /** The cursor of the page that is missing; undefined when the list is whole, `null` when nothing is known. */
  #missing: unknown = null;

  /** Whether all its pages were seen. */
  get isWhole(): boolean {
    return this.#missing === undefined;
  }

  /** The cursor of the page that is missing. */
  get cursor(): unknown {
    return this.#missing ?? undefined;
  }

  /** An answer to `tools/list`. Pages count in their order; others say nothing about the whole. */
  page(cursor: unknown, { result }: Answer): void {
    const tools = property(result, 'tools');
    if (!Array.isArray(tools)) return;
    this.#repeatable = undefined;
    if (cursor === undefined) this.#pages = [];
    else if (cursor !== this.#missing) return;
    if (this.#pages.length === MOST_PAGES) return this.forget();
    this.#pages.push(tools);
    this.#missing = property(result, 'nextCursor') ?? undefined;
  }

  /** The server said that its tools have changed. */
  forget(): void {
    this.#pages = [];
    this.#repeatable = undefined;
    this.#missing = null;
  }

  /** Whether the server says that to call the tool twice does no more than to call it once. */
  isRepeatable(name: unknown): boolean {
    this.#repeatable ??= new Set(this.#pages.flat().flatMap((tool) => (isRepeatableTool(tool) ? [nameOf(tool)] : [])));
    return this.#repeatable.has(name);
  }

  /** From this list to `now`; undefined when they are the same. */
  changesTo(now: ToolList): ToolChanges | undefined {
    const before = this.#texts();
    const after = now.#texts();
    const lost = [...before.keys()].filter((name) => !after.has(name));
    const added = [...after.keys()].filter((name) => !before.has(name));
    const changed = [...before.keys()].filter((name) => after.has(name) && after.get(name) !== before.get(name));
    return lost.length + added.length + changed.length > 0 ? { lost, added, changed } : undefined;
  }

  #texts(): Map<string, string> {
    return new Map(this.#pages.flat().map((tool) => [String(nameOf(tool)), textOf(tool)]));
  }
}

/** Undefined for what is no name: a server may write anything. */
function nameOf(tool: unknown): string | undefined {
  const name = property(tool, 'name');
  return typeof name === 'string' ? name : undefined;
}

function isRepeatableTool(tool: unknown): boolean {
  const annotations = property(tool, 'annotations');
  return property(annotations, 'readOnlyHint') === true || property(annotations, 'idempotentHint') === true;
}

function textOf(tool: unknown): string {
  try {
    return JSON.stringify(tool);
  } catch {
    // Nested deeper than can be written.
    return '';
  }
}

/**
 * Asks a server for all its tools. One that does not know the method has none. `onDone` is not called when the server is
 * lost, or its list could not be read to its end, which says nothing.
 */
export function fetchTools(
  ask: (method: string, params: unknown, onAnswer: (answer: Answer | undefined) => void) => void,
  onDone: (tools: ToolList) => void,
): void {
  const tools = new ToolList();
  let pages = 0;
  const next = (cursor: unknown) => {
    ask('tools/list', cursor === undefined ? {} : { cursor }, (answer) => {
      if (answer === undefined) return;
      if (property(answer.error, 'code') === METHOD_NOT_FOUND) return onDone(tools);
      tools.page(cursor, answer);
      pages += 1;
      if (tools.isWhole) onDone(tools);
      else if (answer.error === undefined && tools.cursor !== undefined && pages < MOST_PAGES) next(tools.cursor);
    });
  };
  next(undefined);
}
