import { auditFields, type ResolvedAudit } from './audit-options.js';
import { cleanupFields } from './call-options.js';
import { readDependsOn } from './depends-on.js';
import { isPlainObject } from './fields.js';
import { guardianFields } from './guardian-options.js';
import { hintFor, type Place } from './hints.js';
import { inherit, withDefaults } from './inherited-policy.js';
import { limitFields, NO_MACHINE, type ResolvedLimits, resolveLimits } from './limit-options.js';
import { checkRemote } from './mistakes.js';
import {
  definitionFields,
  type PoolOptions,
  poolFields,
  type ResolvedDefinition,
  type ResolvedPoolOptions,
  type ServerDefinition,
  type ServerPolicy,
  type SingleServerOptions,
} from './options.js';
import { OWN_DEFAULTS } from './own-defaults.js';
import { checkPlaceholders } from './placeholders.js';
import { checkDefaults, readPolicy } from './policy.js';
import { policyFields } from './policy-fields.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import { readAlerts } from './resolve-alerts.js';
import { readMonitoring } from './resolve-monitoring.js';
import { checkWatched } from './resource-options.js';
import { checkOrder } from './server-order.js';
import { readServiceLevels } from './service-level-options.js';
import { snapshot, typed } from './snapshot.js';

/** Which of the defaults of a pool the host has set, by the resolved ones. */
const setByHost = new WeakMap<object, ReadonlySet<string>>();

/** What definitions were made from. Apart from them, since a resolved definition is shown in fewer places than values of env. */
const GIVEN = new WeakMap<ResolvedDefinition, ServerDefinition>();

/** A definition as the host gave it: a copy. */
export function givenDefinition(resolved: ResolvedDefinition): ServerDefinition {
  return snapshot(GIVEN.get(resolved) ?? { command: resolved.command }, 'the definition');
}

/** What the definitions of a pool must fit to. */
type PolicyOfPool = Pick<ResolvedPoolOptions, 'defaults' | 'limits' | 'monitoring'>;

/** The limits that nothing watches where monitoring is off, with the value that is no limit. */
const WATCHED_LIMITS = [
  ['memoryLimitMB', Infinity],
  ['cpuLimitPercent', Infinity],
] as const;

/** Name of the server when the options of the pool are one definition. */
const SINGLE_SERVER = 'default';

/**
 * Checks all options of a pool, and fills in the defaults.
 * @param auto what `limits.maxProcesses: 'auto'` is on this machine; asked only for that
 * @throws PoolError that lists every problem: `INVALID_OPTIONS`, or `NOT_SUPPORTED` when nothing is wrong
 */
export function resolvePoolOptions(written: PoolOptions | SingleServerOptions, auto = NO_MACHINE): ResolvedPoolOptions {
  const given = snapshot(written, 'the options of MCPServerPool');
  const problems: Problems = { wrong: [], unsupported: [] };
  const { pool, servers } = splitShorthand(given, problems);
  const options = readOptions(poolFields, pool, '', problems, (key, known, value) =>
    isShorthand(given)
      ? hintFor(key, 'shorthand', [...known, ...Object.keys(definitionFields)], value)
      : hintFor(key, 'pool', known, value),
  );
  const readLimits = readOptions(limitFields, options.limits, 'limits', problems, hintIn('limits'));
  const limits = resolveLimits(readLimits, auto, problems);
  const monitoring = readMonitoring(options.monitoring, problems);
  const audit = readAudit(options.audit, problems);
  const serviceLevels = readServiceLevels(options.serviceLevels, problems);
  const alerts = readAlerts(options.alerts, problems);
  const cleanup = readOptions(cleanupFields, options.cleanup, 'cleanup', problems);
  const guardian = readOptions(guardianFields, options.guardian, 'guardian', problems);
  const { containment, resolvePackages, refreshAfter } = options;
  const poolPolicy = { containment, resolvePackages, refreshAfter };
  const givenDefaults = isPlainObject(options.defaults) ? withDefaults(poolPolicy, options.defaults) : options.defaults;
  const givenPolicy = readOptions(policyFields, givenDefaults, 'defaults', problems, hintIn('defaults'));
  const isMonitored = monitoring.enabled;
  checkWatched(
    isPlainObject(options.limits) ? options.limits : {},
    WATCHED_LIMITS,
    { isMonitored, prefix: 'limits.' },
    problems,
  );
  const ownDefaults = isPlainObject(givenDefaults) ? givenDefaults : {};
  const defaults = checkDefaults(givenPolicy, ownDefaults, { limits, isMonitored }, problems);
  setByHost.set(defaults, namesSet(givenDefaults));
  const resolved = new Map<string, ResolvedDefinition>();
  for (const [name, definition] of servers) {
    const path = isShorthand(given) ? '' : `servers.${name}`;
    resolved.set(name, readDefinition(name, definition, path, { defaults, limits, monitoring }, problems));
  }
  checkMinimum(resolved.values(), limits, problems);
  checkOrder([...resolved.values()], (name) => (isShorthand(given) ? '' : `servers.${name}.`), problems);
  refuse(problems, 'the options of MCPServerPool');
  const sections = { limits, monitoring, audit, alerts, serviceLevels, cleanup, guardian };
  return { ...options, ...sections, servers: resolved, defaults };
}

/**
 * Checks one definition, and fills in the defaults of the pool.
 * @param others the other definitions of the pool
 * @throws PoolError that lists every problem: `INVALID_OPTIONS`, or `NOT_SUPPORTED` when nothing is wrong
 */
