/** What is expected of a pool or of one server, and what it was. */
export interface ServiceLevel {
  /** As in `serviceLevels.targets`; undefined for a level without a target. */
  readonly target: number | undefined;
  /** In the unit of its name: percent, ms, MB, or a number. Undefined when nothing was counted. */
  readonly actual: number | undefined;
  /**
   * The share that is left of what the target allows: 1: all, 0: nothing; negative: more was used than it allows. Undefined when
   * nothing was counted, or the level has no budget.
   */
  readonly budgetLeft: number | undefined;
  /** Undefined when nothing was counted, or the level has no target. */
  readonly isMet: boolean | undefined;
  /** The time that it is of, ms: up to now. It begins with a whole day, or hour for a day, so up to one earlier than that. */
  readonly window: number;
  /** How many calls, requests, times or measurements were counted. */
  readonly samples: number;
}

/** A level of times, ms, each within 1 %. `actual` is `p95`. */
export interface TimeLevel extends ServiceLevel {
  /** Half of the times are not above it; undefined when there were none. */
  readonly p50: number | undefined;
  /** The same for 95 %. */
  readonly p95: number | undefined;
  /** The same for 99 %. */
  readonly p99: number | undefined;
}

/** The levels of one server. Each is explained in docs/service-levels.md. */
export interface ServerLevels {
  /** The share of calls of `getServer()` that got a server, and of requests that got an answer of it. 30 days. */
  readonly availabilityPercent: ServiceLevel;
  /** The share of requests without an answer, or with an error of the server. 7 days. */
  readonly failurePercent: ServiceLevel;
  /** From the call of `getServer()` to the lease. A call that did not have to wait counts as 0 ms. 7 days. */
  readonly acquireTime: TimeLevel;
  /** From a request to its answer. 7 days. It has no target. */
  readonly requestTime: TimeLevel;
  /** From the failure of a server until its leases are served again. 7 days. */
  readonly restartTime: TimeLevel;
  /** From the last sign of life of a server to the check that finds it `degraded` or `unhealthy`. 7 days. */
  readonly detectionTime: TimeLevel;
  /** From the spawn of a server until it is ready. 7 days. */
  readonly startupTime: TimeLevel;
  /** From the begin of the end of a tree to the proof of its death. 7 days. */
  readonly shutdownTime: TimeLevel;
  /** Failures of servers that were ready. 7 days. */
  readonly unexpectedRestarts: ServiceLevel;
  /** Limits that were exceeded, and levels of the pool from `critical` on, apart from pressure events. 7 days. */
  readonly criticalViolations: ServiceLevel;
  /** The most unique memory that one tree had in a sample of the monitor, MB. 7 days. */
  readonly memoryMB: ServiceLevel;
}

/** The levels of a pool: those of all its servers together, and its own. */
export interface PoolLevels extends ServerLevels {
  /** How often memory of all trees or of the host came near its end: `limit:exceeded`, `level:changed` by memory. 7 days. */
  readonly pressureEvents: ServiceLevel;
  /** `alert:raised` of the last day, without those of severity `info`. */
  readonly alertsPerDay: ServiceLevel;
  /** How often the queue of callers began to grow, minute by minute. 7 days. It has no target. */
  readonly queueGrowth: ServiceLevel;
  /** Most leases at once without a queue that grows; if it grew, the fewest with which it did. 7 days. It has no budget. */
  readonly concurrentSessions: ServiceLevel;
}

/** Result of `serviceLevels()`: a copy, which does not change. */
export interface ServiceLevelReport {
  readonly pool: PoolLevels;
  /** By name, also of servers that were removed, for 30 days. At most 200. */
  readonly servers: Readonly<Record<string, ServerLevels>>;
}

/** A level with a budget that can be used up too fast. */
export type BurningLevel = 'availabilityPercent' | 'failurePercent' | 'acquireTime';

/** A service level is breached, or has recovered. */
export interface ServiceLevelEvent {
  readonly level: BurningLevel;
  /** The server; undefined for the pool. */
  readonly name?: string | undefined;
  /** Percent, or ms. */
  readonly target: number;
  /** Over the whole window of the level, in the same unit. */
  readonly actual: number;
  /** How many times as fast as it may be the budget is used up: over the window that has decided, or over the last hour. */
  readonly burnRate: number;
  /** As in `serviceLevels()`. */
  readonly budgetLeft: number;
}
