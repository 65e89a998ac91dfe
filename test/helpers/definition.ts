import { type ResolvedDefinition, resolveDefinition, type ServerDefinition } from '../../src/config/options.js';

/** A definition with all its defaults; `given` is checked as a pool would check it. */
export function define(given: ServerDefinition, name = 'test'): ResolvedDefinition {
  const limits = { maxProcesses: 15, maxProcessesPerServer: Infinity, memoryLimitMB: undefined };
  return resolveDefinition(name, given, { defaults: {}, limits });
}
