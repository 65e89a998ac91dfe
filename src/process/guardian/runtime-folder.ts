import { lstatSync, mkdirSync, mkdtempSync, realpathSync, rmdirSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { errnoOf, messageOf } from '../../errors.js';
import { pathProblem } from '../../runtime/safe-path.js';

const NAME = 'mcp-server-pool';
/** The random end of the name of a spare folder. */
const SPARE = /^mcp-server-pool-\d+-[A-Za-z0-9]{6}$/;
/** At most this many spare folders of this user are read. */
const MOST_SPARES = 10_000;
/** At most this many names are looked at: every user can make files there. That takes a second or two, not in one tick. */
const MOST_NAMES = 2_000_000;
/** After this many names other work of the host has its turn. */
const NAMES_PER_TURN = 500;

/** Where the ledgers of this user may be. */
export interface LedgerPlaces {
  /** Best first. There is more than one, because the hosts of a user may have different environments. */
  readonly folders: string[];
  /** Makes one more, of a random name, where none of them can be used. Undefined where a folder was chosen. */
  readonly makeSpare: (() => string) | undefined;
  /** Finds the spare folders of earlier hosts of this user. Says to `onProblem` why it may not have found all. */
  readonly findSpares: (onProblem: (problem: string) => void, options?: FindOptions) => Promise<string[]>;
}

/** Others can make the search long: they may fill the folder for temporary files. */
export interface FindOptions {
  /** Ends the search with what it has found. */
  readonly abort?: AbortSignal | undefined;
  /** Whether the search keeps the host alive, for a caller that waits for it. Default: false. */
  readonly hold?: boolean;
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
  const none = { makeSpare: undefined, findSpares: async () => [] };
  if (uid === undefined) return { folders: [], ...none };
  if (chosen !== undefined) return { folders: [join(chosen, NAME)], ...none };
  // These are made for this purpose: private, and removed when the user logs out. `sudo -E` gives that of another user.
  const runtime = [env.XDG_RUNTIME_DIR, `/run/user/${uid}`].filter(
    (path): path is string => path?.startsWith('/') === true && isOf(path, uid, 0),
  );
  const name = `${NAME}-${uid}`;
  const own = join(temporary, name);
  const folders = [...runtime.map((path) => join(path, NAME)), ...(isOf(own, uid) ? [own] : [])];
  return {
    folders: [...new Set(folders)],
    makeSpare: () => {
      const problem = pathProblem(temporary, uid);
      if (problem !== undefined) throw new Error(problem);
      return mkdtempSync(join(temporary, `${name}-`));
    },
    findSpares: (onProblem, options) => sparesIn(temporary, name, uid, onProblem, options),
  };
}

/** By owner, before they are counted: another user may have made any number of such folders. */
async function sparesIn(
  folder: string,
  name: string,
  uid: number,
  onProblem: (problem: string) => void,
  { abort, hold = false }: FindOptions = {},
): Promise<string[]> {
  const spares: string[] = [];
  try {
    let names = 0;
    for await (const entry of await opendir(folder, { bufferSize: NAMES_PER_TURN })) {
      if (++names > MOST_NAMES || spares.length >= MOST_SPARES) {
        onProblem(`${folder}: there are too many files; remove those that no program needs`);
        break;
      }
      if (names % NAMES_PER_TURN === 0) await turn(hold, abort);
      if (abort?.aborted) break;
      if (!entry.name.startsWith(`${name}-`) || !SPARE.test(entry.name)) continue;
      const path = join(folder, entry.name);
      if (ownerOf(path) === uid) spares.push(path);
    }
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) onProblem(`${folder}: ${messageOf(error)}`);
  }
  return spares;
}

/** Not an immediate: without a reference, it would wait for the next event. Ends early when `abort` is aborted. */
async function turn(hold: boolean, abort: AbortSignal | undefined): Promise<void> {
  await pause(0, undefined, { ref: hold, signal: abort }).catch(() => {});
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

/** Whether it is of one of these users, or not there. */
function isOf(path: string, ...users: readonly number[]): boolean {
  const owner = ownerOf(path);
  return owner === undefined || users.includes(owner);
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
 * Makes a folder that only this user can read, or accepts an existing one. Returns its real path: no other user can put
 * anything else there, so it is safe to write into it.
 * @throws Error that says why the folder cannot be used
 */
export function makePrivate(path: string): string {
  let problem: string | undefined;
  try {
    problem = pathProblem(dirname(path));
    if (problem === undefined) mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw new Error(`it cannot be made (${errnoOf(error) ?? messageOf(error)})`);
  }
  if (problem !== undefined) throw new Error(problem);
  return privateFolder(path);
}

/**
 * The real path of a folder that only this user can read, write or replace.
 * @throws Error that says why the folder must not be trusted; with an errno when it does not exist
 */
export function privateFolder(path: string, uid = process.getuid?.()): string {
  // The last part must not be a link, because that may lead anywhere.
  const real = join(realpathSync(dirname(path)), basename(path));
  const stat = lstatSync(real);
  if (stat.isSymbolicLink()) throw new Error('it is a symbolic link');
  if (!stat.isDirectory()) throw new Error('it is no folder');
  if (stat.uid !== uid) throw new Error('it belongs to another user');
  const problem = pathProblem(dirname(path), uid);
  if (problem !== undefined) throw new Error(problem);
  // Not corrected here: the user may have opened it on purpose.
  if ((stat.mode & 0o077) !== 0) {
    throw new Error('it is open to others; take their rights away (chmod 700), or remove it');
  }
  return real;
}
