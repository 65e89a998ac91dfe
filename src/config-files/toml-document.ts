import { parse, TomlError } from 'smol-toml';
import type { Document, Path, Position, SyntaxProblem } from './document.js';

/** Reads TOML. Never throws. */
export function readToml(text: string): Document | SyntaxProblem {
  try {
    return { value: parse(text), repeated: [], locate: (path) => locate(text.split('\n'), path) };
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
function locate(lines: readonly string[], path: Path): Position | undefined {
  for (let length = path.length; length > 0; length--) {
    const header = lines.findIndex((line) => isHeader(line, path.slice(0, length)));
    if (header === -1) continue;
    const key = path[length];
    const end = lines.findIndex((line, at) => at > header && line.trimStart().startsWith('['));
    const table = lines.slice(header + 1, end === -1 ? undefined : end);
    const at = key === undefined ? -1 : table.findIndex((line) => isKey(line, key));
    const line = at === -1 ? header : header + 1 + at;
    return { line: line + 1, column: (lines[line] ?? '').search(/\S/) + 1 };
  }
  return undefined;
}

function isHeader(line: string, path: Path): boolean {
  const [, content] = /^\s*\[([^[\]]+)\]\s*(?:#.*)?$/.exec(line) ?? [];
  if (content === undefined) return false;
  const keys = content.match(/"[^"]*"|'[^']*'|[^.\s]+/g) ?? [];
  return keys.length === path.length && keys.every((key, at) => unquoted(key) === path[at]);
}

function isKey(line: string, key: string | number): boolean {
  const [, written] = /^\s*("[^"]*"|'[^']*'|[\w-]+)\s*[.=]/.exec(line) ?? [];
  return written !== undefined && unquoted(written) === key;
}

function unquoted(key: string): string {
  return key.replace(/^(["'])(.*)\1$/, '$2');
}
