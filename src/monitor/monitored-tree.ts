import type { Priority } from '../config/resource-options.js';
import type { DetailedUsage, TreeUsage } from '../process/usage/tree-usage.js';

/** What one tree may use, as the host has set it. Undefined, or `Infinity`: no limit. */
export interface TreeLimits {
  /** Unique memory, MB. */
  readonly memoryMB?: number | undefined;
  /** Percent of one core, over `cpuWindow`. */
  readonly cpuPercent?: number | undefined;
  /** How long the CPU limit must be exceeded, ms. */
  readonly cpuWindow?: number | undefined;
  /** Living processes. */
  readonly processes?: number | undefined;
}

/**
 * Where a tree is in its life. What it has and uses while it is `starting` is a start. `leaving`: it ends with its last lease.
 * `ending`: its end has begun. `overdue`: that has not succeeded in its time, so nothing of it comes free by itself. `foreign`: the
 * pool has not started it, so it is only measured.
 */
export type TreePhase = 'starting' | 'ready' | 'leaving' | 'ending' | 'overdue' | 'foreign';

/** One server tree as the monitor sees it. A pool has one for each instance; `monitor.add()` makes one. */
export interface MonitoredTree {
  readonly id: string;
  readonly name: string;
  readonly priority: Priority;
  readonly limits: TreeLimits;
  /** How many processes it is expected to have; undefined: what the first sample after it was ready shows, or later ones for 60 s. */
  readonly expectedProcesses: number | undefined;
  readonly phase: TreePhase;
  /** How long its end may take by its graces, ms. Default: 0. */
  readonly endGrace?: number | undefined;
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

/** Tells trees apart: a host may give an added tree the id of an instance. */
export function keyOf({ id, phase }: Pick<MonitoredTree, 'id' | 'phase'>): string {
  return phase === 'foreign' ? `added ${id}` : id;
}

/** A limit of all trees together, and whether the host has set it: only then a tree with a lease is replaced for it. */
export interface TotalLimit {
  readonly limit: number;
  readonly isSet: boolean;
}

/** Limits of all trees together. */
export interface TotalLimits {
  readonly memoryMB: TotalLimit;
  readonly cpuPercent: TotalLimit;
}
