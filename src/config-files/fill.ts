import type { Field, Format } from './formats.js';
import type { ReferenceValue } from './references.js';
import { keyOfReference, type Part, partsOfText, type Reference } from './substitution.js';

/** What is in place of what another program gave: no placeholder, whatever that is. */
const NEUTRAL = 'x';

/** A value with its placeholders replaced. */
export interface Filled {
  readonly text: string;
  /** The same with a neutral text in place of each value: what looks like a placeholder in it was written in the file. */
  readonly probe: string;
  /** Why a placeholder has no value: sentences. */
  readonly problems: readonly string[];
}

/** The pieces of a value of this field, as its host reads it. */
export function partsOfField(text: string, field: Field, { fields, syntax }: Format): readonly Part[] {
  return partsOfText(text, fields.has(field) ? syntax : undefined);
}

export function referencesIn(parts: readonly Part[]): Reference[] {
  return parts.flatMap((part) => (typeof part === 'string' ? [] : [part.reference]));
}

/**
 * Puts the values in. Pure.
 * @param isCode whether the value may be code for a shell, in which a variable that is not set is none of the host's
 */
export function fill(
  parts: readonly Part[],
  values: ReadonlyMap<string, ReferenceValue>,
  { unset }: Pick<Format, 'unset'>,
  isCode = false,
): Filled {
  const problems: string[] = [];
  const texts = parts.map((part) => {
    if (typeof part === 'string') return part;
    const { reference, text } = part;
    const value = values.get(keyOfReference(reference)) ?? { problem: `${text} has no value` };
    if ('text' in value) return value.text;
    if ('problem' in value) problems.push(value.problem);
    else {
      if (reference.kind === 'variable' && reference.fallback !== undefined) return reference.fallback;
      if (unset === 'empty') return '';
      if (isKept(text, parts.length > 1, isCode)) return text;
      problems.push(value.unset);
    }
    return '';
  });
  const probe = parts.map((part) => (typeof part === 'string' ? part : NEUTRAL)).join('');
  return { text: texts.join(''), probe, problems };
}

/**
 * Whether the text of a placeholder without a value stays, as its host has it: in code for a shell; and within a longer value
 * where it may well be none, such as `$1` or `%20`.
 */
function isKept(text: string, isPart: boolean, isCode: boolean): boolean {
  return isCode || (isPart && (/^%/.test(text) || /^\$(?![A-Z_][A-Z0-9_]+$)\w/.test(text)));
}
