import { resolve } from 'node:path';
import { environmentOf } from './environment.js';
import type { ResolvedDefinition } from './options.js';

/**
 * Equal for processes that are interchangeable: of the same name, with everything the same that they can see, and that decides
 * which leases they may get. Contains values of variables: do not show or log it.
 * @param environment of the process. Default: what one that is started now would get from the host
 */
export function processKey(definition: ResolvedDefinition, environment = environmentOf(definition)): string {
  const { name, command, args, cwd, era, sharing, reuse } = definition;
  const { protocolVersion, clientCapabilities, clientInfo } = definition;
  const { containment, markers, rlimits, noNewPrivileges, cgroupLimits } = definition;
  const env = Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1));
  const start = [containment, markers, rlimits, noNewPrivileges, cgroupLimits];
  const handshake = [protocolVersion, clientCapabilities, clientInfo ?? null];
  return JSON.stringify([name, command, args, directory(cwd), era, sharing, reuse, handshake, env, start]);
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
