import { parse, TomlError } from 'smol-toml';
import type { Document, Path, Position, SyntaxProblem } from './document.js';

/** Reads TOML. Never throws. */
export function readToml(text: string): Document | SyntaxProblem {
  try {
    const value = parse(text);
    let tables: Tables | undefined;
    const position = (path: Path) => {
      tables ??= tablesOf(text.split('\n'));
      return locate(tables, path);
    };
    return { value, repeated: [], locate: position };
  } catch (error) {
    if (!(error instanceof TomlError)) return { message: 'is nested too deeply' };
    const { line, column, message } = error;
    // The first line alone: the others quote the file, which may hold secrets.
    const [what = ''] = message.split('\n');
    return { line, column, message: `is no valid TOML: ${what.replace(/^Invalid TOML document: /, '')}` };
  }
}

/**
 * The parser gives no positions. So the header of the table is searched, such as `[mcp_servers.name.env]`, and the key below
 * it. What is written in another way has no position, or that of the table around it.
 */
function locate({ lines, headers }: Tables, path: Path): Position | undefined {
  for (let length = path.length; length > 0; length--) {
    const header = headers.get(keyOf(path.slice(0, length)));
    if (header === undefined) continue;
    const key = path[length];
    let line = header;
    for (let at = header + 1; key !== undefined && at < lines.length; at++) {
      const text = lines[at] ?? '';
      if (text.trimStart().startsWith('[')) break;
      if (!isKey(text, key)) continue;
      line = at;
      break;
    }
    return { line: line + 1, column: (lines[line] ?? '').search(/\S/) + 1 };
  }
  return undefined;
}

/** Where each table begins, found once: a file may have many problems. */
interface Tables {
  readonly lines: readonly string[];
  /** The number of the line, by the path of its table. */
  readonly headers: ReadonlyMap<string, number>;
}

function tablesOf(lines: readonly string[]): Tables {
  const headers = new Map<string, number>();
  for (const [at, line] of lines.entries()) {
    const key = headerIn(line);
    if (key !== undefined && !headers.has(key)) headers.set(key, at);
  }
  return { lines, headers };
}

function headerIn(line: string): string | undefined {
  const [, content] = /^\s*\[([^[\]]+)\]\s*(?:#.*)?$/.exec(line) ?? [];
  return content && keyOf((content.match(/"[^"]*"|'[^']*'|[^.\s]+/g) ?? []).map(unquoted));
}

function keyOf(path: Path): string {
  return JSON.stringify(path);
}

function isKey(line: string, key: string | number): boolean {
  const [, written] = /^\s*("[^"]*"|'[^']*'|[\w-]+)\s*[.=]/.exec(line) ?? [];
  return written !== undefined && unquoted(written) === key;
}

function unquoted(key: string): string {
  return key.replace(/^(["'])(.*)\1$/, '$2');
}
