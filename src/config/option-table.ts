import { isAbsolute } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { PoolError } from '../errors.js';

/**
 * One option: its default, and the check that a given value must pass. Tables of fields are the single source of the
 * defaults, the checks and the types of all options.
 */
export interface Field<T> {
  readonly default: T;
  /** Why `value` is wrong, as the end of the sentence "x must be …", or undefined when it is right. */
  check(value: unknown): string | undefined;
  readonly required?: true;
  /** Set on an option whose feature is not built yet: it is refused, never silently ignored. */
  readonly later?: string;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;

/** What a host may write. */
export type Given<F extends Fields> = {
  readonly [K in keyof F as F[K] extends { required: true } ? never : K]?: ValueOf<F[K]> | undefined;
} & { readonly [K in keyof F as F[K] extends { required: true } ? K : never]: ValueOf<F[K]> };

/** The same with every default filled in. */
export type Resolved<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

const MAX_LISTED_VALUE = 40;

/** Numbers and booleans are shown as they are; of texts and objects, which may hold secrets, only the kind. */
function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (Array.isArray(value)) return 'a list';
  return value === undefined ? 'nothing' : typeof value === 'string' ? 'a text' : `a value of type ${typeof value}`;
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  // The entries of a Map, or of any other kind of object with a life of its own, would be overlooked.
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function numeric(fallback: number, what: string, holds: (value: number) => boolean): Field<number> {
  return {
    default: fallback,
    check: (value) => (typeof value === 'number' && holds(value) ? undefined : `${what}, got ${shown(value)}`),
  };
}

/** Milliseconds; `Infinity` means never. */
export const duration = (fallback: number) =>
  numeric(fallback, 'a number of milliseconds, 0 or more', (value) => value >= 0);

/** Milliseconds after which something is given up: more than 0. */
export const deadline = (fallback: number) =>
  numeric(fallback, 'a number of milliseconds above 0', (value) => value > 0 && Number.isFinite(value));

/** A whole number; `Infinity` where `unlimited` says so. */
export const count = (fallback: number, least: number, unlimited?: 'unlimited') =>
  numeric(
    fallback,
    `a whole number, ${least} or more${unlimited ? ', or Infinity' : ''}`,
    (value) => value >= least && (Number.isInteger(value) || (unlimited !== undefined && value === Infinity)),
  );

/** Megabytes, none included. */
export const megabytesOrNone = (fallback: number) =>
  numeric(fallback, 'a number of megabytes, 0 or more', (value) => value >= 0 && Number.isFinite(value));

/** Of one core. */
export const percent = (fallback: number, least: number) =>
  numeric(fallback, `a number of percent, ${least} or more`, (value) => value >= least && Number.isFinite(value));

export const megabytes = (fallback: number, most = Number.MAX_SAFE_INTEGER) =>
  numeric(
    fallback,
    `a number of megabytes above 0${most < Number.MAX_SAFE_INTEGER ? `, at most ${most}` : ''}`,
    (value) => value > 0 && value <= most,
  );

export function oneOf<const T extends string>(fallback: T, ...words: readonly T[]): Field<T> {
  const known: readonly unknown[] = words;
  return {
    default: fallback,
    check: (value) =>
      known.includes(value)
        ? undefined
        : `one of ${words.map((word) => `'${word}'`).join(', ')}, got ${
            typeof value === 'string' && value.length <= MAX_LISTED_VALUE ? `'${value}'` : shown(value)
          }`,
  };
}

/** A text that may go into an exec call or a path: not empty, no NUL. */
function textProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return `a text, got ${shown(value)}`;
  if (value.trim() === '') return 'a text that is not empty';
  return value.includes('\0') ? 'a text without NUL characters' : undefined;
}

export const requiredText = (): Field<string> & { required: true } => ({
  default: '',
  required: true,
  check: textProblem,
});

export const optionalText = (): Field<string | undefined> => ({ default: undefined, check: textProblem });

export const absolutePath = (): Field<string | undefined> => ({
  default: undefined,
  check: (value) =>
    textProblem(value) ?? (isAbsolute(value as string) ? undefined : 'an absolute path, got a relative one'),
});

export const texts = (): Field<readonly string[]> => ({
  default: [],
  check: (value) =>
    Array.isArray(value) && value.every((item) => typeof item === 'string' && !item.includes('\0'))
      ? undefined
      : `a list of texts without NUL characters, got ${Array.isArray(value) ? 'a list with something else in it' : shown(value)}`,
});

