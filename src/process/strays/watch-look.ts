import { type ProcessRow, TICKS_PER_SECOND } from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';
import { matching, type Pattern } from './matching.js';
import { StrayScan, type StraySystem } from './stray-scan.js';
import { keyOf, type SeenNow } from './watch-rounds.js';

/** What one look has seen of the processes that match a pattern. */
export interface Look {
  readonly seen: readonly SeenNow[];
  /** How many more match. */
  readonly omitted: number;
  /** The number of a pattern that took too long; then nothing else is known. */
  readonly slow: number | undefined;
}

export interface LookOptions {
  /** Undefined: it is left out. */
  readonly patterns: readonly (Pattern | undefined)[];
  /** Ms since boot, as start times are. */
  readonly uptime: number;
  /** What the look before has seen and checked: identity → pattern. */
  readonly before: ReadonlyMap<string, string>;
}

/** The most processes that are measured. */
const MOST = 1_000;
/** The most that are examined more closely: other containers may have many of a user with our number. */
const MOST_EXAMINED = 5_000;
const MS_PER_TICK = 1_000 / TICKS_PER_SECOND;

/**
 * Looks at all processes that match a pattern, may be ended by this user, and belong to no living pool.
 * @throws the error when processes cannot be read
 */
export function see(system: StraySystem, { patterns, uptime, before }: LookOptions): Look {
  const scan = new StrayScan(system);
  const { inspector, rows } = scan;
  const lines = new Map<ProcessRow, string>();
  const found: [row: ProcessRow, pattern: string, checked: boolean][] = [];
  for (const row of rows.values()) {
    // Process 2 is the parent of kernel threads. Of other users not even the command line is read: they can start any number.
    if (row.dead || row.pid <= 2 || row.parent === 2 || !inspector.hasOurUser(row.pid)) continue;
    const mayHang = isUninterruptible(row);
    const pattern = mayHang ? before.get(keyOf(row)) : undefined;
    if (pattern !== undefined) found.push([row, pattern, true]);
    else lines.set(row, mayHang ? row.command : inspector.commandLine(row.pid));
  }
  const { matched, slow } = matching(patterns, lines);
  if (slow !== undefined) return { seen: [], omitted: 0, slow };
  for (const [row, number] of matched) found.push([row, `${patterns[number]}`, !isUninterruptible(row)]);
  const seen: SeenNow[] = [];
  let examined = 0;
  for (const [row, pattern, checked] of found) {
    if (seen.length >= MOST || examined >= MOST_EXAMINED) break;
    examined += 1;
    if (!scan.isCandidate(row) || scan.isPooled(row)) continue;
    const measured = { ...measure(row, pattern), checked };
    // What was read may belong to another process that got the pid meanwhile.
    if (system.table.read(row.pid)?.startTime === row.startTime) seen.push(measured);
  }
  return { seen, omitted: found.length - examined, slow };

  function measure(row: ProcessRow, pattern: string) {
    const { pid, startTime, command, state = '', cpu = 0 } = row;
    return {
      pid,
      startTime,
      scope: system.scope,
      command,
      pattern,
      memoryMB: inspector.memory(pid),
      cpu: cpu * MS_PER_TICK,
      age: Math.max(0, Math.round(uptime - startTime * MS_PER_TICK)),
      state,
      below: scan.below(row, (child) => scan.isPooled(child)).length,
    };
  }
}
