/** Where a part of the tree of cgroups (version 2) can be seen as folders. */
export interface CgroupMount {
  /** What is mounted: `/` for all that this process may know of, else the path of a group within. */
  readonly root: string;
  readonly folder: string;
}

/** The mounts of cgroup2 in the text of /proc/self/mountinfo. There are several on hosts with version 1 beside it, or chroots. */
export function cgroupMounts(mountinfo: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    // `id parent device root folder options … - type source options`
    const [before = '', after = ''] = line.split(' - ', 2);
    const [, , , root, folder] = before.split(' ');
    if (after.split(' ', 1)[0] !== 'cgroup2' || root === undefined || folder === undefined) continue;
    mounts.push({ root: unescaped(root), folder: unescaped(folder) });
  }
  return mounts;
}

/** Blanks and the like are written as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The path of this process's own group in the text of /proc/self/cgroup: the line of hierarchy 0. */
export function ownCgroup(text: string): string | undefined {
  return text
    .split('\n')
    .find((line) => line.startsWith('0::'))
    ?.slice(3);
}

/**
 * The folder of a group, if the mount shows it. Within a cgroup namespace both are told as seen from its root; a group
 * outside of it is told with `..`, and is nowhere to be seen.
 */
export function folderOf(path: string, { root, folder }: CgroupMount): string | undefined {
  if (path.split('/').includes('..') || root.split('/').includes('..')) return undefined;
  const top = root === '/' ? '' : root;
  if (path !== top && !path.startsWith(`${top}/`)) return undefined;
  return `${folder}${path.slice(top.length)}`.replace(/\/+$/, '') || '/';
}

const UNIT = /\.(service|scope)$/;

/**
 * The group of the systemd unit around ours, if there is one: with `DelegateSubgroup=` (or by a move of its own) the host
 * is in a group below its unit, which is delegated as a whole then. No other group above is ours to change, even if
 * we could: everything belongs to root, and all of a user's slices to the user.
 */
export function unitAround(path: string): string | undefined {
  const [own = '', unit = ''] = path.split('/').reverse();
  return UNIT.test(unit) && !UNIT.test(own) ? path.slice(0, path.lastIndexOf('/')) : undefined;
}
