import { spawnSync } from 'node:child_process';
import { delimiter, isAbsolute, join } from 'node:path';
import type { CommandLine } from '../wrapper.js';
import { isExecutable } from './command.js';

const PROBE_TIMEOUT = 2_000;
const USUAL_FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

let known: string | undefined;

/** The command behind `setpriv`, which takes from it, for good, the right to gain privileges by exec. Undefined where there is none. */
export function withoutNewPrivileges({ file, args }: CommandLine): CommandLine | undefined {
  known ??= findSetpriv();
  return known === undefined ? undefined : { file: known, args: ['--no-new-privs', file, ...args] };
}

/** In the PATH of the host, or where it usually is. That of busybox may lack the option: tried out, once. */
export function findSetpriv(path = process.env.PATH ?? ''): string | undefined {
  const folders = [...path.split(delimiter).filter(isAbsolute), ...USUAL_FOLDERS];
  return folders.map((folder) => join(folder, 'setpriv')).find((file) => isExecutable(file) && works(file));
}

/** It shows itself what it is started with. */
function works(file: string): boolean {
  const args = ['--no-new-privs', file, '--dump'];
  const { stdout } = spawnSync(file, args, { env: {}, encoding: 'latin1', timeout: PROBE_TIMEOUT });
  return /^no_new_privs: 1$/m.test(stdout ?? '');
}
