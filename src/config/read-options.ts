import { PoolError } from '../errors.js';
import { describeValue, type Fields, type Given, isPlainObject, type Resolved } from './fields.js';
import { didYouMean } from './similar-names.js';
import { snapshot, typed } from './snapshot.js';

/** The problems found so far, one sentence each. */
export interface Problems {
  /** Options that are wrong. */
  readonly wrong: string[];
  /** Options that are right, but not supported by this version. */
  readonly unsupported: string[];
}

/** What to write where a value stands in place of an object. */
const INSTEAD: Readonly<Record<string, string>> = {
  alerts: 'write { enabled: false } to switch it off, or leave it out',
  audit: "write { path: '/absolute/path.jsonl' }, or leave it out",
  guardian: 'write { enabled: false } to switch it off, or leave it out',
  monitoring: 'write { enabled: false } to switch it off, or leave it out',
  serviceLevels: 'write { enabled: false } to switch it off, or leave it out',
};

/**
 * Reads `given` by the table `fields`: fills in the defaults and adds each problem to `problems`. Never throws, so that
 * one error can list everything; use the result only when no problem was found.
 *
 * @param path name of the object in error messages; empty for the options themselves
 * @param hintFor what to write instead of a key that is not known: the end of the sentence
 */
export function readOptions<F extends Fields>(
  fields: F,
  given: unknown,
  path: string,
  problems: Problems,
  hintFor: (key: string, known: readonly string[], value: unknown) => string = didYouMean,
): Resolved<F> {
  const { defaults, required } = tableOf(fields);
  // A copy has one shape for all calls: some options are read at each `getServer()`.
  const values = { ...defaults };
  if (!isPlainObject(given)) {
    const instead = Object.hasOwn(INSTEAD, path) ? `; ${INSTEAD[path]}` : '';
    problems.wrong.push(`${path || 'the options'} must be an object, got ${describeValue(given)}${instead}`);
    given = {};
  }
  const source = given as Record<string, unknown>;
  const prefix = path === '' ? '' : `${path}.`;
  for (const key of Object.keys(source)) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    const value = field?.isCopied ? snapshot(source[key], `${prefix}${key}`) : source[key];
    if (field === undefined) {
      problems.wrong.push(`${prefix}${key} is not a known option${hintFor(key, Object.keys(fields), value)}`);
    } else if (value !== undefined || field.leftOut || field.required) {
      const problem = field.check(value);
      // A wrong value is replaced by the default. So a check that compares options does not report the same mistake again.
      if (problem === undefined) values[key] = value;
      else problems.wrong.push(`${prefix}${key} must be ${problem}`);
    }
  }
  for (const key of required) {
    if (!Object.hasOwn(source, key)) problems.wrong.push(`${prefix}${key} must be ${fields[key]?.check(undefined)}`);
  }
  return values as Resolved<F>;
}

/**
 * @param what names the options in the message
 * @throws PoolError that lists every problem, if there is one: `INVALID_OPTIONS`, or `NOT_SUPPORTED` when nothing is wrong
 */
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

/** Makes the function that checks the options of one call, and fills in the defaults. It throws as {@link refuse} does. */
export function reader<F extends Fields>(fields: F, what: string) {
  return (given: Given<F>): Resolved<F> => {
    const problems: Problems = { wrong: [], unsupported: [] };
    const options = typed(() => readOptions(fields, given, '', problems), what);
    refuse(problems, what);
    return options;
  };
}

interface Table {
  readonly required: readonly string[];
  readonly defaults: Readonly<Record<string, unknown>>;
}

const tables = new WeakMap<Fields, Table>();

/** Made once for each table. */
function tableOf(fields: Fields): Table {
  const known = tables.get(fields);
  if (known !== undefined) return known;
  const rows = Object.entries(fields);
  const made = {
    required: rows.filter(([, field]) => field.required).map(([key]) => key),
    defaults: Object.fromEntries(rows.map(([key, field]) => [key, field.default])),
  };
  tables.set(fields, made);
  return made;
}
