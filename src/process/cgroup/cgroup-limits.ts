import type { CgroupLimits } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import { readGroup, writeGroup } from './cgroup-files.js';

/** One file to be written into a group. */
export interface LimitFile {
  /** The option it comes from. */
  readonly option: keyof CgroupLimits;
  readonly controller: 'memory' | 'pids' | 'cpu';
  readonly file: string;
  readonly value: string;
}

const MB = 1_048_576;
/** Microseconds within which the share of the CPU is counted: the kernel's default. */
const CPU_PERIOD = 100_000;

/** What is to be written for the limits that were given. */
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
 * Lets the groups below `folder` have limits of `controller`. Changed are the `cgroup.subtree_control` of `folder`, which is
 * ours, and of `parent`, so that `folder` has the controller itself. The kernel allows the latter only where `parent`
 * holds no process, or is the root of all: so never in the group in which the host runs, other than the root. It stays
 * on: other groups below `parent` may count on it by then.
 * @returns why it could not be had
 */
export function enableController(parent: string, folder: string, controller: string): string | undefined {
  if (has(folder, 'cgroup.subtree_control', controller)) return undefined;
  if (!has(folder, 'cgroup.controllers', controller)) {
    if (!has(parent, 'cgroup.controllers', controller)) {
      return `the controller '${controller}' is not delegated to ${parent}`;
    }
    const refused = attempt(parent, 'cgroup.subtree_control', `+${controller}`);
    if (refused === 'EBUSY') {
      return `the controller '${controller}' cannot be enabled in ${parent}, which holds processes; start the host in a group below it (systemd: DelegateSubgroup=), or name another as cgroupParent`;
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

/** The errno by which the kernel refuses, if it does. */
function attempt(folder: string, file: string, value: string): string | undefined {
  try {
    writeGroup(folder, file, value);
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? 'unknown error';
  }
}

function has(folder: string, file: string, word: string): boolean {
  return readGroup(folder, file).trim().split(' ').includes(word);
}
