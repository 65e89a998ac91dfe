/** What is counted in one slice of time. */
export interface LevelCounts {
  /** Calls of `getServer()` that were served, or failed. */
  calls: number;
  /** Those of them that failed. */
  refused: number;
  /** Those of the others that waited for longer than the target of `acquireTime`. */
  slow: number;
  /** Requests that were answered, or lost. */
  requests: number;
  /** Those of them without an answer of the server. */
  lost: number;
  /** Those of them that the server answered with a fault of its own. */
  failed: number;
  /** Failures of servers that were ready. Each is followed by a restart: at once, or for the next caller. */
  restarts: number;
  /** Limits that were exceeded, and levels from `critical` on, apart from those of memory of all together. */
  violations: number;
  /** The same for the memory of all together, and of the host. */
  pressure: number;
  alerts: number;
  /** How often the queue began to grow. */
  growths: number;
}

export function noCounts(): LevelCounts {
  return {
    calls: 0,
    refused: 0,
    slow: 0,
    requests: 0,
    lost: 0,
    failed: 0,
    restarts: 0,
    violations: 0,
    pressure: 0,
    alerts: 0,
    growths: 0,
  };
}

const COUNTERS = Object.keys(noCounts()) as (keyof LevelCounts)[];

export function sumOf(slices: readonly LevelCounts[]): LevelCounts {
  const sum = noCounts();
  for (const slice of slices) for (const counter of COUNTERS) sum[counter] += slice[counter];
  return sum;
}
