import type { MonitoringOptions, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { MonitorLoop } from './monitor-loop.js';
import type { TreeSource } from './monitored-host.js';

/** What the monitor of a pool is made from. */
export interface MonitorOfPool {
  readonly settings: ResolvedMonitoring;
  readonly source: TreeSource;
}

/** Kept in WeakMaps, so that a monitor shows a host neither its loop nor how a pool makes it. */
const loops = new WeakMap<object, MonitorLoop>();
const pools = new WeakMap<object, MonitorOfPool>();

export function setLoop(monitor: object, loop: MonitorLoop): void {
  loops.set(monitor, loop);
}

/** What a pool calls of its monitor, and no host. */
export function loopOf(monitor: object): MonitorLoop {
  const loop = loops.get(monitor);
  if (loop === undefined) throw new TypeError('this is no ResourceMonitor');
  return loop;
}

/** Stands in for the options of the monitor of a pool, and leads to what that is made from. */
export function optionsOfPool(pool: MonitorOfPool): MonitoringOptions {
  const options = {};
  pools.set(options, pool);
  return options;
}

/** Undefined for the options of a host. */
export function poolOf(options: unknown): MonitorOfPool | undefined {
  return typeof options === 'object' && options !== null ? pools.get(options) : undefined;
}
