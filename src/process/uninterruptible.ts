import { readFileSync } from 'node:fs';
import type { ProcessRow } from './process-table.js';

/**
 * Whether a process is in an uninterruptible system call: state D. Such a call may hold a lock on the memory of the process
 * until it returns, which on a network file system that does not answer is never. A reader of `cmdline`, `environ`, `auxv` or
 * `maps` waits for that lock, and with it the whole host. So of such a process only `stat`, `status`, `limits` and links are read.
 */
export function isUninterruptible({ state }: Pick<ProcessRow, 'state'>): boolean {
  return state === 'D';
}

/** The state of a process, as `ProcessRow.state`; undefined when that is not shown, as of a process that is gone. */
export function stateOf(pid: number | string, proc = '/proc'): string | undefined {
  try {
    const line = readFileSync(`${proc}/${pid}/stat`, 'latin1');
    return line[line.lastIndexOf(')') + 2];
  } catch {
    return undefined;
  }
}
