import { cut } from './cut.js';

/** How much of a string an error quotes, in characters. */
const LONGEST = 300;
/** Control characters, line and paragraph separators, marks that change the direction, and halves of characters. */
const INVISIBLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]/gu;

/** Bounds a string of a server, and shows as codes what would change the terminal or the log of its reader. */
export function quoted(output: string, longest = LONGEST): string {
  const first = output.length > longest ? `${cut(output, longest)}…` : output;
  return first.replace(INVISIBLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
