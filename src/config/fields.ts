import { isAbsolute } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

/**
 * One option: its default value, and the check of a given value. Tables of fields are the single source of the defaults,
 * the checks and the types of all options.
 */
export interface Field<T> {
  readonly default: T;
  /** Returns what is wrong with `value`, as the end of the sentence "x must be …"; undefined when the value is valid. */
  check(value: unknown): string | undefined;
  readonly required?: true;
  /** Whether `undefined` is a mistake where the key is written. Elsewhere it means the default. */
  readonly leftOut?: true;
  /** Whether a copy is checked and used, so that nothing can change between the two: for what has parts of its own. */
  readonly isCopied?: true;
  /** What it is, in a line of Markdown: for the tables of the docs and the JSON Schema. Links are relative to `docs/`. */
  readonly about?: string;
  /** What tables show as its default, where that depends on something else. */
  readonly shownDefault?: string;
  /** False where only the program of the host can know it, so that a configuration file should not set it. */
  readonly inFile?: false;
  /** The values that it can have in a file of JSON. Undefined where there are none (a function), or `fields` say it. */
  readonly schema?: JsonSchema;
  /** The fields of an object, of each item of an array, or of each value of an object with any keys. */
  readonly fields?: Fields;
  readonly fieldsOf?: 'object' | 'items' | 'values';
}

/** A part of a JSON Schema, draft 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export type Fields = Readonly<Record<string, Field<unknown>>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;

/** The options as a host may write them: all are optional, apart from required fields. */
export type Given<F extends Fields> = {
  readonly [K in keyof F as F[K] extends { required: true } ? never : K]?: F[K] extends { leftOut: true }
    ? Exclude<ValueOf<F[K]>, undefined>
    : ValueOf<F[K]> | undefined;
} & { readonly [K in keyof F as F[K] extends { required: true } ? K : never]: ValueOf<F[K]> };

/** The same options with every default filled in. */
export type Resolved<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** A longer string is not quoted in an error. */
const LONGEST_QUOTE = 40;

/** Describes a value in an error. Of a string or an object it names the type only: the content may be secret. */
export function describeValue(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object') return `a ${typeof value}`;
  try {
    if (Array.isArray(value)) return 'an array';
    return isPlainObject(value) ? 'an object' : 'an instance of a class';
  } catch {
    return 'a proxy that cannot be read';
  }
}

/** Whether `value` is an object without a class. The entries of a Map, for example, would not be seen as options. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  // Not a comparison with Object.prototype: an object of another realm (node:vm, Jest) has another one.
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** One of `words`. */
export function oneOf<const T extends string>(fallback: T, ...words: readonly T[]): Field<T> {
  const known: readonly unknown[] = words;
  const list = words.map((word) => `'${word}'`).join(', ');
  const quote = (value: unknown) =>
    typeof value === 'string' && value.length <= LONGEST_QUOTE ? `'${value}'` : describeValue(value);
  return {
    default: fallback,
    check: (value) => (known.includes(value) ? undefined : `one of ${list}, got ${quote(value)}`),
    schema: { enum: [...new Set(words)] },
  };
}

/** `type` of a definition. */
export function stdioType(): Field<'stdio'> {
  const known = oneOf('stdio', 'stdio');
  const remote = '; a remote server cannot be pooled: leave it out, or start a bridge (mcp-remote) as its command';
  return { ...known, check: (value) => known.check(value)?.concat(remote) };
}

/** The string may become an argument of exec or a path: it must not be empty, and a NUL would cut it off. */
function stringProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return `a string, got ${describeValue(value)}`;
  if (value.trim() === '') return 'a string that is not empty';
  return value.includes('\0') ? 'a string without NUL characters' : undefined;
}

const NOT_EMPTY: JsonSchema = { type: 'string', pattern: '\\S' };

export const requiredString = (): Field<string> & { required: true } => ({
  default: '',
  required: true,
  check: stringProblem,
  schema: NOT_EMPTY,
});

export const optionalString = (): Field<string | undefined> => ({
  default: undefined,
  check: stringProblem,
  schema: NOT_EMPTY,
});

/**
 * A name of what a call concerns, such as an owner. A call without it concerns what all such calls share, so a host that has
 * lost the value must not be taken for one that has none.
 */
export const scopeLabel = (what: string): Field<string | undefined> & { leftOut: true } => ({
  default: undefined,
  leftOut: true,
  check: (value) =>
    stringProblem(value)?.concat(value === undefined ? `; for a call without ${what}, leave the key out` : ''),
});

export const absolutePath = (): Field<string | undefined> => ({
  default: undefined,
  check: (value) =>
    stringProblem(value) ?? (isAbsolute(value as string) ? undefined : 'an absolute path, got a relative one'),
  // Of any system: a file may be read on another one than it was written on.
  schema: { type: 'string', pattern: '^(/|[A-Za-z]:[\\\\/]|\\\\\\\\)' },
});

/** An array of strings, which may be empty. */
export const strings = (): Field<readonly string[]> => ({
  default: [],
  check(value) {
    const what = 'an array of strings without NUL characters';
    if (!Array.isArray(value)) {
      const hint = typeof value === 'string' ? "; write one item for each, such as ['-y', 'some-server']" : '';
      return `${what}, got ${describeValue(value)}${hint}`;
    }
    const wrong = value.findIndex((item) => typeof item !== 'string' || item.includes('\0'));
    return wrong === -1 ? undefined : `${what}; item ${wrong} is not such a string`;
  },
  schema: { type: 'array', items: { type: 'string' } },
});

