import type { ProcessRow } from '../process-table.js';

/** Whether a held process is ours, by what it shows now and what a look has shown. */
export type Kinship = (now: ProcessRow, found: ProcessRow) => boolean;

/**
 * Whether a process that a look has shown can be as it is now. If not, another one has got its number within the same hundredth
 * of a second, before it was held.
 * @param isReaper whether the process with that number may have got its orphans: one around it (a subreaper); or init, which is 1
 */
export function mayBecome(
  found: ProcessRow,
  { parent, dead }: ProcessRow,
  isReaper: (pid: number) => boolean,
): boolean {
  if (found.dead && !dead) return false;
  return parent === found.parent || parent <= 1 || isReaper(parent);
}
