import { closeSync, openSync, readSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import type { InnerHosts } from './inner-hosts.js';
import { environmentMatches, type Mark, marksIn, rlimitIn, rlimitMatches } from './marker.js';

/** Whether a process has a mark. `inner`: it has that of an inner host, as far as the {@link InnerHosts} know. */
export type MarkMatch = boolean | 'inner';

/**
 * Reads whether a process has a mark, and adds the hosts that it finds to `inner`. Throws when the system does not say.
 */
export type MarkReader = (pid: number, mark: Mark, inner?: InnerHosts) => MarkMatch;

/**
 * Most environments have less than 4 KB; args and environment together may have 6 MB. The buffer grows, and is reused.
 */
let environ = Buffer.allocUnsafe(65_536);
/** /proc/PID/limits has 17 lines of 80 bytes. */
const limits = Buffer.allocUnsafe(4_096);

/**
 * Linux: reads the environment first, and the limits only if the environment has no such mark: it was emptied (`env
 * -i`), overwritten by a program that shows a title there, or may not be read because the process is not dumpable.
 */
export const readMarks: MarkReader = (pid, mark, inner) => {
  let marks: readonly string[] = [];
  const environment = readWhole(`/proc/${pid}/environ`, environ);
  if (environment === 'gone') return false;
  if (environment !== 'forbidden') {
    // Keep the larger buffer for the next large environment.
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
  // A process with the marks of other hosts in its environment belongs to them.
  return rlimitMatches(value, mark) || (marks.length === 0 && inner?.includes(value) === true && 'inner');
};

/** Synchronous on purpose, like the process table: no disk is involved, and the table would change meanwhile. */
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
    // EMFILE and similar errors say nothing about the process; to treat it as unrelated would be a guess.
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
