import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import { messageOf } from '../errors.js';
import { SafeEmitter } from '../events.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { Clock, Timer } from '../runtime/clock.js';
import type { Outbox } from '../runtime/outbox.js';
import { Assessment, type Measurement, type Outcome } from './assessment.js';
import type { PoolDeed, StartRules, TreeDeed } from './finding.js';
import { HostSampler } from './host/host-sampler.js';
import type { MonitorEvents } from './monitor-events.js';
import type { MonitoredTree, TotalLimits } from './monitored-tree.js';
import type { ResourceSample } from './resource-sample.js';
import { sampleInterval } from './sample-interval.js';

/** The trees that are measured, and what is done to them. A pool is one; `ResourceMonitor` alone only reports. */
export interface MonitoredHost {
  readonly clock: Clock;
  /** Delivers the events when the operation that caused them is complete. */
  readonly outbox?: Outbox | undefined;
  /** All trees that can be measured now. */
  trees(): readonly MonitoredTree[];
  /** Processes that belong to no living tree, and should not be there. */
  strays(): number;
  limits(): TotalLimits;
  /** Runs what follows from one sample as one operation. */
  run(task: () => void): void;
  carryOut(deed: TreeDeed): void;
  endAll(deed: PoolDeed): void;
  /** Whether new starts wait or are refused from now on. */
  setStartRules(rules: StartRules): void;
}

/** Measures trees and host again and again, emits what is found, and has done what follows from it. */
export class MonitorLoop extends SafeEmitter<MonitorEvents> {
  readonly #settings: ResolvedMonitoring;
  readonly #host: MonitoredHost;
  readonly #sampler: HostSampler;
  readonly #assessment: Assessment;
  #latest: ResourceSample | undefined;
  #sampling: Promise<ResourceSample> | undefined;
  #timer: Timer | undefined;
  #isStarted = false;
  #rules: StartRules = { shortage: undefined, overload: undefined };
  /** What could not be measured in the last sample. */
  readonly #degraded = new Set<string>();
}
