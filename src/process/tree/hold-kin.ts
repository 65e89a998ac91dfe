import type { Look } from '../marks/look.js';
import { holdSame, type ProcessRow, type ProcessTable } from '../process-table.js';

/** Whether a held process is ours, by what it shows now and what a look has shown. */
export type Kinship = (now: ProcessRow, found: ProcessRow) => boolean;

export interface KinParts {
  readonly table: ProcessTable;
  readonly look: Look;
  /** Whether that process belongs to the server already. */
  isMember(pid: number): boolean;
}

/**
 * Holds the processes of those rows, and keeps hold of those that are ours; of none, when the table cannot be read.
 * @param rows that the look has shown
 * @param kinship called when all are held
 */
export function holdKin(parts: KinParts, rows: readonly ProcessRow[], kinship: () => Kinship): ProcessRow[] {
  if (rows.length === 0) return [];
  const held: { readonly row: ProcessRow; readonly now: ProcessRow }[] = [];
  const ours = new Set<ProcessRow>();
  try {
    for (const row of rows) {
      const now = hold(parts, row);
      if (now) held.push({ row, now });
    }
    const isOurs = held.length > 0 ? kinship() : () => false;
    for (const { row, now } of held) if (isOurs(now, row)) ours.add(now);
  } catch (error) {
    ours.clear();
    throw error;
  } finally {
    for (const { now } of held) if (!ours.has(now)) parts.table.release?.(now);
  }
  return [...ours];
}

/** Holds a process, as long as it is the one of that row. */
function hold({ table, look, isMember }: KinParts, found: ProcessRow): ProcessRow | undefined {
  if (!table.hold) {
    const row = look.isWhole ? found : table.read(found.pid);
    return row?.startTime === found.startTime ? row : undefined;
  }
  const now = holdSame(table, found);
  if (now === undefined || mayBecome(found, now, (pid) => isMember(pid) || look.isAroundHost(pid))) return now;
  table.release?.(now);
  return undefined;
}

/**
 * Whether a process that a look has shown can be as it is now. If not, another one has got its number within the same hundredth
 * of a second, before it was held.
 * @param isReaper whether the process with that number may have got its orphans: one around it (a subreaper); or init, which is 1
 */
function mayBecome(found: ProcessRow, { parent, dead }: ProcessRow, isReaper: (pid: number) => boolean): boolean {
  if (found.dead && !dead) return false;
  return parent === found.parent || parent <= 1 || isReaper(parent);
}