export function resolveDefinition(
  name: string,
  written: ServerDefinition,
  pool: PolicyOfPool,
  others: Iterable<ResolvedDefinition> = [],
): ResolvedDefinition {
  const given = snapshot(written, `the definition of server '${name}'`);
  const defaults = typed(() => withOwnDefaults(pool.defaults, written), `the definition of server '${name}'`);
  const problems: Problems = { wrong: [], unsupported: [] };
  const definition = readDefinition(name, given, name, { ...pool, defaults }, problems);
  if (definition.minIdle > 0) checkMinimum([...others, definition], pool.limits, problems);
  checkOrder([...others, definition], (other) => `${other}.`, problems);
  refuse(problems, `the definition of server '${name}'`);
  return definition;
}

/**
 * The same for several definitions, which may depend on each other: all problems are in one error.
 * @param others the other definitions of the pool
 */
export function resolveDefinitions(
  written: Readonly<Record<string, ServerDefinition>>,
  pool: PolicyOfPool,
  others: readonly ResolvedDefinition[],
  what: string,
): ResolvedDefinition[] {
  const problems: Problems = { wrong: [], unsupported: [] };
  const resolved = Object.entries(written).map(([name, given]) => readDefinition(name, given, name, pool, problems));
  const all = [...others, ...resolved];
  if (resolved.some(({ minIdle }) => minIdle > 0)) checkMinimum(all, pool.limits, problems);
  checkOrder(all, (other) => `${other}.`, problems);
  refuse(problems, what);
  return resolved;
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

const hintIn = (place: Place) => (key: string, known: readonly string[], value: unknown) =>
  hintFor(key, place, known, value);

/** The minimum of all servers must fit into the pool. */
function checkMinimum(definitions: Iterable<ResolvedDefinition>, limits: ResolvedLimits, problems: Problems): void {
  const minimum = [...definitions].reduce((sum, { minIdle }) => sum + minIdle, 0);
  if (minimum <= limits.maxProcesses) return;
  problems.wrong.push(
    `the minIdle of all servers (${minimum}) must not be above limits.maxProcesses (${limits.maxProcesses})`,
  );
}

function isShorthand(given: unknown): given is Record<string, unknown> {
  return isPlainObject(given) && Object.hasOwn(given, 'command');
}

function readDefinition(
  name: string,
  given: unknown,
  path: string,
  { defaults, limits, monitoring }: PolicyOfPool,
  problems: Problems,
): ResolvedDefinition {
  if (typeof name !== 'string' || name.trim() === '' || name.includes('\0')) {
    problems.wrong.push('the name of a server must be a string that is not empty, without NUL characters');
  }
  const merged = isPlainObject(given) ? inherit(defaults, given) : given;
  const place = path === '' ? 'shorthand' : 'definition';
  const options = readOptions(definitionFields, merged, path, problems, hintIn(place));
  const prefix = path === '' ? '' : `${path}.`;
  const own = isPlainObject(given) ? given : {};
  checkRemote(own, path, problems);
  checkPlaceholders(options, prefix, problems);
  const isMonitored = monitoring.enabled;
  const policy = readPolicy({ options, own, defaults, limits, isMonitored, prefix, isDefaults: false }, problems);
  if (options.era !== 'legacy' && own.era !== undefined) {
    problems.unsupported.push(`${prefix}era: '${options.era}' is not supported by this version; use 'legacy'`);
  }
  const isInvalid = problems.wrong.length > 0;
  const { dependsOn, ...plain } = options;
  const resolved: ResolvedDefinition = {
    ...plain,
    name,
    dependencies: readDependsOn(dependsOn, `${prefix}dependsOn`, problems),
    // Copies: when the host changes its own objects later, the definition must stay the same.
    args: [...options.args],
    env: typeof options.env === 'function' ? options.env : { ...options.env },
    inheritEnv: [...options.inheritEnv],
    clientCapabilities: isInvalid ? {} : structuredClone(options.clientCapabilities),
    clientInfo: isInvalid ? undefined : structuredClone(options.clientInfo),
    ...policy,
    reuse: options.reuse ?? (policy.sharing === 'shared' ? ('tenant' as const) : ('owner' as const)),
    onCrash: options.onCrash ?? (policy.sharing === 'shared' ? ('restart' as const) : ('close' as const)),
  };
  // A copy already, since `structuredClone()` has no copy of a function.
  if (!isInvalid) GIVEN.set(resolved, snapshot(given, 'the definition') as ServerDefinition);
  return resolved;
}

/** The defaults of a pool, with those that a definition has of its own where the host has set none. */
function withOwnDefaults(defaults: ServerPolicy, given: object): ServerPolicy {
  const own: object | undefined = (given as { [OWN_DEFAULTS]?: object } | undefined)?.[OWN_DEFAULTS];
  if (own === undefined) return defaults;
  const free = Object.entries(own).filter(([name]) => !setByHost.get(defaults)?.has(name));
  return { ...defaults, ...Object.fromEntries(free) };
}

/** The names of the values that are given. */
function namesSet(given: unknown): ReadonlySet<string> {
  const set = isPlainObject(given) ? Object.entries(given).filter(([, value]) => value !== undefined) : [];
  return new Set(set.map(([name]) => name));
}

function readAudit(given: unknown, problems: Problems): ResolvedAudit {
  const before = problems.wrong.length;
  const audit = readOptions(auditFields, given, 'audit', problems);
  const isOff = audit.path === undefined && isPlainObject(given) && Object.keys(given).length > 0;
  if (isOff && problems.wrong.length === before) problems.wrong.push('audit.path must be set, else nothing is written');
  return audit;
}
