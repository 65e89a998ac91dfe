import { removeHostCgroupsNow } from '../cgroup/host-cgroup.js';

/** Something that can be killed in the last tick of the host. */
interface Killable {
  killNow(): void;
}

const living = new Set<Killable>();

/** One listener for all pools of the host, and none while nothing lives. */
function killAll(): void {
  for (const process of living) {
    try {
      process.killNow();
    } catch {
      // The others still have to be killed, and there is nobody left to tell.
    }
  }
  try {
    removeHostCgroupsNow();
  } catch {
    // Hosts that may not wait (Electron). What is left is an empty folder.
  }
}

/**
 * Kills `target` if the host ends while it lives: normally, by `process.exit()`, or by an uncaught exception. Not when the
 * host is killed by a signal: no code of it runs then.
 */
export function killAtExit(target: Killable): void {
  if (living.size === 0) process.on('exit', killAll);
  living.add(target);
}

export function forgetAtExit(target: Killable): void {
  if (living.delete(target) && living.size === 0) process.off('exit', killAll);
}
