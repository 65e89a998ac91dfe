import { type AutoMaxProcesses, NO_MACHINE } from '../../config/limit-options.js';
import type { HostSample } from '../../process/host/host-sample.js';

/** One tree, for the calculation: a server of Node below `npx` and a shell. */
const TREE = {
  /** Own memory: 7 to 70 MB for such a server, as much again for npm above it. */
  memoryMB: 128,
  /** A process of Node has 7 to 11 threads, and each counts: npm, a shell, the server, and some to spare. */
  pids: 32,
  /** Most servers wait most of the time. */
  perCpu: 16,
} as const;

const SHARE = { memory: 0.75, pids: 0.5 } as const;

/**
 * How many process trees a host can have; the least of:
 * - memory: 75 % of what is available now, 128 MB for each tree;
 * - pids: half of what is left, 32 for each tree (each thread counts);
 * - CPUs: 16 trees for each.
 *
 * At least 1. What is not known sets no limit; if nothing is known, it is the default of `maxProcesses`.
 */
export function autoMaxProcesses({ memory, pids, cpus }: HostSample): AutoMaxProcesses {
  const allowed: AutoMaxProcesses[] = [];
  const allow = (from: AutoMaxProcesses['from'], count: number) =>
    allowed.push({ value: Math.max(1, Math.floor(count)), from });
  if (memory?.availableMB !== undefined) allow('memory', (memory.availableMB * SHARE.memory) / TREE.memoryMB);
  if (pids) allow('pids', ((pids.allowed - pids.used) * SHARE.pids) / TREE.pids);
  if (cpus) allow('cpus', cpus.allowed * TREE.perCpu);
  const [least = NO_MACHINE()] = allowed.sort((a, b) => a.value - b.value);
  return least;
}

const MOST_MEMORY = 4_096;
const MEMORY_SHARE = 0.75;

/** The default of `limits.memoryLimitMB`: 4,096, or 75 % of what the container or the machine has if that is less. */
export function defaultMemoryLimitMB({ memory }: HostSample): number {
  return memory === undefined ? MOST_MEMORY : Math.min(MOST_MEMORY, Math.floor(memory.totalMB * MEMORY_SHARE));
}
