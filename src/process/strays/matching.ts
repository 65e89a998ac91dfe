import { createContext, Script } from 'node:vm';
import { PoolError } from '../../errors.js';

/** How much of a command line is matched, in characters. */
const LONGEST = 4_096;
/** How long all patterns may take for all processes, ms. */
const MOST_TIME = 1_000;

export type Pattern = RegExp | string;

export interface Matches<K> {
  /** Key → number of the first pattern that its command line matches. */
  readonly matched: ReadonlyMap<K, number>;
  /** The number of a pattern that took too long; then not all command lines were matched. */
  readonly slow: number | undefined;
}

/**
 * Finds the first pattern that each command line matches, by number. Any process can have a command line on which a regular
 * expression takes for ever, and that would stop the host; so it is stopped.
 * @param patterns undefined: it is left out
 * @param lines key → command line
 */
export function matching<K>(patterns: readonly (Pattern | undefined)[], lines: ReadonlyMap<K, string>): Matches<K> {
  const matched = new Map<K, number>();
  let at = 0;
  const match = () => {
    for (const [key, line] of lines) {
      const text = line.slice(0, LONGEST);
      const number = patterns.findIndex((pattern, index) => {
        at = index;
        if (pattern === undefined) return false;
        return typeof pattern === 'string' ? text.includes(pattern) : text.search(pattern) !== -1;
      });
      if (number !== -1) matched.set(key, number);
    }
  };
  // The only way to stop an expression; the script itself does nothing but call.
  try {
    new Script('match()').runInContext(createContext({ match }), { timeout: MOST_TIME });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    return { matched, slow: at };
  }
  return { matched, slow: undefined };
}

/** @param consequence what the caller does about it */
export function slowPattern(number: number, consequence = ''): PoolError {
  const problem = `patterns[${number}] has not matched all command lines within ${MOST_TIME} ms${consequence}; write it without nested repetitions, such as (a+)+`;
  return new PoolError('INVALID_OPTIONS', problem, { problems: [problem], after: MOST_TIME });
}
