import type { ResolvedDefinition, ServerDefinition } from '../../src/config/options.js';
import { resolveDefinition, resolvePoolOptions } from '../../src/config/resolve-options.js';

/** A definition with all its defaults; `given` is checked as a pool would check it. */
export function define(given: ServerDefinition, name = 'test'): ResolvedDefinition {
  const { limits, monitoring } = resolvePoolOptions({});
  return resolveDefinition(name, given, { defaults: {}, limits, monitoring });
}
