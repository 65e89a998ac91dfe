import type { Clock } from '../runtime/clock.js';
import type { Outbox } from '../runtime/outbox.js';
import type { PoolDeed, StartRules, TreeDeed } from './finding.js';
import type { HostSample } from './host/host-sample.js';
import type { MonitoredTree, TotalLimits } from './monitored-tree.js';

/** What a monitor measures. */
export interface TreeSource {
  /** Whether a pool has started its trees. Those that a host has added count for none of its limits and levels then. */
  readonly isPool: boolean;
  readonly clock: Clock;
  /** Delivers events when the operation that caused them is complete. Undefined: they are delivered at once. */
  readonly outbox?: Outbox | undefined;
  /** All trees that can be measured now. */
  trees(): readonly MonitoredTree[];
  /** How many processes belong to no living tree, and should not be there. */
  strays(): number;
  /** The limits of all trees together, on this host. */
  limits(host: HostSample): TotalLimits;
}

/** Does what follows from a sample. */
export interface Enforcer {
  /** Runs all that follows from one sample as one operation. */
  run(task: () => void): void;
  carryOut(deed: TreeDeed): void;
  endAll(deed: PoolDeed): void;
  /** Whether new starts wait or are refused from now on. */
  setStartRules(rules: StartRules): void;
}
