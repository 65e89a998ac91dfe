import { createContext, Script } from 'node:vm';
import { PoolError } from '../../errors.js';

/** How much of a command line is matched, in characters. */
const LONGEST = 4_096;
/** How long all patterns may take for all processes, ms. */
const MOST_TIME = 1_000;

type Pattern = RegExp | string;

/**
 * Finds the first pattern that each command line matches, by number. Any process of the machine can have a command line on
 * which a regular expression takes for ever, and that would stop the host; so it is stopped.
 * @param lines key → command line
 * @throws PoolError `INVALID_OPTIONS` when a pattern takes too long
 */
export function matching<K>(patterns: readonly Pattern[], lines: ReadonlyMap<K, string>): Map<K, number> {
  const found = new Map<K, number>();
  let at = 0;
  const match = () => {
    for (const [key, line] of lines) {
      const text = line.slice(0, LONGEST);
      const number = patterns.findIndex((pattern, index) => {
        at = index;
        return typeof pattern === 'string' ? text.includes(pattern) : text.search(pattern) !== -1;
      });
      if (number !== -1) found.set(key, number);
    }
  };
  // The only way to stop an expression; the script itself does nothing but call.
  try {
    new Script('match()').runInContext(createContext({ match }), { timeout: MOST_TIME });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    const problem = `patterns[${at}] has not matched all command lines within ${MOST_TIME} ms; write it without nested repetitions, such as (a+)+`;
    throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem], after: MOST_TIME }, error);
  }
  return found;
}
