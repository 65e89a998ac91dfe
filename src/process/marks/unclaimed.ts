import type { ProcessIdentity, ProcessTable } from '../process-table.js';
import { looksAt } from './looks.js';
import type { MarkReader } from './mark-reader.js';
import { environmentMatches, hostMark, hostOrigin, instanceIn } from './marker.js';

/**
 * How many living processes have a mark of this host and belong to no server that runs: what a server has left, and no end of a
 * tree has found. By the key in their environment alone: only this host can have made it. Call it in the tick in which the
 * trees are measured, so that all share one look.
 * @param registered the leaders of the servers of all copies of the package: the trees of another copy are not known here
 * @throws when the process table cannot be read
 */
export function countUnclaimed(
  table: ProcessTable,
  marks: MarkReader | undefined,
  registered: () => readonly ProcessIdentity[],
): number {
  if (marks === undefined) return 0;
  const looks = looksAt(table, marks);
  const look = looks.takeLoose();
  const host = hostMark();
  // Nothing that is older than this host has its mark.
  const left = look.marked(hostOrigin()?.startTime ?? 0).filter(({ row, reading }) => {
    return !looks.isWatched(row) && environmentMatches(reading.marks ?? [], { host });
  });
  if (left.length === 0) return 0;
  const leaders = registered().flatMap(({ pid, startTime }) => {
    const row = look.rows.get(pid);
    return row?.startTime === startTime ? [row] : [];
  });
  const [pids, instances] = [new Set<number>(), new Set<string>()];
  for (const row of leaders) {
    pids.add(row.pid);
    const instance = instanceIn(look.reading(row).marks ?? [], host);
    if (instance !== undefined) instances.add(instance);
  }
  return left.filter(({ row, reading }) => {
    const instance = instanceIn(reading.marks ?? [], host) ?? '';
    return !instances.has(instance) && !pids.has(row.group) && !pids.has(row.session);
  }).length;
}
