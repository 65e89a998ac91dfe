import { spawnSync } from 'node:child_process';

/** The number after which the kernel looks for the next one, in the pid namespace of the process that writes it. */
export const SET_LAST = '/proc/sys/kernel/ns_last_pid';

const NAMESPACE = 'unshare --pid --fork --kill-child --mount-proc';

/** For `before` of a host: a pid namespace with an init, which runs `after` when the host has ended. */
export function within(after: string): string {
  return `set -- ${NAMESPACE} sh -c '"$@"; code=$?; ${after}; exit $code' sh "$@"`;
}

/** Whether this machine lets us say which number the next process gets. */
export function canSetPids(): boolean {
  const [file = '', ...args] = NAMESPACE.split(' ');
  return spawnSync(file, [...args, 'sh', '-c', `echo 100 >${SET_LAST}`], { stdio: 'ignore' }).status === 0;
}
