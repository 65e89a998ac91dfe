import type { Clock } from '../runtime/clock.js';
import type { Outbox } from '../runtime/outbox.js';
import type { PoolDeed, StartRules, TreeDeed } from './finding.js';
import type { MonitoredTree, TotalLimits } from './monitored-tree.js';

/** What a monitor measures, and who does what follows. A pool is one. */
export interface MonitoredHost {
  readonly clock: Clock;
  /** Delivers events when the operation that caused them is complete. */
  readonly outbox?: Outbox | undefined;
  /** All trees that can be measured now. */
  trees(): readonly MonitoredTree[];
  /** How many processes belong to no living tree, and should not be there. */
  strays(): number;
  limits(): TotalLimits;
  /** Runs all that follows from one sample as one operation. */
  run(task: () => void): void;
  carryOut(deed: TreeDeed): void;
  endAll(deed: PoolDeed): void;
  /** Calls a function of the host, when the operation is complete. */
  callBack(task: () => unknown): void;
  /** Whether new starts wait or are refused from now on. */
  setStartRules(rules: StartRules): void;
}
