import type { HostMemory } from './host-sample.js';
import type { CgroupChain } from './own-cgroups.js';
import { inMB, limitIn, numberOf, type SystemFiles, wholeNumber } from './system-files.js';

/** What Node knows of the memory where there is no /proc; bytes. */
export interface SystemMemory {
  readonly total: number;
  readonly available: number;
  /** Of the container; 0, or more than the machine has, where there is none. */
  readonly limit: number;
}

/** Memory that can be used up to a limit; bytes. */
interface Bound {
  readonly limit: number;
  readonly left: number | undefined;
}

/** The memory of the machine and of each cgroup around this process that limits it. */
export function readMemory(files: SystemFiles, chain: CgroupChain, system: () => SystemMemory): HostMemory | undefined {
  const machine = ofMachine(files, system);
  const groups = (chain.version === 1 ? ofVersion1 : ofVersion2)(files, chain.folders, machine?.limit ?? Infinity);
  return memoryWithin(machine, groups);
}

function memoryWithin(machine: Bound | undefined, groups: readonly Bound[]): HostMemory | undefined {
  const bounds = machine === undefined ? groups : [machine, ...groups];
  const total = Math.min(...bounds.map(({ limit }) => limit));
  if (total === Infinity) return undefined;
  const from = total === machine?.limit ? 'machine' : 'container';
  const lefts = bounds.map(({ limit, left }) => (left === undefined ? undefined : Math.min(left, limit)));
  // Of one that is not known it could be the least.
  if (lefts.includes(undefined)) return { totalMB: inMB(total), from };
  const available = Math.min(total, ...lefts.map((left = 0) => left));
  // Of two that are as full the smaller one: less must come free.
  const fullest = bounds.reduce((most, bound) => {
    const more = usedOf(bound) - usedOf(most);
    return more > 0 || (more === 0 && bound.limit < most.limit) ? bound : most;
  });
  return {
    ...{ totalMB: inMB(total), availableMB: inMB(available), usedPercent: Math.round(usedOf(fullest) * 10) / 10 },
    ...(fullest.limit === total ? {} : { fullestMB: inMB(fullest.limit) }),
    from,
  };
}

/** In percent. */
function usedOf({ limit, left = 0 }: Bound): number {
  return Math.max(0, 100 * (1 - left / limit));
}

const KB = 1_024;

function ofMachine(files: SystemFiles, system: () => SystemMemory): Bound | undefined {
  const meminfo = files.read('/proc/meminfo');
  const total = numberOf(meminfo, 'MemTotal:');
  if (total !== undefined && total > 0) {
    const available = numberOf(meminfo, 'MemAvailable:');
    return { limit: total * KB, left: available === undefined ? undefined : available * KB };
  }
  const { total: all, limit, available } = system();
  const most = limit > 0 ? Math.min(limit, all) : all;
  if (most <= 0) return undefined;
  // Without this file Node takes copies of files for used, so that the machine would seem to be full.
  return { limit: most, left: files.has('/proc/meminfo') ? undefined : available };
}

function ofVersion2(files: SystemFiles, folders: readonly string[], machine: number): Bound[] {
  return folders.flatMap((folder) => {
    // Above `memory.high` the kernel slows processes down until they need less.
    const limits = ['memory.max', 'memory.high'].map((file) => limitIn(files.read(`${folder}/${file}`)) || Infinity);
    const limit = Math.min(...limits);
    // One that is above the machine limits nothing.
    return limit >= machine || limit === Infinity ? [] : [{ limit, left: leftOf(limit, () => usage2(files, folder)) }];
  });
}

function usage2(files: SystemFiles, folder: string): Usage {
  const [used, stat] = ['current', 'stat'].map((file) => files.read(`${folder}/memory.${file}`));
  return [wholeNumber(used), numberOf(stat, 'inactive_file')];
}

/**
 * Version 1 shows the smallest limit of all cgroups that count: also of those that are not visible in a container; but not
 * of those above one without `use_hierarchy`.
 */
function ofVersion1(files: SystemFiles, folders: readonly string[], machine: number): Bound[] {
  const [own, top] = [folders[0], folders.at(-1)];
  if (own === undefined || top === undefined) return [];
  const smallest = numberOf(files.read(`${own}/memory.stat`), 'hierarchical_memory_limit') || undefined;
  const bounds = folders.flatMap((folder) => {
    const limit = wholeNumber(files.read(`${folder}/memory.limit_in_bytes`)) || Infinity;
    const counts = limit < machine && limit !== Infinity && limit >= (smallest ?? 0);
    return counts ? [{ limit, left: leftOf(limit, () => usage1(files, folder)) }] : [];
  });
  if (smallest === undefined || smallest >= Math.min(machine, ...bounds.map(({ limit }) => limit))) return bounds;
  // What others use of it is not visible.
  return [...bounds, { limit: smallest, left: leftOf(smallest, () => usage1(files, top)) }];
}

function usage1(files: SystemFiles, folder: string): Usage {
  const [used, stat] = ['usage_in_bytes', 'stat'].map((file) => files.read(`${folder}/memory.${file}`));
  return [wholeNumber(used), numberOf(stat, 'total_inactive_file')];
}

type Usage = readonly [used: number | undefined, inactive: number | undefined];

function leftOf(limit: number, usage: () => Usage): number | undefined {
  const [used, inactive = 0] = usage();
  return used === undefined ? undefined : Math.max(0, limit - Math.max(0, used - inactive));
}
