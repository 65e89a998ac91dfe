/** What a placeholder stands for. */
export type Reference =
  | { readonly kind: 'variable'; readonly name: string; readonly fallback?: string }
  | { readonly kind: 'input'; readonly id: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'place'; readonly name: PlaceName };

/** Places and signs that a host knows by itself. */
export type PlaceName = 'userHome' | 'workspaceFolder' | 'workspaceFolderBasename' | 'pathSeparator' | 'cwd';

/** A piece of a value: text, or a placeholder as it is written with what it stands for. */
export type Part = string | { readonly text: string; readonly reference: Reference };

/** How a host writes placeholders: a pattern, and what a match stands for; undefined when it is none. */
export interface Syntax {
  readonly pattern: RegExp;
  read(match: RegExpMatchArray): Reference | undefined;
}

/** `${NAME}` and `${NAME:-default}`. Everything before `:-` is the name, as Claude Code reads it: `${env:X}` names no variable. */
export const BRACES: Syntax = {
  pattern: /\$\{([^{}]+)\}/g,
  read: ([, content = '']) => variable(content),
};

/** `$NAME`, `${NAME}`, `${NAME:-default}`, `%NAME%`. */
export const SHELL: Syntax = {
  pattern: /\$(?:(\w+)|\{([^{}]+)\})|%([A-Za-z_]\w*)%/g,
  read: ([, plain, braced, percent]) =>
    braced === undefined ? { kind: 'variable', name: plain ?? percent ?? '' } : variable(braced),
};

/** The whole value is `${NAME}`. */
export const WHOLE_VALUE: Syntax = {
  pattern: /^\$\{([^{}]+)\}$/g,
  read: ([, name = '']) => ({ kind: 'variable', name }),
};

const PLACES: Readonly<Record<string, PlaceName>> = {
  userHome: 'userHome',
  workspaceFolder: 'workspaceFolder',
  workspaceFolderBasename: 'workspaceFolderBasename',
  pathSeparator: 'pathSeparator',
  '/': 'pathSeparator',
  cwd: 'cwd',
};

type Kind = 'env' | 'input' | 'file' | 'place';

/** `${env:NAME}` and its like. @param kinds which of them this host knows */
export function prefixed(...kinds: readonly Kind[]): Syntax {
  const known = new Set(kinds);
  return {
    pattern: /\$\{([^{}]+)\}/g,
    read([, content = '']) {
      const [, prefix = '', rest = ''] = /^(env|input|file):(.*)$/s.exec(content) ?? [];
      if (prefix === 'env' && known.has('env')) return { kind: 'variable', name: rest };
      if (prefix === 'input' && known.has('input')) return { kind: 'input', id: rest };
      if (prefix === 'file' && known.has('file')) return { kind: 'file', path: rest };
      const name = known.has('place') && Object.hasOwn(PLACES, content) ? PLACES[content] : undefined;
      return name && { kind: 'place', name };
    },
  };
}

function variable(content: string): Reference {
  const at = content.indexOf(':-');
  if (at === -1) return { kind: 'variable', name: content };
  return { kind: 'variable', name: content.slice(0, at), fallback: content.slice(at + 2) };
}

/** The pieces of a value. Text of a variable is never looked at again: it may hold what looks like a placeholder. Pure. */
export function partsOfText(text: string, syntax: Syntax | undefined): readonly Part[] {
  if (syntax === undefined) return [text];
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(syntax.pattern)) {
    const reference = syntax.read(match);
    if (reference === undefined) continue;
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push({ text: match[0], reference });
    end = match.index + match[0].length;
  }
  if (end < text.length || parts.length === 0) parts.push(text.slice(end));
  return parts;
}

/** Equal for references that have the same value. */
export function keyOfReference(reference: Reference): string {
  switch (reference.kind) {
    case 'variable':
      return `variable:${reference.name}`;
    case 'input':
      return `input:${reference.id}`;
    case 'file':
      return `file:${reference.path}`;
    case 'place':
      return `place:${reference.name}`;
  }
}
