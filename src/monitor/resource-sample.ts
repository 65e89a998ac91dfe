import type { HostSample } from '../process/host/host-sample.js';

/** How near a tree is to its limits: `exceeded` when it is above one of them; what just reaches a limit is `critical`. */
export type TreeLevel = 'normal' | 'warning' | 'critical' | 'exceeded';

/** What one server tree uses. */
export interface TreeSample {
  /** As in `status()`: the id of the instance; for `monitor.add()` the id that it was given. */
  readonly id: string;
  readonly name: string;
  /** Unique memory: resident less shared, of all its processes, MB. */
  readonly memoryMB: number;
  /** Resident memory of all its processes, MB. What several of them share counts for each. */
  readonly residentMB: number;
  /** CPU since the last sample, percent of one core; undefined in the first sample of a tree. */
  readonly cpuPercent: number | undefined;
  /** Living processes. */
  readonly processes: number;
  readonly zombies: number;
  readonly threads: number;
  /** Since its start, ms. */
  readonly uptime: number;
  readonly level: TreeLevel;
}

/** What all server trees and the host use at one moment. */
export interface ResourceSample {
  /** When it was taken, ms since the epoch. */
  readonly at: number;
  /** The machine, and this process. */
  readonly host: HostSample;
  /** Each tree that is measured. */
  readonly trees: readonly TreeSample[];
  readonly totals: {
    /** Living processes of all trees. */
    readonly processes: number;
    /** Those beyond what is expected: see `expectedProcesses`. */
    readonly unexpected: number;
    readonly memoryMB: number;
    /** Percent of one core. */
    readonly cpuPercent: number;
  };
}
