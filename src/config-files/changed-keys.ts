import { isDeepStrictEqual } from 'node:util';
import { isPlainObject } from '../config/fields.js';

/** The paths of the values that differ, such as `limits.maxProcesses`, in order. Pure. */
export function changedKeys(before: object, after: object, prefix = ''): string[] {
  const [old, now] = [before, after] as [Record<string, unknown>, Record<string, unknown>];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])].sort();
  return names.flatMap((name) => {
    const [a, b] = [old[name], now[name]];
    if (isDeepStrictEqual(a, b)) return [];
    const areSections = [a, b].every((value) => value === undefined || isPlainObject(value));
    return areSections ? changedKeys((a ?? {}) as object, (b ?? {}) as object, `${prefix}${name}.`) : [prefix + name];
  });
}