/** Environment variables: an object of strings. */
export const stringMap = (): Field<Readonly<Record<string, string>>> => ({
  default: {},
  check(value) {
    if (value === process.env)
      return 'an object of strings, not process.env, which holds all secrets of the host; name what the server needs in inheritEnv';
    if (!isPlainObject(value)) return `an object of strings ({ NAME: 'value' }), got ${describeValue(value)}`;
    // The problem names the variable, never the value, nor what follows '=' in a wrong name: that may be secret.
    for (const [key, item] of Object.entries(value)) {
      if (key === '' || /[=\0]/.test(key)) {
        return `an object of strings; the name '${key.replace(/=.*/s, '=…')}' is empty, or contains '=' or NUL`;
      }
      if (typeof item !== 'string' || item.includes('\0')) {
        return `an object of strings; the entry '${key}' is not a string without NUL characters${hintForEntry(item)}`;
      }
    }
    return undefined;
  },
  schema: { type: 'object', propertyNames: { pattern: '^[^=]+$' }, additionalProperties: { type: 'string' } },
});

/** Environment variables, or a function that returns them: it is called once for each start. */
export type EnvSource = Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>);

/** Environment variables, or a function. What the function returns is checked when it is called. */
export function environment(): Field<EnvSource> {
  const variables = stringMap();
  return { ...variables, check: (value) => (typeof value === 'function' ? undefined : variables.check(value)) };
}

/** What to do about a value of a variable. It names the type alone: the value may be secret. */
function hintForEntry(item: unknown): string {
  if (item === undefined || item === null) return ', but not set at all: leave it out, or set it where it comes from';
  const type = typeof item;
  return type === 'number' || type === 'boolean' ? `, but a ${type}: write it as a string` : '';
}

/** True or false. */
export const flag = (fallback: boolean): Field<boolean> => ({
  default: fallback,
  check: (value) => (typeof value === 'boolean' ? undefined : `true or false, got ${describeValue(value)}`),
  schema: { type: 'boolean' },
});

/** A function; undefined unless it is given. */
export const callback = <T>(): Field<T | undefined> => ({
  default: undefined,
  check: (value) => (typeof value === 'function' ? undefined : `a function, got ${describeValue(value)}`),
});

export const abortSignal = (): Field<AbortSignal | undefined> => ({
  default: undefined,
  // One that only inherits from AbortSignal throws when it is read.
  check: (value) => (value instanceof AbortSignal && typeof value.aborted === 'boolean' ? undefined : 'an AbortSignal'),
});

export const plainObject = (): Field<Readonly<Record<string, unknown>>> => ({
  default: {},
  check: (value) => (isPlainObject(value) ? undefined : `an object, got ${describeValue(value)}`),
});

/** An object that is sent in a message. */
export const jsonObject = (): Field<Readonly<Record<string, unknown>>> => ({
  default: {},
  check: (value) =>
    isPlainObject(value) && isJson(value)
      ? undefined
      : `an object that can be written as JSON, got ${describeValue(value)}`,
  schema: { type: 'object' },
});

/** Whether `value`, written as JSON and read again, is the same. */
function isJson(value: unknown): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(JSON.stringify(value)), value);
  } catch {
    return false;
  }
}

/** The longest label, in characters. */
const LONGEST_LABEL = 100;

/** A control character or a line break in a message would change the terminal or the log of its reader. */
export const label = (): Field<string | undefined> => ({
  default: undefined,
  check(value) {
    if (typeof value !== 'string') return `a string, got ${describeValue(value)}`;
    if (value.trim() === '') return 'a string that is not empty';
    // A character has one or two code units: a very long string is not split into characters.
    const isLonger = value.length > 2 * LONGEST_LABEL || [...value].length > LONGEST_LABEL;
    if (isLonger) return `a string of at most ${LONGEST_LABEL} characters`;
    return /[\p{Cc}\p{Zl}\p{Zp}]/u.test(value) ? 'a string without control characters and line breaks' : undefined;
  },
  schema: { ...NOT_EMPTY, maxLength: LONGEST_LABEL },
});

/** The same field, undefined unless it is given. */
export const optional = <T>(field: Field<T>): Field<T | undefined> => ({ ...field, default: undefined });

/** A field that has parts of its own, in options that are not copied as a whole. */
export const copied = <T>(field: Field<T>): Field<T> => ({ ...field, isCopied: true });

/**
 * An object with fields of its own. It is not checked here: `readNested` of `resolve-options.ts` reads it, when it knows
 * the values that missing fields fall back to.
 */
export function nested<F extends Fields>(fields: F): Field<Given<F>> {
  return { default: {} as Given<F>, check: () => undefined, fields, fieldsOf: 'object' };
}

/**
 * The same field with what tables and the JSON Schema say about it.
 * @param text one line of Markdown
 */
export function about<F extends Field<unknown>>(
  text: string,
  field: F,
  more: Pick<Field<unknown>, 'shownDefault' | 'inFile'> = {},
): F {
  return { ...field, ...more, about: text };
}
