import { messageOf, PoolError } from '../errors.js';
import { quoted } from '../runtime/quoted.js';

/** How many steps an error names: there may be thousands. */
const MOST_NAMED = 10;

/** A function of a step threw. An error of this library is kept: its code says more. */
export function stepFailed(id: string, error: unknown, during: 'start' | 'stop' = 'start'): PoolError {
  if (error instanceof PoolError) return error;
  const what = during === 'start' ? 'could not be started' : 'could not be stopped';
  return new PoolError('STEP_FAILED', `the step '${id}' ${what}: ${textOf(error)}`, { name: id }, error);
}

export function stepExited(id: string, cause: unknown): PoolError {
  const why = cause === undefined ? '' : `: ${textOf(cause)}`;
  return new PoolError('STEP_EXITED', `the step '${id}' has ended by itself${why}`, { name: id }, cause);
}

export function stepTimeout(id: string, after: number, what: 'ready' | 'stopped'): PoolError {
  const problem = `the step '${id}' was not ${what} within ${Math.round(after)} ms`;
  return new PoolError('STEP_TIMEOUT', problem, { name: id, after });
}

/** @param cause of the dependency. That of a chain of dependencies is the error at its end: a message for each would have no limit */
export function dependencyFailed(id: string, dependency: string, cause: PoolError | undefined): PoolError {
  const root = cause?.code === 'DEPENDENCY_FAILED' ? cause.cause : cause;
  const why = root === undefined ? 'it is not up' : textOf(root);
  const problem = `the step '${id}' needs '${dependency}', which cannot be used: ${why}`;
  return new PoolError('DEPENDENCY_FAILED', problem, { name: dependency }, root);
}

/** @param open steps that were not ready */
export function sequenceTimeout(open: readonly string[], after: number): PoolError {
  const others = open.length > MOST_NAMED ? `, and ${open.length - MOST_NAMED} more` : '';
  const named = open.slice(0, MOST_NAMED).map((id) => `'${id}'`);
  const problem = `the start was not complete within ${after} ms: ${named.join(', ')}${others}`;
  return new PoolError('SEQUENCE_TIMEOUT', problem, { name: open[0], after });
}

export function sequenceAborted(why: string, cause?: unknown): PoolError {
  return new PoolError('SEQUENCE_ABORTED', `the start was aborted ${why}`, {}, cause);
}

/** What was thrown may be any value. */
function textOf(error: unknown): string {
  try {
    return quoted(messageOf(error));
  } catch {
    return 'what was thrown cannot be read';
  }
}
