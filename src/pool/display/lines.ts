import { cutTo, widthOf } from './text-width.js';

/** A part of a line. */
export interface Part {
  /** Printable. */
  readonly text: string;
  readonly color?: Color | undefined;
}

/** Select Graphic Rendition (ECMA-48, 8.3.117). */
const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Color = keyof typeof CODES;

/** Writes a line of at most `width` columns, without blanks at its end; with escape codes only if it may have colors. */
export function lineOf(parts: readonly Part[], { width, color: colors }: { width: number; color: boolean }): string {
  const kept: Part[] = [];
  let left = width;
  for (const { text, color } of parts) {
    const part = cutTo(text, left);
    kept.push({ text: part, color });
    left -= widthOf(part);
    if (part !== text) break;
  }
  while (kept.length > 0 && kept.at(-1)?.text.trim() === '') kept.pop();
  const last = kept.pop();
  if (last) kept.push({ ...last, text: last.text.trimEnd() });
  return kept.map(({ text, color }) => (colors && color ? `\u001b[${CODES[color]}m${text}\u001b[0m` : text)).join('');
}
