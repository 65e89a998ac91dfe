import type { PoolParts } from './assemble.js';

/** Kept in a WeakMap, so that a pool shows a host none of its parts. */
const parts = new WeakMap<object, PoolParts>();

export function setParts(pool: object, of: PoolParts): void {
  parts.set(pool, of);
}

export function partsOf(pool: object): PoolParts {
  const of = parts.get(pool);
  if (of === undefined) throw new TypeError('this method needs a MCPServerPool as its object');
  return of;
}
