import { spawnSync } from 'node:child_process';
import { accessSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../../errors.js';
import { hostMark } from '../marks/marker.js';
import { usableShell, wrap } from '../wrapper.js';
import { readGroup } from './cgroup-files.js';
import { cgroupMounts, folderOf, ownCgroup, unitAround } from './cgroup-location.js';
import { HostGroup } from './host-cgroup.js';
import { joinGroup } from './instance-cgroup.js';

/** Why no cgroup can be made, and what to do about it. */
export interface NoCgroup {
  readonly problem: string;
}

/** Finds where the cgroups of this host's servers are made. */
export type CgroupFinder = (parent?: string) => HostGroup | NoCgroup;

const PROBE_TIMEOUT = 2_000;
const SHELL_ERRORS = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ETIMEDOUT'];

const found = new Map<string, HostGroup | NoCgroup>();

/** Where on this machine: the given place, the unit around the host, or the host's own group. Tried out once for each. */
export const findCgroup: CgroupFinder = (parent = '') => {
  const known = found.get(parent);
  if (known) return known;
  const result = parent === '' ? firstThatWorks(places()) : tryOut(parent);
  // What failed for want of descriptors or memory may work with the next start.
  if (result instanceof HostGroup || !result.passing) found.set(parent, result);
  return result;
};

/** What was found holds no longer: the host was moved to another group. */
export function forgetCgroups(): void {
  found.clear();
}

interface Failure extends NoCgroup {
  readonly passing?: boolean;
}

function firstThatWorks(candidates: string[] | Failure): HostGroup | Failure {
  if (!Array.isArray(candidates)) return candidates;
  let failure: Failure = { problem: 'no folder of cgroup2 shows the group of this process' };
  for (const parent of candidates) {
    const result = tryOut(parent);
    if (result instanceof HostGroup) return result;
    failure = result;
  }
  return failure;
}

/** Best first. */
function places(): string[] | Failure {
  try {
    const own = ownCgroup(readFileSync('/proc/self/cgroup', 'utf8'));
    const mounts = cgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
    if (own === undefined || mounts.length === 0) return { problem: 'no cgroup2 file system is mounted' };
    const unit = unitAround(own);
    const folders = (path: string) => mounts.map((mount) => folderOf(path, mount)).filter((one) => one !== undefined);
    // A folder that is bind-mounted from elsewhere may have the path of our group, but it does not have us.
    const ours = folders(own).filter((folder) => lines(folder).includes(String(process.pid)));
    // One with processes cannot have limits below it, so it is no better than our own.
    const around = unit === undefined ? [] : folders(unit).filter((folder) => existsSync(folder) && isEmpty(folder));
    return [...around, ...ours];
  } catch (error) {
    return { problem: `the place of this process cannot be read: ${messageOf(error)}`, passing: true };
  }
}

function lines(folder: string): string[] {
  return readGroup(folder, 'cgroup.procs').split('\n');
}

function isEmpty(folder: string): boolean {
  return readGroup(folder, 'cgroup.procs') === '';
}

/** By really doing it: what may be written, joined and killed depends on owners, namespaces, mounts and security modules. */
function tryOut(parent: string): HostGroup | Failure {
  const host = new HostGroup(parent, hostMark());
  if (!existsSync(join(parent, 'cgroup.procs'))) return { problem: `${parent} is no folder of cgroup2` };
  const shell = usableShell();
  if (shell === undefined) return { problem: 'there is no usable /bin/sh by which a server could join it' };
  try {
    const { group } = host.make('probe');
    try {
      accessSync(join(group.folder, 'cgroup.kill'));
      const line = wrap(shell, [joinGroup(group.folder)], {
        file: shell.path,
        args: ['-c', IS_IN, 'sh', group.folder],
      });
      const { status, error } = spawnSync(line.file, line.args, { env: {}, stdio: 'ignore', timeout: PROBE_TIMEOUT });
      if (status === 0) return host;
      const passing = SHELL_ERRORS.includes(errnoOf(error) ?? '');
      return { problem: `a process could not join a group below ${parent}; ${ADVICE}`, passing };
    } finally {
      group.remove();
    }
  } catch (error) {
    const errno = errnoOf(error) ?? messageOf(error);
    if (errno === 'ENOENT') return { problem: 'the kernel has no cgroup.kill; it came with Linux 5.14' };
    return { problem: `no group can be made below ${parent} (${errno}); ${ADVICE}`, passing: errno === 'EMFILE' };
  }
}

const IS_IN = 'while read -r pid; do [ "$pid" = "$$" ] && exit 0; done <"$1/cgroup.procs"; exit 3';

const ADVICE = 'start the host in a group that is delegated to it (systemd: Delegate=yes), or name one as cgroupParent';
