/** Counts since the pool was made. */
export interface PoolCounts {
  /** Trees that were spawned. */
  started: number;
  /** Starts that failed. */
  startFailures: number;
  /** Exits that the pool had not asked for. */
  crashes: number;
  /** Servers that were started again for their leases after an unexpected end. */
  restarts: number;
  /** Trees that were proven dead. */
  stopped: number;
  /** Trees that could not be proven dead, even if they were later. */
  quarantined: number;
  /** Leases given out. */
  acquired: number;
  /** Leases that ended, for whatever reason. */
  released: number;
  /** Leases that the pool took back. */
  reclaimed: number;
  /** Leases that were held for longer than `leakDetection`. */
  leaked: number;
  /** Calls of `getServer()` that were refused, gave up or failed. */
  rejected: number;
  /** Idle trees ended because a caller needed their slot. */
  evicted: number;
  /** Largest number of slots that were taken at the same time. */
  mostProcesses: number;
}

/** What the pool is at the moment: the last sample, without trees that have ended since. */
export interface PoolFigures {
  /** Limits that were exceeded so far (`limit:exceeded`). */
  readonly limitViolations: number;
  /** What the monitor has done so far (`action:taken`, without those of a dry run). */
  readonly monitorActions: number;
  /** Operating-system processes of all trees, in the last sample; 0 before the first. */
  readonly totalProcesses: number;
  /** Trees that can be used. */
  readonly activeProcesses: number;
  /** Trees that can be used and are well. */
  readonly healthyProcesses: number;
  /** Unique memory of all trees in the last sample, MB. */
  readonly memoryUsageMB: number;
  /** Mean over all trees in the last sample, percent of one core. */
  readonly averageCpuUsage: number;
  /** Since the pool was made. */
  readonly uptimeMinutes: number;
  /** Operating-system processes by the name of their server, in the last sample. */
  readonly processCountByType: Readonly<Record<string, number>>;
  /** Share of the ends that were proven, from 0 to 1; 1 before the first. */
  readonly cleanupSuccessRate: number;
  /** How long the ends of trees took, in ms: half of them at most `p50`, 95 % at most `p95`. 0 before the first. */
  readonly cleanupTime: { readonly p50: number; readonly p95: number };
}

/** Result of `metrics()`. */
export type PoolMetrics = Readonly<PoolCounts> & PoolFigures;

export function newCounts(): PoolCounts {
  return {
    started: 0,
    startFailures: 0,
    crashes: 0,
    restarts: 0,
    stopped: 0,
    quarantined: 0,
    acquired: 0,
    released: 0,
    reclaimed: 0,
    leaked: 0,
    rejected: 0,
    evicted: 0,
    mostProcesses: 0,
  };
}
