import type { AddedTree } from '../config/added-tree.js';
import { readLabel } from '../config/arguments.js';
import type { MonitoringOptions, ResolvedMonitoring } from '../config/monitoring-options.js';
import { resolveMonitoringOptions } from '../config/resolve-monitoring.js';
import { currentPlatform } from '../process/platforms/current-platform.js';
import { systemClock } from '../runtime/clock.js';
import { AddedTrees } from './added-trees.js';
import { defaultMemoryLimitMB } from './host/auto-limits.js';
import { MonitorLoop } from './monitor-loop.js';
import type { TreeSource } from './monitored-host.js';

/** What the monitor of a pool is made from. */
export interface MonitorOfPool {
  readonly settings: ResolvedMonitoring;
  readonly source: TreeSource;
}

/**
 * Knows what process trees and their host cost, and tells an explosion or a leak while it is small. Alone it only reports:
 * `add()` what you want to be measured, then `start()`, or call `sample()`. In a pool it is `pool.monitor`, which measures the
 * servers of the pool by itself.
 */
export class ResourceMonitor extends MonitorLoop {
  readonly #added: AddedTrees;

  /**
   * @param options as `monitoring` of a pool. Default: none
   * @param pool for the monitor of a pool, instead of `options`
   * @throws PoolError `INVALID_OPTIONS`; `NOT_SUPPORTED` where the processes of the system cannot be listed
   */
  constructor(options: MonitoringOptions = {}, pool?: MonitorOfPool) {
    const added = new AddedTrees(currentPlatform());
    super(pool?.settings ?? resolveMonitoringOptions(options), withAdded(added, pool?.source ?? ALONE));
    this.#added = added;
  }

  /**
   * Measures one more process tree: the process with that pid and its descendants, also when they outlive it, until nothing of
   * it lives. The pid counts for the process that has it now. Nothing of it ever gets a signal, and in a pool it counts for no
   * limit and no level.
   * @throws PoolError `INVALID_OPTIONS` when no process has the pid, the id is taken, or a value is wrong; `NOT_SUPPORTED`
   */
  add(tree: AddedTree): void {
    this.#added.add(tree);
  }

  /**
   * Measures a tree no more that `add()` has added.
   * @returns false when none has this id
   * @throws PoolError `INVALID_OPTIONS` when the id is no string
   */
  remove(id: string): boolean {
    return this.#added.remove(readLabel(id, 'id', 'monitor.remove()'));
  }
}

/** Without a pool there is nothing but what is added. */
const ALONE: TreeSource = {
  isPool: false,
  clock: systemClock,
  trees: () => [],
  strays: () => 0,
  limits: (host) => ({
    memoryMB: { limit: defaultMemoryLimitMB(host), isSet: false },
    cpuPercent: { limit: Infinity, isSet: false },
  }),
};

function withAdded(added: AddedTrees, source: TreeSource): TreeSource {
  return {
    isPool: source.isPool,
    clock: source.clock,
    outbox: source.outbox,
    trees: () => [...source.trees(), ...added.list()],
    strays: () => source.strays(),
    limits: (host) => source.limits(host),
  };
}
