/**
 * Which variables of the host a server inherits without being told to: those that the MCP SDK passes on. Everything
 * else, secrets above all, reaches a server only through `env` or by name through `inheritEnv` of its definition.
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

/** The environment of a server: the allow-list, what `inheritEnv` names, and `env` over both. */
export function resolveEnvironment(
  env: Readonly<Record<string, string>>,
  inheritEnv: readonly string[],
  host: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const resolved: Record<string, string> = {};
  for (const key of [...INHERITED, ...inheritEnv]) {
    const value = host[key];
    // A value that starts with "()" is an exported shell function: code, which a shell of the server would run.
    if (value !== undefined && !value.startsWith('()')) resolved[key] = value;
  }
  return Object.assign(resolved, env);
}
