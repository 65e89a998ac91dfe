import type { CgroupLimits } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import { readCgroupFile, writeCgroupFile } from './cgroup-files.js';

/** One limit as a file of a cgroup. */
export interface LimitFile {
  /** The option it comes from. */
  readonly option: keyof CgroupLimits;
  readonly controller: 'memory' | 'pids' | 'cpu';
  readonly file: string;
  readonly value: string;
}

const MB = 1_048_576;
/** The period to which the share of CPU time relates, in µs: the kernel's default. */
const CPU_PERIOD = 100_000;

/** The files to write for the limits that are set. */
export function limitFiles({ memoryMB, swapMB, processes, cpuPercent }: CgroupLimits): LimitFile[] {
  const all: (Omit<LimitFile, 'value'> & { readonly value: string | undefined })[] = [
    { option: 'memoryMB', controller: 'memory', file: 'memory.max', value: bytes(memoryMB) },
    { option: 'swapMB', controller: 'memory', file: 'memory.swap.max', value: bytes(swapMB) },
    { option: 'processes', controller: 'pids', file: 'pids.max', value: processes?.toString() },
    { option: 'cpuPercent', controller: 'cpu', file: 'cpu.max', value: cpuShare(cpuPercent) },
  ];
  return all.filter((one): one is LimitFile => one.value !== undefined);
}

function bytes(megabytes: number | undefined): string | undefined {
  return megabytes === undefined ? undefined : String(Math.floor(megabytes * MB));
}

function cpuShare(percent: number | undefined): string | undefined {
  return percent === undefined ? undefined : `${Math.round((percent / 100) * CPU_PERIOD)} ${CPU_PERIOD}`;
}

/**
 * Enables limits of `controller` in the cgroups below `folder`. This changes the `cgroup.subtree_control` of `folder`,
 * which is ours, and that of `parent`, because `folder` needs the controller itself. The kernel allows the change of
 * `parent` only if that holds no process or is the root cgroup: so never in the cgroup of the host, unless that is the
 * root. The controller stays enabled, because other cgroups below `parent` may depend on it by then.
 * @returns why it could not be enabled
 */
export function enableController(parent: string, folder: string, controller: string): string | undefined {
  if (has(folder, 'cgroup.subtree_control', controller)) return undefined;
  if (!has(folder, 'cgroup.controllers', controller)) {
    if (!has(parent, 'cgroup.controllers', controller)) {
      return `the controller '${controller}' is not delegated to ${parent}`;
    }
    const refused = attempt(parent, 'cgroup.subtree_control', `+${controller}`);
    if (refused === 'EBUSY') {
      return `the controller '${controller}' cannot be enabled in ${parent}, which holds processes; start the host in a cgroup below it (systemd: DelegateSubgroup=), or name another as cgroupParent`;
    }
    if (refused) return `the controller '${controller}' cannot be enabled in ${parent} (${refused})`;
  }
  const refused = attempt(folder, 'cgroup.subtree_control', `+${controller}`);
  return refused && `the controller '${controller}' cannot be enabled in ${folder} (${refused})`;
}

/** Writes one limit. @returns why it could not be set */
export function setLimit(folder: string, { file, value }: LimitFile): string | undefined {
  const refused = attempt(folder, file, value);
  return refused && `${file} cannot be set to ${value} (${refused})`;
}

/** Returns the errno when the kernel refuses the write. */
function attempt(folder: string, file: string, value: string): string | undefined {
  try {
    writeCgroupFile(folder, file, value);
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? 'unknown error';
  }
}

function has(folder: string, file: string, word: string): boolean {
  return readCgroupFile(folder, file).trim().split(' ').includes(word);
}
