/** What of a tree's usage the calculation needs; all in ms. */
export interface CpuReading {
  /** By the clock of the host, which may stand still while the machine sleeps. */
  readonly at: number;
  /** Since the leader started. */
  readonly cpuTime: number;
  /** By the clock of the kernel, which goes on while the machine sleeps. */
  readonly uptime: number;
}

/** Shorter steps show nothing: the kernel counts CPU time in ticks of 10 ms, so one tick would be 10 % or more. */
const SHORTEST_STEP = 100;
/** How far clock and uptime may differ over one step: they are not read at the same moment. */
const TOLERANCE = 250;

/**
 * The CPU that a tree used between two readings, in percent of one core. Undefined when that cannot be known: the clock was
 * set, the machine was suspended, the server was started again, or the readings are too close. Never more than all `cores`.
 */
export function cpuPercent(before: CpuReading | undefined, now: CpuReading, cores = Infinity): number | undefined {
  if (before === undefined) return undefined;
  const used = now.cpuTime - before.cpuTime;
  const byClock = now.at - before.at;
  const byUptime = now.uptime - before.uptime;
  // Where the two disagree, the machine was suspended, or a clock was set; the shorter one would show a spike.
  const agree = Math.abs(byClock - byUptime) <= TOLERANCE + byClock / 10;
  if (!(agree && byClock >= SHORTEST_STEP && byUptime > 0 && used >= 0)) return undefined;
  return Math.min((used / Math.max(byClock, byUptime)) * 100, cores * 100);
}
