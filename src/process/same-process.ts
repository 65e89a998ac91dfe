import type { ProcessRow, ProcessTable } from './process-table.js';

/**
 * Whether `now` is the process of that row. A start time is in hundredths of a second, so the parent counts, too: it must be
 * the same, or dead; then an orphan has gone to an ancestor of this host, or to a member.
 */
export function isSame(row: ProcessRow, now: ProcessRow, members: readonly ProcessRow[], table: ProcessTable): boolean {
  if (now.startTime !== row.startTime) return false;
  if (now.parent === row.parent) return true;
  if (table.read(row.parent)?.dead === false) return false;
  return members.some(({ pid }) => pid === now.parent) || isAncestor(now.parent, table);
}

/** Of this process, which itself counts as one. 0: outside of our pid namespace. */
function isAncestor(pid: number, table: ProcessTable): boolean {
  if (pid <= 1) return true;
  const above = new Set<number>();
  for (let one = process.pid; one > 1 && !above.has(one); one = table.read(one)?.parent ?? 0) above.add(one);
  return above.has(pid);
}
