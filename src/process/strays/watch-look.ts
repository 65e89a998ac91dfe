import { type ProcessRow, TICKS_PER_SECOND } from '../process-table.js';
import { matching } from './matching.js';
import { StrayScan, type StraySystem } from './stray-scan.js';
import type { SeenProcess } from './watch-rounds.js';

/** What one look has seen of the processes that match a pattern. */
export interface Look {
  /** With their CPU time until now, ms. */
  readonly seen: readonly (SeenProcess & { readonly cpu: number })[];
  /** How many more match. */
  readonly omitted: number;
}

/** The most processes that are measured. */
const MOST = 1_000;
/** The most that are examined more closely: every user can start processes that match. */
const MOST_EXAMINED = 5_000;
const MS_PER_TICK = 1_000 / TICKS_PER_SECOND;

/**
 * Looks at all processes that match a pattern, may be ended by this user, and belong to no living pool.
 * @param uptime ms since boot, as start times are
 * @throws PoolError `INVALID_OPTIONS` when a pattern takes too long; and the error when processes cannot be read
 */
export function see(system: StraySystem, patterns: readonly (RegExp | string)[], uptime: number): Look {
  const scan = new StrayScan(system);
  const { inspector, rows } = scan;
  const living = [...rows.values()].filter(({ dead, pid }) => !dead && pid > 2);
  const matched = [...matching(patterns, new Map(living.map((row) => [row, inspector.commandLine(row.pid)])))];
  const seen: Look['seen'][number][] = [];
  let examined = 0;
  for (const [row, number] of matched) {
    if (seen.length >= MOST || examined >= MOST_EXAMINED) break;
    examined += 1;
    if (!scan.isCandidate(row) || scan.isPooled(row)) continue;
    const measured = measure(row, `${patterns[number]}`);
    // What was read may belong to another process that got the pid meanwhile.
    if (system.table.read(row.pid)?.startTime === row.startTime) seen.push(measured);
  }
  return { seen, omitted: matched.length - examined };

  function measure(row: ProcessRow, pattern: string) {
    const { pid, startTime, command, cpu = 0 } = row;
    return {
      pid,
      startTime,
      command,
      pattern,
      memoryMB: inspector.memory(pid),
      cpu: cpu * MS_PER_TICK,
      age: Math.max(0, Math.round(uptime - startTime * MS_PER_TICK)),
      state: inspector.state(pid),
      below: scan.below(row, (child) => scan.isPooled(child)).length,
    };
  }
}
