import { errnoOf, messageOf, PoolError } from '../../errors.js';
import type { LaunchSpec } from '../launcher.js';

const ADVICE: Readonly<Record<string, string>> = {
  E2BIG: 'its args and env are larger than the operating system allows; pass large data in a file',
  EMFILE: 'this host has no file descriptor left; raise its limit (ulimit -n), or lower limits.maxProcesses',
  ENFILE: 'the machine has no file descriptor left',
  EAGAIN:
    'the limit of processes is reached (ulimit -u, or pids.max of the container); lower limits.maxProcesses or raise it',
  ENOMEM: 'the machine has no memory left for another process',
  ENOENT: 'the interpreter named in its first line (#!) does not exist',
  ENOEXEC: 'it is no program; a script needs a first line that names its interpreter (#!)',
  EACCES: 'it, or the interpreter named in its first line (#!), may not be executed',
};

/** The error of a start that the operating system refused: what it means, and what to do about it. */
export function spawnError({ name, command }: Pick<LaunchSpec, 'name' | 'command'>, error: unknown): PoolError {
  const errno = errnoOf(error);
  const why = (errno && ADVICE[errno]) ?? messageOf(error);
  return new PoolError(
    'SPAWN_FAILED',
    `server '${name}': '${command}' could not be started${errno ? ` (${errno})` : ''}: ${why}`,
    { name, errno },
    // No cause: Node's error carries all arguments, which may be large, or secret.
  );
}
