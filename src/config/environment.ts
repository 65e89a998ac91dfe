import { namesOf, PoolError, titleOf } from '../errors.js';
import { readEnvironment } from './env-source.js';
import type { ResolvedDefinition } from './options.js';

/**
 * The variables that every server inherits from the host, the same as with the MCP SDK. All others may be secrets: they
 * reach a server only through `env` of its definition, or by name through `inheritEnv`.
 */
export const INHERITED: readonly string[] =
  process.platform === 'win32'
    ? [
        'APPDATA',
        'HOMEDRIVE',
        'HOMEPATH',
        'LOCALAPPDATA',
        'PATH',
        'PROCESSOR_ARCHITECTURE',
        'SYSTEMDRIVE',
        'SYSTEMROOT',
        'TEMP',
        'USERNAME',
        'USERPROFILE',
        'PROGRAMFILES',
      ]
    : ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER'];

/**
 * The environment of a server: the allow-list, the variables that `inheritEnv` names, and `env`, which replaces both.
 * @param host where the inherited values come from
 */
export function resolveEnvironment(
  env: Readonly<Record<string, string>>,
  inheritEnv: readonly string[],
  host: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  // By entries, not by assignment: a variable may have the name of a property of every object.
  const inherited = [...INHERITED, ...inheritEnv].flatMap((key): [string, string][] => {
    const value = Object.hasOwn(host, key) ? host[key] : undefined;
    // A value that starts with "()" is an exported shell function: code that a shell of the server would run. The SDK skips it, too.
    return value === undefined || value.startsWith('()') ? [] : [[key, value]];
  });
  return Object.fromEntries([...inherited, ...Object.entries(env)]);
}

/**
 * The environment that a server gets when it is started now, as far as it is known: without what a function returns. The host may
 * have changed its own since it made the pool.
 */
export function knownEnvironment({ env, inheritEnv }: Pick<ResolvedDefinition, 'env' | 'inheritEnv'>) {
  return resolveEnvironment(typeof env === 'function' ? {} : env, inheritEnv);
}

/**
 * A definition with the environment that its server gets when it is started now: all that a launcher has to know. Calls the
 * function that `env` may be.
 * @throws PoolError `SPAWN_FAILED` when that fails
 */
export function withEnvironment(definition: ResolvedDefinition) {
  const env = variablesOf(definition);
  return { ...definition, env, resolvedEnv: resolveEnvironment(env, definition.inheritEnv) };
}

function variablesOf(definition: ResolvedDefinition): Readonly<Record<string, string>> {
  try {
    return readEnvironment(definition.env);
  } catch (error) {
    const { message, cause } = error as Error;
    throw new PoolError(
      'SPAWN_FAILED',
      `${titleOf(definition)} could not be started: ${message}`,
      namesOf(definition),
      cause,
    );
  }
}
