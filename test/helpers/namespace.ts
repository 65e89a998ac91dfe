import { spawnSync } from 'node:child_process';

/** For `before` of a host: makes it process 1 of its own pid namespace, as in a container without an init. */
export const AS_INIT = 'set -- unshare --pid --fork --mount-proc --kill-child "$@"';

/** Why that cannot be done on this machine (not root, no util-linux, forbidden); undefined when it can. */
export function obstacleToNamespaces(): string | undefined {
  const { error, stderr } = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { encoding: 'utf8' });
  return error?.message ?? (stderr.trim() || undefined);
}

/** What a user without privileges can put before a command: it runs as the root of a container that this user has made. */
export const OWN_CONTAINER = [
  'unshare',
  '--user',
  '--map-root-user',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
];

/** Why `user`, or the one that runs the tests, cannot make a container of its own; undefined when it can. */
export function obstacleToOwnNamespaces(user: number): string | undefined {
  const [file = '', ...args] = [...OWN_CONTAINER, 'true'];
  const ids = process.geteuid?.() === 0 ? { uid: user, gid: user } : {};
  const { error, stderr } = spawnSync(file, args, { ...ids, encoding: 'utf8' });
  return error?.message ?? (stderr.trim() || undefined);
}
