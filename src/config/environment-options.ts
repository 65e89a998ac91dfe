import { alertFields } from './alert-options.js';
import { cleanupFields } from './call-options.js';
import { describeValue, type Field, flag } from './fields.js';
import { healthFields } from './health-options.js';
import { limitFields } from './limit-options.js';
import { monitoringFields } from './monitoring-options.js';
import { nearest } from './nearest.js';
import { type PoolOptions, poolFields } from './options.js';
import { type Problems, refuse } from './read-options.js';
import { typed } from './snapshot.js';

/** Result of `optionsFromEnvironment()`. */
export interface EnvironmentOptions {
  /** Whether the host should use the pool at all (`…LIFECYCLE_ENABLED`). Default: true. */
  readonly enabled: boolean;
  /** The options that the variables set, and no others. */
  readonly options: Pick<PoolOptions, 'limits' | 'defaults' | 'monitoring' | 'alerts' | 'cleanup' | 'shutdownTimeout'>;
}

/** What a variable sets: its place in the result, and its row in the table of options. */
interface Row {
  readonly path: readonly [string, ...string[]];
  readonly field: Field<unknown>;
}

/**
 * The variables without their prefix. The names are those of the proposal after metatool-ai/metamcp#162, so that an operator of
 * it changes nothing.
 */
export const VARIABLES: Readonly<Record<string, Row>> = {
  LIFECYCLE_ENABLED: { path: ['enabled'], field: flag(true) },
  MAX_PROCESSES: { path: ['options', 'limits', 'maxProcesses'], field: limitFields.maxProcesses },
  MEMORY_LIMIT_MB: { path: ['options', 'limits', 'memoryLimitMB'], field: limitFields.memoryLimitMB },
  HEALTH_CHECK_INTERVAL: { path: ['options', 'defaults', 'health', 'interval'], field: healthFields.interval },
  RESOURCE_MONITORING: { path: ['options', 'monitoring', 'enabled'], field: monitoringFields.enabled },
  ALERT_ENABLED: { path: ['options', 'alerts', 'enabled'], field: alertFields.enabled },
  CLEANUP_TIMEOUT: { path: ['options', 'cleanup', 'timeout'], field: cleanupFields.timeout },
  CLEANUP_RETRIES: { path: ['options', 'cleanup', 'retries'], field: cleanupFields.retries },
  GRACEFUL_SHUTDOWN_TIMEOUT: { path: ['options', 'shutdownTimeout'], field: poolFields.shutdownTimeout },
};

/** The prefix of this package. Its variables win: who sets one means the pool, and not the host around it. */
const OWN_PREFIX = 'MCP_POOL_';
const PREFIXES = [OWN_PREFIX, 'METAMCP_'];

const WHAT = 'the environment variables';

/** The words for true and false that other programs know. */
const FLAGS: Readonly<Record<string, boolean>> = {
  true: true,
  1: true,
  yes: true,
  on: true,
  false: false,
  0: false,
  no: false,
  off: false,
};

/** A longer number is a mistake, and would become `Infinity`. */
const NUMBER = /^-?\d{1,15}(\.\d{1,15})?$/;

/**
 * Options of a pool from environment variables: `MCP_POOL_MAX_PROCESSES`, or `METAMCP_MAX_PROCESSES`, and so on
 * (docs/operations.md has all of them). Of two for one option that with `MCP_POOL_` wins. An empty one counts as not set. Units
 * are those of the options: milliseconds, MB. Source: issue 14.
 * @param env where the variables are. Default: `process.env`
 * @returns whether the pool is to be used, and only the options that are set, so that a host can put them after its own
 * @throws PoolError `INVALID_OPTIONS` that lists every wrong variable; values that are no numbers are not shown
 */
export function optionsFromEnvironment(env: NodeJS.ProcessEnv = process.env): EnvironmentOptions {
  const given = typed(() => variablesOf(env), WHAT);
  const problems: Problems = { wrong: [], unsupported: [] };
  checkNames(given, problems);
  const result: Record<string, unknown> = { enabled: true, options: {} };
  /** The variable that has set each of {@link VARIABLES}. */
  const setBy = new Map<string, string>();
  for (const [name, { path, field }] of Object.entries(VARIABLES)) {
    for (const prefix of PREFIXES) {
      const variable = prefix + name;
      const value = readText(given.get(variable), field);
      if (value === undefined) continue;
      const problem = field.check(value);
      if (problem !== undefined) problems.wrong.push(`${variable} must be ${asInVariable(problem)}`);
      // The one that loses is checked, too: it would win as soon as the other is removed.
      else if (!setBy.has(name)) put(result, path, value);
      if (!setBy.has(name)) setBy.set(name, variable);
    }
  }
  const checked = result as { enabled: boolean; options: EnvironmentOptions['options'] };
  const limit = setBy.get('MEMORY_LIMIT_MB');
  if (
    checked.options.monitoring?.enabled === false &&
    limit !== undefined &&
    checked.options.limits?.memoryLimitMB !== Infinity
  )
    problems.wrong.push(
      `${limit} must not be set where ${setBy.get('RESOURCE_MONITORING')} is false: nothing would be measured`,
    );
  refuse(problems, WHAT);
  return checked;
}

/** The variables with one of the prefixes. Entries, each read once: `env` may be an object of the host with getters. */
function variablesOf(env: unknown): ReadonlyMap<string, unknown> {
  if (typeof env !== 'object' || env === null || Array.isArray(env)) {
    const problem = `env must be an object of strings, such as process.env, got ${describeValue(env)}`;
    refuse({ wrong: [problem], unsupported: [] }, `the call of optionsFromEnvironment()`);
  }
  const names = Object.keys(env as object).filter((name) => PREFIXES.some((prefix) => name.startsWith(prefix)));
  return new Map(names.map((name) => [name, (env as Record<string, unknown>)[name]]));
}

/**
 * A misspelt variable would have no effect, and nobody would notice. Other variables with the prefix are left alone, and so are
 * those with that of a host, which may have many.
 */
function checkNames(given: ReadonlyMap<string, unknown>, { wrong }: Problems): void {
  for (const variable of given.keys()) {
    if (!variable.startsWith(OWN_PREFIX)) continue;
    const name = variable.slice(OWN_PREFIX.length);
    if (Object.hasOwn(VARIABLES, name)) continue;
    const [near] = nearest(name, Object.keys(VARIABLES), 1);
    if (near !== undefined) wrong.push(`${variable} is not a known variable; did you mean '${OWN_PREFIX}${near}'?`);
  }
}

/** What a text means for an option; the text itself where it means nothing, so that the check of the option refuses it. */
function readText(text: unknown, field: Field<unknown>): unknown {
  if (typeof text !== 'string') return text;
  const word = text.trim().toLowerCase();
  if (word === '') return undefined;
  if (typeof field.default === 'boolean') return Object.hasOwn(FLAGS, word) ? FLAGS[word] : word;
  if (word === 'infinity') return Infinity;
  return NUMBER.test(word) ? Number(word) : word;
}

/** What is wrong with an option, in the words of a variable: all of it is text, and a number has no `_`. */
function asInVariable(problem: string): string {
  return problem.replace('got a string', 'got other text').replace(/(?<=\d)_(?=\d)/g, '');
}

function put(target: Record<string, unknown>, [key, next, ...more]: readonly [string, ...string[]], value: unknown) {
  if (next === undefined) target[key] = value;
  else {
    target[key] ??= {};
    put(target[key] as Record<string, unknown>, [next, ...more], value);
  }
}
