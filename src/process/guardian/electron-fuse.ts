import { closeSync, openSync, readSync } from 'node:fs';

/**
 * The fuses in an Electron binary, as the package `@electron/fuses` describes them: this string, a version byte, their
 * number, then a byte for each.
 */
const SENTINEL = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
const RUN_AS_NODE = SENTINEL.length + 2;
const DISABLED = '0'.charCodeAt(0);
const CHUNK = 4 * 1_048_576;

/**
 * Whether this Electron ignores ELECTRON_RUN_AS_NODE and would open the application instead. The makers of an
 * application can turn that fuse off, and only the binary shows it. The binary is read at most once, and only where the
 * host is Electron.
 */
export function refusesToBeNode(executable: string): boolean {
  const found = known.get(executable) ?? fuseIsOff(executable);
  known.set(executable, found);
  return found;
}

const known = new Map<string, boolean>();

function fuseIsOff(executable: string): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(executable, 'r');
    const buffer = Buffer.allocUnsafe(CHUNK + SENTINEL.length * 2);
    // The end of each chunk is kept in front of the next, because the sentinel may lie across two chunks.
    let kept = 0;
    for (;;) {
      const read = readSync(descriptor, buffer, kept, CHUNK, null);
      if (read === 0) return false;
      const filled = buffer.subarray(0, kept + read);
      const at = filled.indexOf(SENTINEL);
      if (at !== -1 && at + RUN_AS_NODE < filled.length) return filled[at + RUN_AS_NODE] === DISABLED;
      kept = Math.min(filled.length, SENTINEL.length * 2);
      filled.copy(buffer, 0, filled.length - kept);
    }
  } catch {
    // A binary that cannot be read counts as unchanged.
    return false;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
