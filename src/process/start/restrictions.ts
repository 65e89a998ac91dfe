import { spawnSync } from 'node:child_process';
import { delimiter, isAbsolute, join } from 'node:path';
import type { ProcessLimits } from '../../config/containment-options.js';
import { type CommandLine, type Fragment, refusal } from '../wrapper.js';
import { isExecutable } from './command.js';

// What a server may not do, set before it becomes its command: limits by `ulimit`, no new privileges by `setpriv`.

const KB_PER_MB = 1_024;

/**
 * The commands of the shells. The number of processes is `-p` in dash and `-u` in bash and busybox. dash has no `-u`;
 * in the other two `-p` is the size of a pipe, which cannot be set. So the one that succeeds is the right one.
 */
const SET = {
  openFiles: 'ulimit -n "$1"',
  processes: 'ulimit -u "$1" || ulimit -p "$1"',
  addressSpaceMB: 'ulimit -v "$1"',
  core: 'ulimit -c "$1"',
  // Only the soft limit; the hard one stays as it is.
  coreAllowed: 'ulimit -S -c "$1"',
} as const;

/**
 * Sets the given limits, soft and hard, so that the server cannot raise them. A limit that cannot be set ends the
 * start.
 */
export function limitProcess({ openFiles, processes, addressSpaceMB, core }: ProcessLimits): Fragment[] {
  return [
    ...(openFiles === undefined ? [] : [fragment('openFiles', SET.openFiles, openFiles)]),
    ...(processes === undefined ? [] : [fragment('processes', SET.processes, processes)]),
    ...(core === undefined
      ? []
      : [core ? fragment('core', SET.coreAllowed, 'unlimited') : fragment('core', SET.core, 0)]),
    // Last, because the shell itself needs memory for the others.
    ...(addressSpaceMB === undefined
      ? []
      : [fragment('addressSpaceMB', SET.addressSpaceMB, Math.floor(addressSpaceMB * KB_PER_MB))]),
  ];
}

function fragment(option: keyof ProcessLimits, set: string, value: number | 'unlimited'): Fragment {
  const refused = refusal(
    `rlimits.${option} could not be set to $1 by this shell; the hard limit of the host may be lower (ulimit -H -a)`,
  );
  return { script: `{ ${set}; } 2>/dev/null || ${refused}; shift`, values: [String(value)] };
}

const PROBE_TIMEOUT = 2_000;
const USUAL_FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

let known: string | undefined;

/**
 * Runs the command by `setpriv`, so that it can never gain privileges by exec. Undefined where there is no usable
 * `setpriv`.
 */
export function withoutNewPrivileges({ file, args }: CommandLine): CommandLine | undefined {
  known ??= findSetpriv();
  return known === undefined ? undefined : { file: known, args: ['--no-new-privs', file, ...args] };
}

/**
 * Searches the PATH of the host, then the usual folders. The setpriv of busybox may lack the option, so each is probed.
 */
export function findSetpriv(path = process.env.PATH ?? ''): string | undefined {
  const folders = [...path.split(delimiter).filter(isAbsolute), ...USUAL_FOLDERS];
  return folders.map((folder) => join(folder, 'setpriv')).find((file) => isExecutable(file) && works(file));
}

/** Lets `setpriv` start itself with the option, and print its state. */
function works(file: string): boolean {
  const args = ['--no-new-privs', file, '--dump'];
  const { stdout } = spawnSync(file, args, { env: {}, encoding: 'latin1', timeout: PROBE_TIMEOUT });
  return /^no_new_privs: 1$/m.test(stdout ?? '');
}
