import { quoted } from '../../runtime/quoted.js';

/** Longer texts are cut before they are looked at, in characters. */
const LONGEST = 200;
/**
 * What has no column of its own, or is joined to the character before it by some terminals and not by others: without it every
 * terminal shows the same columns. (Joiners between emoji, variation selectors, skin tones, marks of direction, tags.)
 */
const UNSTABLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}\p{Emoji_Modifier}]/gu;
/** Combining marks, and the second and third part of a Hangul syllable. */
const ZERO = /[\p{Mn}\p{Me}\u1160-\u11ff\ud7b0-\ud7ff]/u;
/** The halves of a flag: a terminal shows them as one flag of two columns, or as two letters of one. */
const HALF_FLAG = /[\u{1f1e6}-\u{1f1ff}]/u;
/** Characters that are emoji by default, and by block those of the East Asian width W or F (Unicode, UAX 11). */
const WIDE =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2329\u232a\u2630-\u2637\u268a-\u268f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18d08}\u{1aff0}-\u{1b2fb}\u{1d300}-\u{1d376}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]/u;

/** A text as a terminal may show it: control characters as codes, and nothing that would change the columns after it. */
export function printable(text: string): string {
  return quoted(text, LONGEST).replace(UNSTABLE, '');
}

/** How many columns a {@link printable} text takes in a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

/** The printable form of a text in exactly `width` columns: filled with blanks, or cut, with `…` at its end. */
export function fitted(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const whole = cutTo(printable(text), width);
  const blanks = ' '.repeat(Math.max(0, width - widthOf(whole)));
  return align === 'left' ? `${whole}${blanks}` : `${blanks}${whole}`;
}

/** The beginning of a printable text in at most `width` columns. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  let left = width - 1;
  for (const character of text) {
    left -= columnsOf(character);
    if (left < 0) break;
    kept += character;
  }
  return width < 1 ? '' : `${kept}…`;
}

function columnsOf(character: string): number {
  if (character < '\u007f') return 1;
  if (ZERO.test(character)) return 0;
  return WIDE.test(character) && !HALF_FLAG.test(character) ? 2 : 1;
}
