import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { DEEPEST, type Document, lineStarts, type Path, positionAt, type SyntaxProblem, setOwn } from './document.js';

interface Leniency {
  readonly comments: boolean;
  readonly trailingCommas: boolean;
  /** The host, for messages. */
  readonly title: string;
}

/** What to write, by what the parser has found. Never what is written: it may be secret. */
const IN_WORDS: Readonly<Record<string, string>> = {
  InvalidSymbol: 'has a word that is no JSON: strings need double quotes',
  InvalidNumberFormat: 'has a number that is no JSON',
  PropertyNameExpected: 'lacks a key in double quotes here',
  ValueExpected: 'lacks a value here',
  ColonExpected: 'lacks a colon here',
  CommaExpected: 'lacks a comma here',
  CloseBraceExpected: 'ends too early: a closing brace } is missing',
  CloseBracketExpected: 'ends too early: a closing bracket ] is missing',
  EndOfFileExpected: 'goes on after its end: something is left over here',
  UnexpectedEndOfComment: 'ends within a comment',
  UnexpectedEndOfString: 'has a string that does not end on its line',
  UnexpectedEndOfNumber: 'has a number that does not end',
  InvalidUnicode: 'has an incomplete \\u escape in a string',
  InvalidEscapeCharacter: 'has a backslash in a string that begins no escape: write \\\\ for one, also in paths',
  InvalidCharacter: 'has a control character in a string: write it as an escape, such as \\n',
};

/** Reads JSON, with or without comments and trailing commas. Never throws. */
export function readJson(text: string, { comments, trailingCommas, title }: Leniency): Document | SyntaxProblem {
  const starts = lineStarts(text);
  const errors: ParseError[] = [];
  const problem = (message: string, offset?: number): SyntaxProblem => ({
    message,
    ...(offset === undefined ? {} : positionAt(offset, starts)),
  });
  let root: Node | undefined;
  try {
    root = parseTree(text, errors, { disallowComments: !comments, allowTrailingComma: true, allowEmptyContent: true });
  } catch {
    // The parser calls itself for each level.
    return problem('is nested too deeply');
  }
  const [first] = errors;
  if (first !== undefined) {
    const code = printParseErrorCode(first.error);
    const isComment = code === 'InvalidCommentToken';
    const message = isComment ? `has a comment, and ${title} reads none: remove it` : IN_WORDS[code];
    return problem(message ?? 'is no valid JSON', first.offset);
  }
  if (root === undefined) return problem('is empty');
  const comma = trailingCommas ? undefined : trailingComma(root, text);
  if (comma !== undefined)
    return problem(`has a comma before a closing bracket, and ${title} reads none: remove it`, comma);
  const repeated: Path[] = [];
  const value = plainFrom(root, [], repeated);
  if (value === undefined) return problem('is nested too deeply');
  const properties: Properties = new Map();
  return { value: value.value, repeated, locate: (path) => locate(root, path, starts, properties) };
}

/** Not that of the parser, which assigns the key `__proto__`. Undefined when it is too deep. */
function plainFrom(node: Node, path: Path, repeated: Path[]): { readonly value: unknown } | undefined {
  if (path.length > DEEPEST) return undefined;
  if (node.type === 'array') {
    const items: unknown[] = [];
    for (const [index, child] of (node.children ?? []).entries()) {
      const item = plainFrom(child, [...path, index], repeated);
      if (item === undefined) return undefined;
      items.push(item.value);
    }
    return { value: items };
  }
  if (node.type !== 'object') return { value: node.value };
  const object = {};
  for (const { children: [key, child] = [] } of node.children ?? []) {
    const name = String(key?.value);
    const item = child && plainFrom(child, [...path, name], repeated);
    if (item === undefined) return undefined;
    if (Object.hasOwn(object, name)) repeated.push([...path, name]);
    setOwn(object, name, item.value);
  }
  return { value: object };
}

/** Where the first trailing comma is: a comma after the last child of an object or an array. */
function trailingComma(root: Node, text: string): number | undefined {
  const open = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const last = node.children?.at(-1);
    if (last !== undefined && node.type !== 'property') {
      const rest = withoutComments(text.slice(last.offset + last.length, node.offset + node.length));
      const at = rest.indexOf(',');
      if (at !== -1) return last.offset + last.length + at;
    }
    open.push(...(node.children ?? []));
  }
  return undefined;
}

/** The same length, so that offsets stay. */
function withoutComments(text: string): string {
  return text.replace(/\/\/[^\n]*|\/\*.*?\*\//gs, (comment) => ' '.repeat(comment.length));
}

/** The properties of objects by key, each found once: a file may have many problems. Of a key that is written twice the last one. */
type Properties = Map<Node, ReadonlyMap<unknown, Node>>;

function locate(root: Node, path: Path, starts: readonly number[], properties: Properties) {
  let at = root;
  for (const step of path) {
    const next = childOf(at, step, properties);
    if (next === undefined) break;
    at = next;
  }
  return positionAt(at.offset, starts);
}

/** An item, or a key with its value, since that begins the line. */
function childOf(node: Node, step: string | number, properties: Properties): Node | undefined {
  const parent = node.type === 'property' ? node.children?.[1] : node;
  if (typeof step === 'number') return parent?.type === 'array' ? parent.children?.[step] : undefined;
  if (parent?.type !== 'object') return undefined;
  const known =
    properties.get(parent) ?? new Map((parent.children ?? []).map((child) => [child.children?.[0]?.value, child]));
  properties.set(parent, known);
  return known.get(step);
}
