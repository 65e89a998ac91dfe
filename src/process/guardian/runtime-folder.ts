import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { errnoOf, messageOf } from '../../errors.js';

const NAME = 'mcp-server-pool';
/** At most this many spare folders are read: every user can make folders with such names. */
const MOST_SPARES = 10_000;
/** The random end of such a name. */
const SPARE = /^mcp-server-pool-\d+-[A-Za-z0-9]{6}$/;

/** Where the ledgers of this user may be. */
export interface LedgerPlaces {
  /** Best first. There is more than one, because the hosts of a user may have different environments. */
  readonly folders: string[];
  /** Makes one more, of a random name, where none of them can be used. Undefined where a folder was chosen. */
  readonly makeSpare: (() => string) | undefined;
}

/**
 * The folders that may contain ledgers, and what to do without one. In the folder for temporary files any user can make a
 * folder of our name before us. Then a random name is taken; the next host finds it, because it belongs to this user.
 */
export function ledgerPlaces(
  chosen: string | undefined,
  env = process.env,
  uid = process.getuid?.(),
  temporary = tmpdir(),
): LedgerPlaces {
  if (uid === undefined) return { folders: [], makeSpare: undefined };
  if (chosen !== undefined) return { folders: [join(chosen, NAME)], makeSpare: undefined };
  // These are made for this purpose: private, and removed when the user logs out.
  const runtime = [env.XDG_RUNTIME_DIR, `/run/user/${uid}`].filter((path) => path?.startsWith('/'));
  const name = `${NAME}-${uid}`;
  const own = join(temporary, name);
  const folders = [
    ...runtime.map((path) => join(path as string, NAME)),
    ...(ownerOf(own) === uid || ownerOf(own) === undefined ? [own] : []),
    ...sparesIn(temporary, name).filter((folder) => ownerOf(folder) === uid),
  ];
  return { folders: [...new Set(folders)], makeSpare: () => mkdtempSync(join(temporary, `${name}-`)) };
}

function sparesIn(folder: string, name: string): string[] {
  try {
    const names = readdirSync(folder).filter((each) => each.startsWith(`${name}-`) && SPARE.test(each));
    return names.slice(0, MOST_SPARES).map((each) => join(folder, each));
  } catch {
    return [];
  }
}

/** Removes a spare folder in which no ledger is left. */
export function forgetSpare(folder: string): void {
  if (!SPARE.test(basename(folder))) return;
  try {
    rmdirSync(folder);
  } catch {
    // ENOTEMPTY: another host uses it.
  }
}

/** Undefined when there is no such file, or it is not shown. */
function ownerOf(path: string): number | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.uid;
  } catch {
    return undefined;
  }
}

/**
 * Makes a folder that only this user can read, or accepts an existing one.
 * @throws Error that says why the folder cannot be used
 */
export function makePrivate(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw new Error(`it cannot be made (${errnoOf(error) ?? messageOf(error)})`);
  }
  const problem = folderProblem(path);
  if (problem !== undefined) throw new Error(problem);
}

/** Why the folder must not be trusted; undefined if it may be. Throws when it does not exist. */
export function folderProblem(path: string, uid = process.getuid?.()): string | undefined {
  // lstat, because a link may lead anywhere.
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return 'it is a symbolic link';
  if (!stat.isDirectory()) return 'it is no folder';
  if (stat.uid !== uid) return 'it belongs to another user';
  const { mode } = lstatSync(dirname(path));
  if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0) {
    return 'another user can replace it, because the folder above it is open to all (chmod +t)';
  }
  // Not corrected here: the user may have opened it on purpose.
  return (stat.mode & 0o077) === 0
    ? undefined
    : 'it is open to others; take their rights away (chmod 700), or remove it';
}
