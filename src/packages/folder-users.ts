import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.js';
import { scopeName } from '../process/marks/host-origin.js';
import { currentPlatform } from '../process/platforms/current-platform.js';
import { identify } from '../process/process-table.js';

// Which hosts run something from a folder: each has a file in it, whose name says which process it is.

const USERS = 'used-by';
const NAME = /^([0-9a-f]*)-([0-9]+)-([0-9]+)-[0-9a-f]+$/;
/** A host of another container, or of the time before a boot, cannot be looked at. Its file counts for so long, ms. */
const FOREIGN_COUNTS = 30 * 86_400_000;

/** Of this copy of the package: each counts for itself. */
const COPY = randomBytes(4).toString('hex');
/** How often each folder is used by it. */
const uses = new Map<string, number>();

/** This host uses the folder, until what is returned was called. Throws when that cannot be written down. */
export function useFolder(folder: string): () => void {
  const users = join(folder, USERS);
  const file = join(users, `${scopeName()}-${process.pid}-${startTimeOf(process.pid) ?? 0}-${COPY}`);
  mkdirSync(users, { recursive: true, mode: 0o700 });
  // Also when it is there: its time says that it was used lately.
  writeFileSync(file, '', { mode: 0o600 });
  uses.set(folder, (uses.get(folder) ?? 0) + 1);
  let isUsed = true;
  return () => {
    if (!isUsed) return;
    isUsed = false;
    const left = (uses.get(folder) ?? 1) - 1;
    if (left > 0) return void uses.set(folder, left);
    uses.delete(folder);
    try {
      rmSync(file, { force: true });
    } catch {
      // EROFS: it counts until this host has ended.
    }
  };
}

/** Whether a host that uses the folder may live. In doubt it does. */
export function isInUse(folder: string): boolean {
  const users = join(folder, USERS);
  try {
    return readdirSync(users).some((name) => mayLive(name, () => statSync(join(users, name)).mtimeMs));
  } catch (error) {
    return errnoOf(error) !== 'ENOENT';
  }
}

function mayLive(name: string, usedAt: () => number): boolean {
  const [, scope, pid, startTime] = NAME.exec(name) ?? [];
  if (pid === undefined || startTime === undefined) return false;
  if (scope !== scopeName()) return Date.now() - usedAt() < FOREIGN_COUNTS;
  const known = startTimeOf(Number(pid));
  return known !== undefined && (Number(startTime) === 0 || known === Number(startTime));
}

/** Whole, also where the table has more precise ones. */
function startTimeOf(pid: number): number | undefined {
  const startTime = identify(currentPlatform().table, pid);
  return startTime === undefined ? undefined : Math.floor(startTime);
}
