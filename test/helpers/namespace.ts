import { spawnSync } from 'node:child_process';

/** For `before` of a host: makes it process 1 of its own pid namespace, as in a container without an init. */
export const AS_INIT = 'set -- unshare --pid --fork --mount-proc --kill-child "$@"';

/** Why that cannot be done on this machine (not root, no util-linux, forbidden); undefined when it can. */
export function obstacleToNamespaces(): string | undefined {
  const { error, stderr } = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { encoding: 'utf8' });
  return error?.message ?? (stderr.trim() || undefined);
}
