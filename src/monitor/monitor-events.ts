import type { LevelAction } from '../config/monitoring-options.js';
import type { ListenerError } from '../events.js';
import type { Level } from './level.js';
import type { ResourceSample } from './resource-sample.js';

/**
 * What a limit limits: unique memory (MB), CPU (percent of one core), living processes; of one tree, or of all together.
 * `host-memory`: of the host, in percent (`hostMemoryPercent`). `folder`: a folder with a budget, in MB.
 */
export type LimitKind = 'memory' | 'cpu' | 'processes' | 'total-memory' | 'total-cpu' | 'host-memory' | 'folder';

/** What a monitor does, or asks its pool to do. `call-host`: `onEmergency`, or the function of a folder, is called. */
export type MonitorAction =
  | LevelAction
  /** New starts wait, since the servers use as much memory as they may. */
  | 'hold-starts'
  /** Starts neither wait nor are refused any more. */
  | 'free-starts'
  /** The oldest files of a folder are deleted. */
  | 'prune'
  /** A tree is replaced: it is over a limit of the host, or leaks. */
  | 'replace';

/** A limit that a value has passed. `name` and `instanceId`: of the tree; undefined for a limit of all together. */
export interface LimitEvent {
  /** Which limit. */
  readonly kind: LimitKind;
  /** Name of the server; undefined for a limit of all together. */
  readonly name?: string | undefined;
  /** The process tree; undefined for a limit of all together. */
  readonly instanceId?: string | undefined;
  /** Of a folder. */
  readonly path?: string | undefined;
  /** MB, percent of one core, processes; for `host-memory` percent of the memory of the host. */
  readonly value: number;
  /** In the same unit. */
  readonly limit: number;
}

/** The memory of a tree grows, and does not come back. */
export interface LeakEvent {
  /** Name of the server. */
  readonly name: string;
  /** The process tree. */
  readonly instanceId: string;
  /** MB per hour. */
  readonly slopeMBPerHour: number;
}

/** The events of a {@link ResourceMonitor}, with the payload of each. A pool emits all but `sample:taken`, too. */
export interface MonitorEvents {
  /** A sample was taken. */
  'sample:taken': ResourceSample;
  /**
   * The level has changed. `measured`: processes beyond what is expected, or MB of all trees (`by`), now. `threshold`: where `to`
   * begins; when the level falls, where `from` begins, the level that is left. More than that can be measured then only after
   * `stop()`, which ends each level, and in a spike of memory, which does not count. `names`: the servers that have most of it,
   * the first the most.
   */
  'level:changed': {
    readonly from: Level;
    readonly to: Level;
    readonly measured: number;
    readonly threshold: number;
    readonly by: 'processes' | 'memory';
    readonly names: readonly string[];
  };
  /** A limit is exceeded: over a long and a short window, and the value does not fall fast. */
  'limit:exceeded': LimitEvent;
  /** It is no longer exceeded. */
  'limit:recovered': LimitEvent;
  /** So many `processes` were added within `within` ms. `names`: of the servers that grow, the first the most. */
  'growth:detected': { readonly processes: number; readonly within: number; readonly names: readonly string[] };
  /** The memory of a tree seems to leak. */
  'leak:suspected': LeakEvent;
  /** It has gone on. */
  'leak:confirmed': LeakEvent;
  /** Something was done, or, with `dryRun`, would have been done. `reason`: in words, with the figure. */
  'action:taken': {
    readonly action: MonitorAction;
    readonly level?: Level | undefined;
    readonly reason: string;
    readonly name?: string | undefined;
    readonly instanceId?: string | undefined;
    /** Of a folder. */
    readonly path?: string | undefined;
    readonly dryRun: boolean;
  };
  /**
   * Something cannot be measured on this host, so less is seen. Emitted once for each part until it works again; trees and
   * what is in none (`unclaimed`) that fail for one cause are one event (`trees`).
   */
  'monitor:degraded': { readonly part: string; readonly reason: string; readonly consequence: string };
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}
