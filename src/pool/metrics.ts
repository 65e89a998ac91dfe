/** Counts since the pool was made, as `metrics()` returns them. */
export interface PoolMetrics {
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

export function newMetrics(): PoolMetrics {
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
