import { callback, type Field, requiredString } from './fields.js';
import { refuse } from './read-options.js';
import { typed } from './snapshot.js';

/**
 * Checks one argument of a public call.
 * @param call as the host writes it, such as `releaseOwner()`
 * @throws PoolError `INVALID_OPTIONS`
 */
export function readArgument<T>(field: Field<T>, value: unknown, name: string, call: string): T {
  const problem = typed(() => field.check(value), name);
  if (problem !== undefined) refuse({ wrong: [`${name} must be ${problem}`], unsupported: [] }, `the call of ${call}`);
  return value as T;
}

const text = requiredString();

/**
 * Checks an argument that says what a call concerns. Without it the call would concern more than the host means: everything,
 * or what belongs to calls without it.
 * @throws PoolError `INVALID_OPTIONS`
 */
export function readLabel(value: unknown, name: string, call: string): string {
  return readArgument(text, value, name, call);
}

/** @throws PoolError `INVALID_OPTIONS` */
export function readFunction(value: unknown, name: string, call: string): unknown {
  return readArgument(callback(), value, name, call);
}
