import type { ProcessRow } from './process-table.js';

/**
 * Whether a process is in an uninterruptible system call: state D. Such a call may hold a lock on the memory of the process
 * until it returns, which on a network file system that does not answer is never. A reader of `cmdline`, `environ`, `auxv` or
 * `maps` waits for that lock, and with it the whole host. So of such a process only `stat`, `statm`, `status`, `limits` and links are read.
 */
export function isUninterruptible({ state }: Pick<ProcessRow, 'state'>): boolean {
  return state === 'D';
}
