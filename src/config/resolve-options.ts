import { cleanupFields } from './call-options.js';
import {
  cgroupLimitFields,
  checkContainment,
  markerFields,
  type ResolvedContainment,
  rlimitFields,
} from './containment-options.js';
import { resolveEnvironment } from './environment.js';
import { isPlainObject, type Resolved } from './fields.js';
import {
  DEFAULT_MAX_INSTANCES,
  definitionFields,
  guardianFields,
  limitFields,
  type PoolOptions,
  policyFields,
  poolFields,
  type ResolvedDefinition,
  type ResolvedLimits,
  type ResolvedPoolOptions,
  restartFields,
  type ServerDefinition,
  type ServerPolicy,
  type Sharing,
  type SingleServerOptions,
} from './options.js';
import { type Problems, readOptions, refuse } from './read-options.js';

/** Name of the server when the options of the pool are one definition. */
const SINGLE_SERVER = 'default';

/**
 * Checks all options of a pool, and fills in the defaults.
 * @throws PoolError that lists every problem: `INVALID_OPTIONS`, or `NOT_SUPPORTED` when nothing is wrong
 */
export function resolvePoolOptions(given: PoolOptions | SingleServerOptions): ResolvedPoolOptions {
  const problems: Problems = { wrong: [], unsupported: [] };
  const { pool, servers } = splitShorthand(given, problems);
  const options = readOptions(poolFields, pool, '', problems, isShorthand(given) ? Object.keys(definitionFields) : []);
  const limits = readOptions(limitFields, options.limits, 'limits', problems);
  const cleanup = readOptions(cleanupFields, options.cleanup, 'cleanup', problems);
  const guardian = readOptions(guardianFields, options.guardian, 'guardian', problems);
  const poolPolicy = { containment: options.containment };
  const givenDefaults = isPlainObject(options.defaults) ? withDefaults(poolPolicy, options.defaults) : options.defaults;
  const defaults = readOptions(policyFields, givenDefaults, 'defaults', problems);
  if (limits.maxProcessesPerServer !== Infinity && limits.maxProcessesPerServer > limits.maxProcesses) {
    problems.wrong.push(
      `limits.maxProcessesPerServer must not be above limits.maxProcesses (${limits.maxProcesses}), got ${limits.maxProcessesPerServer}`,
    );
  }
  const resolved = new Map<string, ResolvedDefinition>();
  for (const [name, definition] of servers) {
    const path = isShorthand(given) ? '' : `servers.${name}`;
    resolved.set(name, readDefinition(name, definition, path, defaults, limits, problems));
  }
  const minimum = [...resolved.values()].reduce((sum, definition) => sum + definition.minIdle, 0);
  if (minimum > limits.maxProcesses) {
    problems.wrong.push(
      `the minIdle of all servers (${minimum}) must not be above limits.maxProcesses (${limits.maxProcesses})`,
    );
  }
  refuse(problems, 'the options of MCPServerPool');
  return { ...options, servers: resolved, defaults, limits, cleanup, guardian };
}

/**
 * Checks one definition, and fills in the defaults of the pool.
 * @throws PoolError that lists every problem: `INVALID_OPTIONS`, or `NOT_SUPPORTED` when nothing is wrong
 */
export function resolveDefinition(
  name: string,
  given: ServerDefinition,
  pool: Pick<ResolvedPoolOptions, 'defaults' | 'limits'>,
): ResolvedDefinition {
  const problems: Problems = { wrong: [], unsupported: [] };
  const definition = readDefinition(name, given, name, pool.defaults, pool.limits, problems);
  refuse(problems, `the definition of server '${name}'`);
  return definition;
}

/** Separates the definition from the options of the pool: the shorthand has both in one object. */
function splitShorthand(given: unknown, problems: Problems): { pool: unknown; servers: [string, unknown][] } {
  if (!isShorthand(given)) {
    const servers = isPlainObject(given) && isPlainObject(given.servers) ? given.servers : {};
    return { pool: given, servers: Object.entries(servers) };
  }
  for (const key of ['servers', 'defaults']) {
    if (given[key] !== undefined)
      problems.wrong.push(`${key} must not be set beside command; put the command into servers`);
  }
  const entries = Object.entries(given);
  const isDefinition = ([key]: [string, unknown]) => Object.hasOwn(definitionFields, key);
  return {
    pool: Object.fromEntries(entries.filter((entry) => !isDefinition(entry))),
    servers: [[SINGLE_SERVER, Object.fromEntries(entries.filter(isDefinition))]],
  };
}

function isShorthand(given: unknown): given is Record<string, unknown> {
  return isPlainObject(given) && Object.hasOwn(given, 'command');
}

