import { spawnSync } from 'node:child_process';
import { accessSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../../errors.js';
import { hostMark } from '../marks/marker.js';
import { usableShell, wrap } from '../wrapper.js';
import { readCgroupFile } from './cgroup-files.js';
import { cgroupMounts, folderOf, ownCgroup, unitAround } from './cgroup-location.js';
import { HostCgroup } from './host-cgroup.js';
import { joinCgroup } from './instance-cgroup.js';

/** Why no cgroup can be made, and what to do about it. */
export interface NoCgroup {
  readonly problem: string;
}

/** Finds where the cgroups of this host's servers are made. */
export type CgroupFinder = (parent?: string) => HostCgroup | NoCgroup;

const PROBE_TIMEOUT = 2_000;
const SHELL_ERRORS = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ETIMEDOUT'];

const found = new Map<string, HostCgroup | NoCgroup>();

/**
 * Tries the given place; without one, the unit above the host and the host's own cgroup. The result is kept for each
 * place.
 */
export const findCgroup: CgroupFinder = (parent = '') => {
  const known = found.get(parent);
  if (known) return known;
  const result = parent === '' ? firstThatWorks(places()) : tryOut(parent);
  // A lack of descriptors or memory may be over at the next start.
  if (result instanceof HostCgroup || !result.passing) found.set(parent, result);
  return result;
};

/** Makes the next start probe again, because the host may have been moved to another cgroup. */
export function forgetCgroups(): void {
  found.clear();
}

interface Failure extends NoCgroup {
  /** The next attempt may succeed. */
  readonly passing?: boolean;
}

function firstThatWorks(candidates: string[] | Failure): HostCgroup | Failure {
  if (!Array.isArray(candidates)) return candidates;
  let failure: Failure = { problem: 'no folder of cgroup2 shows the cgroup of this process' };
  for (const parent of candidates) {
    const result = tryOut(parent);
    if (result instanceof HostCgroup) return result;
    failure = result;
  }
  return failure;
}

/** The candidates, best first. */
function places(): string[] | Failure {
  try {
    const own = ownCgroup(readFileSync('/proc/self/cgroup', 'utf8'));
    const mounts = cgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
    if (own === undefined || mounts.length === 0) return { problem: 'no cgroup2 file system is mounted' };
    const unit = unitAround(own);
    const folders = (path: string) => mounts.map((mount) => folderOf(path, mount)).filter((one) => one !== undefined);
    // A bind mount from elsewhere may have the path of our cgroup; then our pid is not in it.
    const ours = folders(own).filter((folder) => lines(folder).includes(String(process.pid)));
    // Below a cgroup that holds processes there are no limits, so such a unit is no better than our own cgroup.
    const around = unit === undefined ? [] : folders(unit).filter((folder) => existsSync(folder) && isEmpty(folder));
    return [...around, ...ours];
  } catch (error) {
    return { problem: `the cgroup of this process cannot be read: ${messageOf(error)}`, passing: true };
  }
}

function lines(folder: string): string[] {
  return readCgroupFile(folder, 'cgroup.procs').split('\n');
}

function isEmpty(folder: string): boolean {
  return readCgroupFile(folder, 'cgroup.procs') === '';
}

/** Makes a cgroup and joins it, because the permissions depend on owners, namespaces, mounts and security modules. */
function tryOut(parent: string): HostCgroup | Failure {
  const host = new HostCgroup(parent, hostMark());
  if (!existsSync(join(parent, 'cgroup.procs'))) return { problem: `${parent} is no folder of cgroup2` };
  const shell = usableShell();
  if (shell === undefined) return { problem: 'there is no usable /bin/sh by which a server could join it' };
  try {
    const { cgroup } = host.make('probe');
    try {
      accessSync(join(cgroup.folder, 'cgroup.kill'));
      const line = wrap(shell, [joinCgroup(cgroup.folder)], {
        file: shell.path,
        args: ['-c', IS_IN, 'sh', cgroup.folder],
      });
      const { status, error } = spawnSync(line.file, line.args, { env: {}, stdio: 'ignore', timeout: PROBE_TIMEOUT });
      if (status === 0) return host;
      const passing = SHELL_ERRORS.includes(errnoOf(error) ?? '');
      return { problem: `a process could not join a cgroup below ${parent}; ${ADVICE}`, passing };
    } finally {
      cgroup.remove();
    }
  } catch (error) {
    const errno = errnoOf(error) ?? messageOf(error);
    if (errno === 'ENOENT') return { problem: 'the kernel has no cgroup.kill; it came with Linux 5.14' };
    return { problem: `no cgroup can be made below ${parent} (${errno}); ${ADVICE}`, passing: errno === 'EMFILE' };
  }
}

const IS_IN = 'while read -r pid; do [ "$pid" = "$$" ] && exit 0; done <"$1/cgroup.procs"; exit 3';

const ADVICE =
  'start the host in a cgroup that is delegated to it (systemd: Delegate=yes), or name one as cgroupParent';
