import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../../errors.js';

const NAME = 'mcp-server-pool';

/**
 * The folders that may contain ledgers, best first. There is more than one, because the hosts of a user may have
 * different environments; the search for dead hosts reads all of them.
 */
export function runtimeFolders(chosen: string | undefined, env = process.env, uid = process.getuid?.()): string[] {
  if (uid === undefined) return [];
  if (chosen !== undefined) return [join(chosen, NAME)];
  // These are made for this purpose: private, and removed when the user logs out.
  const runtime = [env.XDG_RUNTIME_DIR, `/run/user/${uid}`].filter((path) => path?.startsWith('/'));
  const folders = [...runtime.map((path) => join(path as string, NAME)), join(tmpdir(), `${NAME}-${uid}`)];
  return [...new Set(folders)];
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
  // Not corrected here: the user may have opened it on purpose.
  return (stat.mode & 0o077) === 0
    ? undefined
    : 'it is open to others; take their rights away (chmod 700), or remove it';
}
