import { closeSync, openSync, readSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import type { InnerHosts } from './inner-hosts.js';
import { environmentMatches, type Mark, marksIn, rlimitIn, rlimitMatches } from './marker.js';

/** `inner`: not the mark itself, but that of a host which runs inside of somebody who bears it, as far as we were told. */
export type MarkMatch = boolean | 'inner';

/** Whether a process bears a mark; `inner` learns by the way. Throws when the system does not say. */
export type MarkReader = (pid: number, mark: Mark, inner?: InnerHosts) => MarkMatch;

/** Most environments have less than 4 KB; args and environment together may have 6 MB. Grows, and is used again. */
let environ = Buffer.allocUnsafe(65_536);
/** /proc/PID/limits has 17 lines of 80 bytes. */
const limits = Buffer.allocUnsafe(4_096);

/**
 * Linux: the environment first, the limits only of those whose environment says nothing: it was emptied (`env -i`),
 * overwritten by a program that shows a title there, or may not be read since the process is not dumpable.
 */
export const readMarks: MarkReader = (pid, mark, inner) => {
  let marks: readonly string[] = [];
  const environment = readWhole(`/proc/${pid}/environ`, environ);
  if (environment === 'gone') return false;
  if (environment !== 'forbidden') {
    // Grown for a large one: the next large one finds the room.
    if (environment.length > environ.length) environ = Buffer.allocUnsafe(environment.length);
    marks = marksIn(environment);
    if (environmentMatches(marks, mark)) {
      inner?.learn(marks);
      return true;
    }
  }
  const text = readWhole(`/proc/${pid}/limits`, limits);
  if (typeof text === 'string') return false;
  const value = rlimitIn(text.toString('latin1'));
  if (value === undefined) return false;
  // Whoever names others in his environment is theirs.
  return rlimitMatches(value, mark) || (marks.length === 0 && inner?.bears(value) === true && 'inner');
};

/** Synchronous on purpose, as the process table: no disk is touched, and the table would change meanwhile. */
function readWhole(path: string, given: Buffer): Buffer | 'gone' | 'forbidden' {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    let buffer = given;
    let length = 0;
    for (;;) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, length);
      length += read;
      if (read === 0 || length < buffer.length) return buffer.subarray(0, length);
      buffer = Buffer.concat([buffer], buffer.length * 2);
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ESRCH') return 'gone';
    if (errno === 'EACCES' || errno === 'EPERM') return 'forbidden';
    // EMFILE and the like say nothing about the process: to take it for a stranger would be a guess.
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
