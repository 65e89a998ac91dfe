/** A mount of a cgroup tree: a part of it as folders. */
export interface CgroupMount {
  /** What is mounted: `/` for the whole tree that this process may see, else the path of a cgroup in it. */
  readonly root: string;
  readonly folder: string;
}

/**
 * The mounts of cgroup2 in the content of /proc/self/mountinfo; those of version 1 with that controller, if one is given.
 * Hosts with chroots, or with version 1 beside version 2, have several.
 */
export function cgroupMounts(mountinfo: string, controller?: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    // `id parent device root folder options … - type source options`
    const [before = '', after = ''] = line.split(' - ', 2);
    const [, , , root, folder] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    const fits = controller === undefined ? type === 'cgroup2' : type === 'cgroup' && has(options, controller);
    if (!fits || root === undefined || folder === undefined) continue;
    mounts.push({ root: unescaped(root), folder: unescaped(folder) });
  }
  return mounts;
}

/** mountinfo writes blanks and similar characters as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function has(list: string, item: string): boolean {
  return list.split(',').includes(item);
}

/**
 * The path of this process's own cgroup in the content of /proc/self/cgroup: the line of hierarchy 0, or that of version 1
 * with the controller. A path may contain colons.
 */
export function ownCgroup(text: string, controller?: string): string | undefined {
  for (const line of text.split('\n')) {
    const [, number, controllers = '', path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (controller === undefined ? number === '0' && controllers === '' : has(controllers, controller)) return path;
  }
  return undefined;
}

/**
 * The folder of a cgroup, if the mount shows it. In a cgroup namespace both paths are relative to the root of the
 * namespace; a cgroup outside of it has `..` in its path, and no folder.
 */
export function folderOf(path: string, { root, folder }: CgroupMount): string | undefined {
  if (path.split('/').includes('..') || root.split('/').includes('..')) return undefined;
  const top = root === '/' ? '' : root;
  if (path !== top && !path.startsWith(`${top}/`)) return undefined;
  return `${folder}${path.slice(top.length)}`.replace(/\/+$/, '') || '/';
}

const UNIT = /\.(service|scope)$/;

/**
 * The cgroup of the systemd unit above ours, if there is one. With `DelegateSubgroup=`, or if the host has moved
 * itself, the host is in a cgroup below its unit, and the whole unit is delegated to it. No other cgroup above may be
 * changed, even where the permissions allow it: root owns everything, and a user owns all of its slices.
 */
export function unitAround(path: string): string | undefined {
  const [own = '', unit = ''] = path.split('/').reverse();
  return UNIT.test(unit) && !UNIT.test(own) ? path.slice(0, path.lastIndexOf('/')) : undefined;
}
