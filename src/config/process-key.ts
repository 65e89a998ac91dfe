import { resolve } from 'node:path';
import { environmentKey } from './env-source.js';
import { knownEnvironment } from './environment.js';
import type { ResolvedDefinition } from './options.js';

/**
 * Equal for processes that are interchangeable: of the same name, with everything the same that they can see, and that decides
 * which leases they may get. Contains values of variables: do not show or log it.
 * @param environment of the process, without what a function returns. Default: what one that is started now would get
 */
export function processKey(definition: ResolvedDefinition, environment = knownEnvironment(definition)): string {
  const { name, command, args, cwd, era, sharing, reuse } = definition;
  const { protocolVersion, clientCapabilities, clientInfo } = definition;
  const { containment, markers, rlimits, noNewPrivileges, cgroupLimits } = definition;
  const env = Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1));
  const source = typeof definition.env === 'function' ? environmentKey(definition.env) : null;
  const start = [containment, markers, rlimits, noNewPrivileges, cgroupLimits];
  const handshake = [protocolVersion, clientCapabilities, clientInfo ?? null];
  return JSON.stringify([name, command, args, directory(cwd), era, sharing, reuse, handshake, env, source, start]);
}

/** The working directory that a process gets: that of the host may change, too. */
function directory(cwd: string | undefined): string | null {
  try {
    return resolve(cwd ?? '.');
  } catch {
    // That of the host was removed.
    return cwd ?? null;
  }
}
