import type { HostSample } from '../process/host/host-sample.js';
import type { Clock } from '../runtime/clock.js';
import type { Outbox } from '../runtime/outbox.js';
import type { EndAll, GateState, TreeAction } from './finding.js';
import type { MonitoredTree, TotalLimits, TreePhase } from './monitored-tree.js';

/** What a monitor measures. */
export interface TreeSource {
  /** Whether a pool has started its trees. Those that a host has added count for none of its limits and levels then. */
  readonly isPool: boolean;
  readonly clock: Clock;
  /** Delivers events when the operation that caused them is complete. Undefined: they are delivered at once. */
  readonly outbox?: Outbox | undefined;
  /** All trees that live, or may live, now. */
  trees(): readonly MonitoredTree[];
  /** How many processes belong to no living tree, and should not be there. */
  unclaimed(): number;
  /** The limits of all trees together, on this host. */
  limits(host: HostSample): TotalLimits;
}

/** What carries out one action. */
export interface ActionTask {
  /** The phase of its trees after it. */
  readonly phase: Extract<TreePhase, 'leaving' | 'ending'>;
  run(): void;
}

/** Does what follows from a sample. */
export interface Enforcer {
  /** Whether anything may be done: not while the pool is shut down. */
  readonly isActive: boolean;
  /** Runs all that follows from one sample as one operation. */
  run(task: () => void): void;
  /** Undefined when nothing is left to do: the tree is gone, or a lease has come. It changes nothing by itself. */
  taskOf(action: TreeAction | EndAll): ActionTask | undefined;
  /** Whether new starts wait or are refused from now on. */
  setGate(gate: GateState): void;
}
