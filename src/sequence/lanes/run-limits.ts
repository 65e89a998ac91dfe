import type { ResolvedRunLimits } from '../../config/lane-options.js';
import type { TreeUsage } from '../../process/usage/tree-usage.js';

// What a command may use, decided from samples. No clock, no effect.

/** The most that the tree of a command has used at one moment, as far as samples show it; of CPU time all that it has used. */
export interface RunPeak {
  /** Most unique memory of the tree, in MB. */
  readonly memoryMB: number;
  /** Living processes. */
  readonly processes: number;
  /** Ms. */
  readonly cpuTime: number;
}

/** Of a command that has been started. */
export const FIRST_PEAK: RunPeak = { memoryMB: 0, processes: 1, cpuTime: 0 };

export function higher(peak: RunPeak, { memoryMB, processes, cpuTime }: TreeUsage): RunPeak {
  return {
    memoryMB: Math.max(peak.memoryMB, memoryMB),
    processes: Math.max(peak.processes, processes),
    cpuTime: Math.max(peak.cpuTime, cpuTime),
  };
}

/** Which limit a tree is over; undefined when it is over none. That of the time is kept by a timer. */
export function exceededBy(usage: TreeUsage, limits: ResolvedRunLimits): keyof ResolvedRunLimits | undefined {
  // The one that harms the machine most first.
  return (['memoryMB', 'processes', 'cpuTime'] as const).find((limit) => usage[limit] > limits[limit]);
}
