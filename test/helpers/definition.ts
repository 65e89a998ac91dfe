import type { ResolvedDefinition, ServerDefinition } from '../../src/config/options.js';
import { resolveDefinition } from '../../src/config/resolve-options.js';

/** A definition with all its defaults; `given` is checked as a pool would check it. */
export function define(given: ServerDefinition, name = 'test'): ResolvedDefinition {
  const limits = { maxProcesses: 15, maxProcessesPerServer: Infinity, concurrentStarts: 4, memoryLimitMB: undefined };
  return resolveDefinition(name, given, { defaults: {}, limits });
}
