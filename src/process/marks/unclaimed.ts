import type { ProcessTable } from '../process-table.js';
import { looksAt } from './looks.js';
import type { MarkReader } from './mark-reader.js';
import { environmentMatches, hostMark } from './marker.js';

/**
 * How many living processes have a mark of this host and are in none of its trees: what a server has left, and no end of a
 * tree has found. By the key in their environment alone: only this host can have made it. Call it in the tick in which the
 * trees are measured, so that all share one look.
 * @throws when the process table cannot be read
 */
export function countUnclaimed(table: ProcessTable, marks: MarkReader | undefined): number {
  if (marks === undefined) return 0;
  const looks = looksAt(table, marks);
  const host = hostMark();
  let count = 0;
  for (const { row, reading } of looks.takeLoose().marked(0)) {
    if (!looks.isWatched(row) && environmentMatches(reading.marks ?? [], { host })) count += 1;
  }
  return count;
}
