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
  const resolved: Record<string, string> = {};
  for (const key of [...INHERITED, ...inheritEnv]) {
    const value = host[key];
    // A value that starts with "()" is an exported shell function: code that a shell of the server would run. The SDK skips it, too.
    if (value !== undefined && !value.startsWith('()')) resolved[key] = value;
  }
  return Object.assign(resolved, env);
}

/** The environment that a server gets when it is started now. The host may have changed its own since it made the pool. */
export function environmentOf({ env, inheritEnv }: Pick<ResolvedDefinition, 'env' | 'inheritEnv'>) {
  return resolveEnvironment(env, inheritEnv);
}

/** A definition with the environment that its server gets when it is started now: all that a launcher has to know. */
export function withEnvironment<D extends Pick<ResolvedDefinition, 'env' | 'inheritEnv'>>(definition: D) {
  return { ...definition, resolvedEnv: environmentOf(definition) };
}