export const textMap = (): Field<Readonly<Record<string, string>>> => ({
  default: {},
  check(value) {
    if (!isPlainObject(value)) return `an object of texts, got ${shown(value)}`;
    const wrong = Object.entries(value).find(
      ([key, item]) => key === '' || /[=\0]/.test(key) || typeof item !== 'string' || item.includes('\0'),
    );
    // Never the value, which may be secret whatever its type.
    return wrong && `an object of texts; the entry '${wrong[0]}' has no text, or no name that a variable can have`;
  },
});

export const flag = (fallback: boolean): Field<boolean> => ({
  default: fallback,
  check: (value) => (typeof value === 'boolean' ? undefined : `true or false, got ${shown(value)}`),
});

export const jsonObject = (): Field<Readonly<Record<string, unknown>>> => ({
  default: {},
  check: (value) => (isPlainObject(value) ? undefined : `an object, got ${shown(value)}`),
});

/** Not set unless it is given. */
export const optional = <T>(field: Field<T>): Field<T | undefined> => ({ ...field, default: undefined });

/** An object with options of its own, which are read by `fields` once it is known what they fall back to. */
export function group<F extends Fields>(_fields: F): Field<Given<F>> {
  return { default: {} as Given<F>, check: () => undefined };
}

/** An object that goes over the wire. */
export const wireObject = (): Field<Readonly<Record<string, unknown>>> => ({
  default: {},
  check: (value) =>
    isPlainObject(value) && isJson(value) ? undefined : `an object that can be written as JSON, got ${shown(value)}`,
});

/** Whether everything in `value` comes back from JSON as it was. */
function isJson(value: unknown): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(JSON.stringify(value)), value);
  } catch {
    return false;
  }
}

/** An option that is known, but whose feature a later version brings. */
export const later = (feature: string): Field<undefined> => ({
  default: undefined,
  later: feature,
  check: () => undefined,
});

/** The options that are wrong, one sentence each. `unsupported` are right, but not built yet. */
export interface Problems {
  readonly wrong: string[];
  readonly unsupported: string[];
}

/**
 * Reads `given` by `fields`: fills in the defaults and adds what is wrong to `problems`. Never throws, so that one
 * error can list everything; what it returns is only to be used when no problem was found. `alsoKnown` are names that
 * are read elsewhere, to be suggested for a misspelt one.
 */
export function readOptions<F extends Fields>(
  fields: F,
  given: unknown,
  path: string,
  problems: Problems,
  alsoKnown: readonly string[] = [],
): Resolved<F> {
  const values: Record<string, unknown> = {};
  if (!isPlainObject(given)) {
    problems.wrong.push(`${path || 'the options'} must be an object, got ${shown(given)}`);
    given = {};
  }
  const source = given as Record<string, unknown>;
  const prefix = path === '' ? '' : `${path}.`;
  for (const key of Object.keys(source)) {
    if (!Object.hasOwn(fields, key))
      problems.wrong.push(unknownKey(prefix + key, key, [...Object.keys(fields), ...alsoKnown]));
  }
  for (const [key, field] of Object.entries(fields)) {
    const value = Object.hasOwn(source, key) ? source[key] : undefined;
    values[key] = field.default;
    if (value === undefined && !field.required) continue;
    if (field.later !== undefined) {
      problems.unsupported.push(`${prefix}${key} is not supported by this version: ${field.later}`);
      continue;
    }
    const problem = field.check(value);
    // What is wrong counts as not given, so that one mistake is not reported again by what depends on it.
    if (problem === undefined) values[key] = value;
    else problems.wrong.push(`${prefix}${key} must be ${problem}`);
  }
  return values as Resolved<F>;
}

/** @throws PoolError that lists every problem, if there is one */
export function refuse({ wrong, unsupported }: Problems, what: string): void {
  const problems = [...wrong, ...unsupported];
  if (problems.length === 0) return;
  throw new PoolError(
    wrong.length > 0 ? 'INVALID_OPTIONS' : 'NOT_SUPPORTED',
    `${problems.length === 1 ? 'One problem' : `${problems.length} problems`} in ${what}:\n${problems
      .map((problem) => `  - ${problem}`)
      .join('\n')}`,
    { problems },
  );
}

function unknownKey(path: string, key: string, known: readonly string[]): string {
  const nearest = known
    .map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const close = nearest !== undefined && nearest.distance <= Math.max(2, Math.floor(key.length / 3));
  return `${path} is not a known option${close ? `; did you mean '${nearest.name}'?` : ''}`;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
