/** Counts since the pool was made. */
export interface PoolMetrics {
  /** Trees that were spawned. */
  started: number;
  /** Starts that failed. */
  startFailures: number;
  /** Exits that nobody asked for. */
  crashes: number;
  /** Servers that were started again for leases whose process had ended unasked. */
  restarts: number;
  /** Trees that were proven dead. */
  stopped: number;
  quarantined: number;
  /** Leases given out. */
  acquired: number;
  released: number;
  reclaimed: number;
  leaked: number;
  /** Calls of `getServer()` that ended with an error while they waited. */
  rejected: number;
  /** Idle trees ended because a caller needed their slot. */
  evicted: number;
  /** Most slots taken at once. */
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
