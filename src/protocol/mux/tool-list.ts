import { type Answer, METHOD_NOT_FOUND, property } from '../json-rpc.js';

/** How the tools of a server differ from the tools that its clients know. */
export interface ToolChanges {
  /** Names of tools that do not exist any more. */
  readonly lost: readonly string[];
  /** Names of tools that are new. */
  readonly added: readonly string[];
  /** Names of tools that have another description or schema. */
  readonly changed: readonly string[];
}

/** Largest number of pages that one list may have. A longer list is not kept. */
const MOST_PAGES = 100;
/** Largest size of a list that is kept, in characters of its JSON: a server may send pages of `maxMessageMB`. */
const LARGEST = 16 * 1_048_576;

/** The tools of a server as its answers to `tools/list` show them, page by page. */
export class ToolList {
  #pages: (readonly unknown[])[] = [];
  #size = 0;
  /** Names of the tools that may be called twice; made when it is needed. */
  #repeatable: Set<unknown> | undefined;
  /** The cursor of the next page; undefined when the list is complete, `null` when no page is known. */
  #missing: unknown = null;

  /** Whether all its pages are known. */
  get isWhole(): boolean {
    return this.#missing === undefined;
  }

  /** The cursor of the next page. */
  get cursor(): unknown {
    return this.#missing ?? undefined;
  }

  /** Adds an answer to `tools/list`. A page that does not follow the last one is ignored. */
  page(cursor: unknown, { result }: Answer): void {
    const tools = property(result, 'tools');
    if (!Array.isArray(tools)) return;
    this.#repeatable = undefined;
    if (cursor === undefined) this.forget();
    else if (cursor !== this.#missing) return;
    this.#size += jsonOf(tools).length;
    if (this.#pages.length === MOST_PAGES || this.#size > LARGEST) return this.forget();
    this.#pages.push(tools);
    this.#missing = property(result, 'nextCursor') ?? undefined;
  }

  /** The server has announced that its tools changed. */
  forget(): void {
    this.#pages = [];
    this.#size = 0;
    this.#repeatable = undefined;
    this.#missing = null;
  }

  /** Whether the server declares that a second call of the tool changes nothing more. */
  isRepeatable(name: unknown): boolean {
    this.#repeatable ??= new Set(this.#pages.flat().flatMap((tool) => (isRepeatableTool(tool) ? [nameOf(tool)] : [])));
    return this.#repeatable.has(name);
  }

  /** The changes from this list to `now`; undefined if there are none. */
  changesTo(now: ToolList): ToolChanges | undefined {
    const before = this.#byName();
    const after = now.#byName();
    const lost = [...before.keys()].filter((name) => !after.has(name));
    const added = [...after.keys()].filter((name) => !before.has(name));
    const changed = [...before.keys()].filter((name) => after.has(name) && after.get(name) !== before.get(name));
    return lost.length + added.length + changed.length > 0 ? { lost, added, changed } : undefined;
  }

  #byName(): Map<string, string> {
    return new Map(this.#pages.flat().map((tool) => [String(nameOf(tool)), jsonOf(tool)]));
  }
}

/**
 * Asks a server for all its tools. A server that does not know the method has none. `onDone` is not called if the process
 * is lost, or if the list cannot be read to its end.
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

function nameOf(tool: unknown): string | undefined {
  const name = property(tool, 'name');
  return typeof name === 'string' ? name : undefined;
}

function isRepeatableTool(tool: unknown): boolean {
  const annotations = property(tool, 'annotations');
  return property(annotations, 'readOnlyHint') === true || property(annotations, 'idempotentHint') === true;
}

/** Empty for what is nested too deeply to be written. */
function jsonOf(tools: unknown): string {
  try {
    return JSON.stringify(tools);
  } catch {
    return '';
  }
}
