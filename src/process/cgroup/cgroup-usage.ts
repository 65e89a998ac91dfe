import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { KeptFile } from '../kept-file.js';
import type { CgroupFigures } from '../usage/process-usage.js';
import { readCgroupFile, readKept } from './cgroup-files.js';

/** What of a cgroup's memory the kernel takes back when memory is short: copies of files, and what it knows of folders. */
const RECLAIMABLE = ['inactive_file', 'active_file', 'slab_reclaimable'];

/**
 * What the kernel counts for a cgroup. Memory without what it can take back at any time: a server that only reads large files
 * would seem to grow up to its limit. Processes that share memory share the count.
 * @param cpu its `cpu.stat`, if that is read often
 */
export function cgroupFigures(folder: string, hasMemory: boolean, cpu?: KeptFile): CgroupFigures {
  const micros = numberOf(cpu ? readKept(cpu) : readCgroupFile(folder, 'cpu.stat'), 'usage_usec');
  return {
    memory: hasMemory ? memoryOf(folder) : undefined,
    cpuTime: micros === undefined ? undefined : micros / 1_000,
  };
}

/** Whether a cgroup has a memory controller. One that gets it later counts only from then on. */
export function countsMemory(folder: string): boolean {
  return existsSync(join(folder, 'memory.current'));
}

function memoryOf(folder: string): number | undefined {
  const current = readCgroupFile(folder, 'memory.current');
  if (current === '') return undefined;
  const stat = readCgroupFile(folder, 'memory.stat');
  const less = RECLAIMABLE.reduce((sum, key) => sum + (numberOf(stat, key) ?? 0), 0);
  // The two files are read one after the other.
  return Math.max(0, Number(current) - less);
}

/** The value of a key in lines `key value`. */
function numberOf(text: string, key: string): number | undefined {
  const match = new RegExp(`^${key} (\\d+)$`, 'm').exec(text);
  return match === null ? undefined : Number(match[1]);
}
