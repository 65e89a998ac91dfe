import { readMarks } from '../../src/process/marks/mark-reader.js';
import { MarkSearch } from '../../src/process/marks/mark-search.js';
import type { Mark } from '../../src/process/marks/marker.js';
import type { SweepOptions } from '../../src/process/marks/sweep.js';
import { Sweeper } from '../../src/process/marks/sweeper.js';
import type { ProcessControl, ProcessRow } from '../../src/process/process-table.js';

/** All living processes with `mark`, by one scan of the table. This process, its parent and `exclude` are left out. */
export function findMarked(
  mark: Mark,
  processes: ProcessControl,
  { since, exclude }: Pick<SweepOptions, 'since' | 'exclude'> = {},
): ProcessRow[] {
  const search = new MarkSearch(mark, { table: processes.table, readMark: readMarks, since });
  return new Sweeper(processes, search, exclude).scan();
}
