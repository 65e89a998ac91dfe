import type { ConfigProblem } from '../index.js';
import type { Document, Path } from './document.js';
import { shownKey, shownName } from './shown-name.js';

/** Where a problem is: what one load knows of its file. */
export interface Place {
  readonly file: string | undefined;
  /** Undefined while nothing could be read. */
  readonly document?: Document | undefined;
}

/** A problem of a part of the file, whose place is looked up. */
export function problemAt(
  { file, document }: Place,
  kind: ConfigProblem['kind'],
  path: Path,
  message: string,
  server?: string,
): ConfigProblem {
  const { line, column } = document?.locate(path) ?? {};
  const name = server === undefined ? undefined : shownName(server);
  return { kind, file, line, column, key: shownKey(path), server: name, message };
}

/** A problem of the file as a whole. */
export function problemOfFile(
  file: string | undefined,
  message: string,
  at: { readonly line?: number; readonly column?: number } = {},
): ConfigProblem {
  return { kind: 'file', file, line: at.line, column: at.column, key: '', server: undefined, message };
}
