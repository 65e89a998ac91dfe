import { describeValue, type Fields, isPlainObject } from '../config/fields.js';
import { definitionFields, poolFields, type ResolvedPoolOptions } from '../config/options.js';
import { resolvePoolOptions } from '../config/resolve-options.js';
import { PoolError as OwnPoolError } from '../errors.js';
import type { PoolOptions } from '../index.js';
import type { Mistake } from './local-entry.js';
import { sentenceForFile } from './shown-name.js';

/** The key `pool` of a file: the options of a pool without its servers. */
export type PoolPolicy = Omit<PoolOptions, 'servers'>;

/** What was read from the key `pool`, and the options that definitions are checked against. */
export interface ReadPolicy {
  readonly policy: PoolPolicy | undefined;
  readonly options: ResolvedPoolOptions;
  readonly mistakes: readonly Mistake[];
}

/** Caps of a host are not known here: it may set other limits than the file. */
const UNLIMITED = { maxProcesses: Infinity };

/** Checks the key `pool`. Pure. */
export function readPolicy(given: unknown): ReadPolicy {
  const none = (mistakes: readonly Mistake[]) => ({
    policy: undefined,
    options: resolvePoolOptions({ limits: UNLIMITED }),
    mistakes,
  });
  if (given === undefined) return none([]);
  if (!isPlainObject(given))
    return none([{ path: [], message: `pool must be an object, got ${describeValue(given)}` }]);
  // With a command the options would be one server and its pool in one object.
  const foreign = Object.keys(given).find(
    (key) => key === 'servers' || (Object.hasOwn(definitionFields, key) && !Object.hasOwn(poolFields, key)),
  );
  if (foreign !== undefined) {
    const message = `${foreign} must not be in pool, which has limits and policy alone: servers stand beside it, policy of all servers in pool.defaults`;
    return none([{ path: [foreign], message }]);
  }
  const ofProgram = pathOfProgram(given, poolFields);
  if (ofProgram !== undefined) {
    const message = `${ofProgram.join('.')} must not be in pool, which has limits and policy alone: only the program of the host can know it, so set it there`;
    return none([{ path: ofProgram, message }]);
  }
  try {
    const limits = isPlainObject(given.limits) ? { ...UNLIMITED, ...given.limits } : (given.limits ?? UNLIMITED);
    // Twice: the caps that are not set have their own default for a pool.
    resolvePoolOptions(given as PoolPolicy);
    return { policy: given as PoolPolicy, options: resolvePoolOptions({ ...given, limits }), mistakes: [] };
  } catch (error) {
    const problems = (error instanceof OwnPoolError && error.data.problems) || ['it cannot be read'];
    return none(problems.map((problem) => ({ path: pathOf(problem), message: sentenceForFile(problem) })));
  }
}

/** The first option that the schema of files leaves out, too: how the process of the host is run. */
function pathOfProgram(given: Readonly<Record<string, unknown>>, fields: Fields): string[] | undefined {
  for (const [key, value] of Object.entries(given)) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (field?.inFile === false) return [key];
    const inner = field?.fields && isPlainObject(value) ? pathOfProgram(value, field.fields) : undefined;
    if (inner !== undefined) return [key, ...inner];
  }
  return undefined;
}

/** `limits.maxProcesses must be …` is about that key. */
function pathOf(problem: string): string[] {
  const [key = ''] = problem.split(' ', 1);
  return /^[\w.]+$/.test(key) ? key.split('.') : [];
}
