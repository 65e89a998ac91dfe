import { PoolError } from '../errors.js';
import { isPlainObject } from './fields.js';

/** A longer array is no list of arguments. */
const LONGEST = 100_000;
const DEEPEST = 100;

/**
 * A copy of what a host gave, of own properties alone, each read once: a getter or a proxy cannot show the check another value
 * than the one that is used. Objects of classes, functions and `process.env` are kept as they are.
 */
function copyOf(value: unknown, copies: Map<unknown, unknown>, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value === process.env || depth > DEEPEST) return value;
  const known = copies.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    copies.set(value, copy);
    const { length } = value;
    if (length > LONGEST) throw new RangeError(`an array has ${length} items`);
    for (let index = 0; index < length; index++) copy.push(copyOf(value[index], copies, depth + 1));
    return copy;
  }
  if (!isPlainObject(value)) return value;
  const copy = {};
  copies.set(value, copy);
  for (const key of Object.keys(value)) {
    // Not an assignment: that of `__proto__` would set the prototype.
    const item = { value: copyOf(value[key], copies, depth + 1), enumerable: true, writable: true, configurable: true };
    Object.defineProperty(copy, key, item);
  }
  return copy;
}

/**
 * The same value, safe to be read again and again.
 * @param what names it in the error
 * @throws PoolError `INVALID_OPTIONS` when it cannot be read
 */
export function snapshot<T>(value: T, what: string): T {
  return typed(() => copyOf(value, new Map(), 0) as T, what);
}

/**
 * Runs what reads values of a host, which may throw anything: a getter, a proxy, a value that cannot be converted to a string.
 * @throws PoolError `INVALID_OPTIONS`, with what was thrown as its cause
 */
export function typed<T>(read: () => T, what: string): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof PoolError) throw error;
    const problem = `${what} cannot be read: a getter, a proxy or a conversion of it throws`;
    throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] }, error);
  }
}
