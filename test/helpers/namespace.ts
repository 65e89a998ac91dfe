import { spawnSync } from 'node:child_process';

/** For `before` of a host: it becomes process 1 of a namespace of its own, as in a container without an init. */
export const AS_INIT = 'set -- unshare --pid --fork --mount-proc --kill-child "$@"';

/** Why that cannot be done here: not root, no util-linux, or forbidden. */
export function obstacleToNamespaces(): string | undefined {
  const { error, stderr } = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { encoding: 'utf8' });
  return error?.message ?? (stderr.trim() || undefined);
}