function readDefinition(
  name: string,
  given: unknown,
  path: string,
  defaults: ServerPolicy,
  limits: ResolvedLimits,
  problems: Problems,
): ResolvedDefinition {
  if (typeof name !== 'string' || name.trim() === '' || name.includes('\0')) {
    problems.wrong.push('the name of a server must be a string that is not empty, without NUL characters');
  }
  const merged = isPlainObject(given) ? withDefaults(defaults, given) : given;
  const options = readOptions(definitionFields, merged, path, problems);
  const prefix = path === '' ? '' : `${path}.`;
  const cap = Math.min(limits.maxProcesses, limits.maxProcessesPerServer);
  const maxInstances = options.maxInstances ?? Math.min(DEFAULT_MAX_INSTANCES, cap);
  if (maxInstances > cap) {
    problems.wrong.push(
      `${prefix}maxInstances must not be above ${cap}, which limits.${
        cap === limits.maxProcesses ? 'maxProcesses' : 'maxProcessesPerServer'
      } allows, got ${maxInstances}`,
    );
  }
  if (options.minIdle > maxInstances) {
    problems.wrong.push(`${prefix}minIdle must not be above maxInstances (${maxInstances}), got ${options.minIdle}`);
  }
  const sharing = readSharing(options, prefix, problems);
  const restart = readNested(restartFields, options.restart, defaults.restart, `${prefix}restart`, problems);
  if (restart.minDelay > restart.maxDelay) {
    problems.wrong.push(
      `${prefix}restart.minDelay must not be above maxDelay (${restart.maxDelay}), got ${restart.minDelay}`,
    );
  }
  const containment = readContainment(options, defaults, prefix, problems);
  if (options.era !== 'legacy') {
    problems.unsupported.push(`${prefix}era: '${options.era}' is not supported by this version; use 'legacy'`);
  }
  const isInvalid = problems.wrong.length > 0;
  const resolvedEnv = isInvalid ? {} : resolveEnvironment(options.env, options.inheritEnv);
  const definition = {
    ...options,
    name,
    // Copies: when the host changes its own objects later, the definition must stay the same.
    args: [...options.args],
    clientCapabilities: isInvalid ? {} : structuredClone(options.clientCapabilities),
    clientInfo: isInvalid ? undefined : structuredClone(options.clientInfo),
    maxInstances,
    sharing,
    reuse: options.reuse ?? (sharing === 'shared' ? ('tenant' as const) : ('owner' as const)),
    onCrash: options.onCrash ?? (sharing === 'shared' ? ('restart' as const) : ('close' as const)),
    restart,
    ...containment,
    resolvedEnv,
  };
  return { ...definition, key: isInvalid ? '' : keyOf(definition) };
}

function readContainment(
  options: Resolved<typeof policyFields>,
  defaults: ServerPolicy,
  prefix: string,
  problems: Problems,
): ResolvedContainment {
  const { containment, noNewPrivileges } = options;
  const markers = readNested(markerFields, options.markers, defaults.markers, `${prefix}markers`, problems);
  const rlimits = readNested(rlimitFields, options.rlimits, defaults.rlimits, `${prefix}rlimits`, problems);
  const path = `${prefix}cgroupLimits`;
  const cgroupLimits = readNested(cgroupLimitFields, options.cgroupLimits, defaults.cgroupLimits, path, problems);
  checkContainment({ containment, markers, cgroupLimits }, prefix, problems);
  return { containment, markers, rlimits, noNewPrivileges, cgroupLimits };
}

/** Reads an option that has fields of its own. A field that is not given has its value in `defaults`. */
function readNested<F extends Parameters<typeof readOptions>[0]>(
  fields: F,
  given: unknown,
  defaults: object | undefined,
  path: string,
  problems: Problems,
): Resolved<F> {
  return readOptions(fields, isPlainObject(given) ? withDefaults(defaults ?? {}, given) : given, path, problems);
}

/** Resolves `auto` and the alias, and checks the options that depend on sharing. */
function readSharing(
  { sharing, sharedMemoryCache, reuse, onCrash }: Resolved<typeof policyFields>,
  prefix: string,
  problems: Problems,
): Sharing {
  const resolved = sharedMemoryCache && sharing === 'auto' ? 'shared' : sharing === 'auto' ? 'exclusive' : sharing;
  if (sharedMemoryCache && resolved !== 'shared') {
    problems.wrong.push(`${prefix}sharedMemoryCache must be false where sharing is '${sharing}': it means 'shared'`);
  }
  if (resolved === 'shared' && reuse === 'never') {
    problems.wrong.push(`${prefix}reuse must be 'tenant' or 'owner' where sharing is 'shared', got 'never'`);
  }
  if (resolved === 'dedicated' && onCrash === 'restart') {
    problems.wrong.push(
      `${prefix}onCrash must be 'close' where sharing is 'dedicated': only its client knows the state of the lost process`,
    );
  }
  return resolved;
}

/** Adds missing values from `defaults`. A value of `undefined` means "not given". */
function withDefaults(defaults: object, given: object): object {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(set) };
}

/**
 * Instances are interchangeable only if everything is the same that their processes can see, and that decides which leases
 * they may get.
 */
function keyOf(definition: Omit<ResolvedDefinition, 'key'>): string {
  const { name, command, args, cwd, era, sharing, reuse, resolvedEnv } = definition;
  const { protocolVersion, clientCapabilities, clientInfo } = definition;
  const { containment, markers, rlimits, noNewPrivileges, cgroupLimits } = definition;
  const env = Object.entries(resolvedEnv).sort(([a], [b]) => (a < b ? -1 : 1));
  const start = [containment, markers, rlimits, noNewPrivileges, cgroupLimits];
  const handshake = [protocolVersion, clientCapabilities, clientInfo ?? null];
  return JSON.stringify([name, command, args, cwd ?? null, era, sharing, reuse, handshake, env, start]);
}
