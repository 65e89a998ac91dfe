import type { Priority } from '../config/resource-options.js';
import type { DetailedUsage, TreeUsage } from '../process/usage/tree-usage.js';

/** A limit, and whether the host has set it: only then a tree is replaced for it. */
export interface TreeLimit {
  readonly limit: number;
  readonly isSet: boolean;
}

/** What one tree may use. Undefined: no limit. */
export interface TreeLimits {
  /** Unique memory, MB. */
  readonly memoryMB?: TreeLimit | undefined;
  /** Percent of one core, over `cpuWindow`. */
  readonly cpuPercent?: TreeLimit | undefined;
  /** How long the CPU limit must be exceeded, ms. */
  readonly cpuWindow?: number | undefined;
  /** Living processes. */
  readonly processes?: TreeLimit | undefined;
}

/**
 * Where a tree is in its life. What it has and uses while it is `starting` is a start. `leaving`: it ends with its last lease.
 * `ending`: its end has begun. `foreign`: the pool has not started it, so it is only measured.
 */
export type TreePhase = 'starting' | 'ready' | 'leaving' | 'ending' | 'foreign';

/** One server tree as the monitor sees it. A pool has one for each instance; `monitor.add()` makes one. */
export interface MonitoredTree {
  readonly id: string;
  readonly name: string;
  readonly priority: Priority;
  readonly limits: TreeLimits;
  /** How many processes it is expected to have; undefined: what it has when it is ready, raised when it stands still. */
  readonly expectedProcesses: number | undefined;
  readonly phase: TreePhase;
  /** Whether it is replaced when its memory leaks. */
  readonly replacesLeaks: boolean;
  /** Leases on it now. */
  readonly leases: number;
  /** Clock time since which it has no lease, ms. */
  readonly idleSince: number;
  /** Requests that it has answered so far; undefined where that is not known. */
  readonly answered: number | undefined;
  /** Undefined when nothing of it lives. Rejects when it cannot be measured. */
  usage(): Promise<TreeUsage | undefined>;
  /** The same, with what is too expensive for every sample. */
  detailedUsage(): Promise<DetailedUsage | undefined>;
}

/** Limits of all trees together. */
export interface TotalLimits {
  readonly memoryMB: TreeLimit;
  readonly cpuPercent: TreeLimit;
}
