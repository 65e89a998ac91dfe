import { lstatSync, readFileSync, realpathSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { linksTo } from './links.js';

/** Whether other users can make files in a folder of that user. */
type OpenTest = (stat: Pick<Stats, 'gid' | 'mode'>, uid: number | undefined) => boolean;

/**
 * Why another user could exchange what is in the folder `path`; undefined if none can. Each folder and link on the way must
 * be of root or of this user; a link leads on to another one, or to a folder, and on the way to that the same holds. Each folder
 * must be closed to others; or sticky, as /tmp is: then what is in there can be moved by its owner alone.
 * @param isOpen which folders are not closed. Default: {@link isOpenToOthers}, so a private group of this user may write
 */
export function pathProblem(
  path: string,
  uid = process.getuid?.(),
  isOpen: OpenTest = isOpenToOthers,
): string | undefined {
  const real = realpathSync(path);
  if (real === path) return wayProblem(path, uid, isOpen);
  // Each in a folder with no link in its path.
  const links = linksTo(path).map(({ folder, name }) => join(folder, name));
  return [...links, real].map((way) => wayProblem(way, uid, isOpen)).find((problem) => problem !== undefined);
}

function wayProblem(path: string, uid: number | undefined, isOpen: OpenTest): string | undefined {
  for (let folder = path; ; folder = dirname(folder)) {
    const stat = lstatSync(folder);
    if (stat.uid !== uid && !isOfSystem(stat)) return `another user can replace it, because ${folder} belongs to one`;
    // Without S_ISVTX. Links have no such rights of their own.
    if (!stat.isSymbolicLink() && isOpen(stat, uid) && (stat.mode & 0o1000) === 0) {
      return `another user can replace it, because ${folder} is open to others (chmod go-w, or +t)`;
    }
    if (folder === dirname(folder)) return undefined;
  }
}

/** Whether other users can make files in a folder of that user: S_IWGRP, S_IWOTH. */
function isOpenToOthers(stat: Pick<Stats, 'gid' | 'mode'>, uid = process.getuid?.()): boolean {
  return (stat.mode & (hasPrivateGroup(stat, uid) ? 0o002 : 0o022)) !== 0;
}

/**
 * The same, but a private group is no exception: with an access control list, which Node cannot read, the rights of the
 * group are the most that any user in the list has.
 */
export function mayBeOpenToOthers({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & 0o022) !== 0;
}

/**
 * Whether its group is that of this user alone, by the convention that such a group has the number of its user: with it
 * many systems have the umask 002. In the group of root there may be others.
 */
function hasPrivateGroup({ gid }: Pick<Stats, 'gid'>, uid: number | undefined): boolean {
  return gid === uid && gid !== 0 && gid === process.getgid?.();
}

function isOfSystem({ uid }: Pick<Stats, 'uid'>): boolean {
  return uid === 0 || (uid === OVERFLOW && rootIsUnmapped());
}

/** The number that stands for all users without one in a user namespace (/proc/sys/kernel/overflowuid). */
const OVERFLOW = 65_534;

/** The ranges of users in this namespace: first number here, first number outside, how many. */
function userMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'latin1');
  } catch {
    // No user namespaces: all users are here.
    return `0 0 ${2 ** 32 - 1}`;
  }
}

/**
 * Whether this process is in a user namespace without root, such as a sandbox of bubblewrap: there root's folders have the
 * number of every other user outside.
 */
export function rootIsUnmapped(map = userMap()): boolean {
  return map
    .trim()
    .split('\n')
    .map((range) => range.trim().split(/\s+/).map(Number))
    .every(([inside = 0, outside = 0, size = 0]) => !covers(inside, size, OVERFLOW) && !covers(outside, size, 0));
}

function covers(from: number, size: number, id: number): boolean {
  return from <= id && id < from + size;
}
