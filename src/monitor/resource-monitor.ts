import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import { MonitorLoop } from './monitor-loop.js';
import type { TreeSource } from './monitored-host.js';

/** Knows what process trees and the host cost. In a pool it is `pool.monitor`. */
export class ResourceMonitor extends MonitorLoop {
  constructor(settings: ResolvedMonitoring, source: TreeSource) {
    super(settings, source);
  }
}
