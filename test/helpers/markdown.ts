const FENCED = /^ *(```+|~~~+).*?^ *\1/gms;
const CODE = /(`+)(?!`).+?(?<!`)\1(?!`)/gs;

/** A link of a page: `[text](target)`, an image, `[label]: target`, or `src` and `href` of HTML. */
export interface Link {
  readonly target: string;
  /** Counted from 1. */
  readonly line: number;
}

/** The links of a page of Markdown, without what only looks like one in code. */
export function linksOf(markdown: string): Link[] {
  const text = withoutCode(markdown, CODE);
  const patterns = [/\]\(\s*<?([^\s)>]+)/g, /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm, /\b(?:href|src)="([^"]+)"/g];
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(({ 1: target = '', index }) => ({
      target,
      line: text.slice(0, index).split('\n').length,
    })),
  );
}

/** What follows `#` in a link to each heading, as GitHub makes it. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const headings = [...withoutCode(markdown).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading = '']) => {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = words
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
      .replaceAll(' ', '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
  return new Set(headings);
}

/** A block of code of a page, which may have a name: the word after its language. */
export interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** Of its first line, counted from 1. */
  readonly line: number;
  readonly name: string | undefined;
}

/** The blocks of code of a page in one of these languages. */
export function codeBlocks(markdown: string, ...languages: string[]): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w+) ?(\S+)?[^\n]*\n(.*?)^```$/gms)]
    .filter(([, language = '']) => languages.includes(language))
    .map(({ 1: language = '', 2: name, 3: code = '', index }) => ({
      language,
      code,
      line: markdown.slice(0, index).split('\n').length + 1,
      name,
    }));
}

/** Blanks of the same length in place of code, so that lines keep their numbers. */
function withoutCode(markdown: string, ...more: RegExp[]): string {
  return [FENCED, ...more].reduce(
    (text, pattern) => text.replace(pattern, (code) => code.replace(/[^\n]/g, ' ')),
    markdown,
  );
}
