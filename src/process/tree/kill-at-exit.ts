import { removeHostCgroupsNow } from '../cgroup/host-cgroup.js';

/** What can be killed in the last tick of the host. */
interface Killable {
  killNow(): void;
}

const killedAtExit = new Set<Killable>();

/** One listener for all pools of the host; none while no server lives. */
function killAll(): void {
  for (const target of killedAtExit) {
    try {
      target.killNow();
    } catch {
      // The others must still be killed, and no code is left that could handle an error.
    }
  }
  try {
    removeHostCgroupsNow();
  } catch {
    // Hosts in which Atomics.wait() is not allowed (Electron). An empty folder is left.
  }
}

/**
 * Kills `target` if the host ends while `target` lives: normally, by `process.exit()`, or by an uncaught exception. Not
 * when a signal kills the host, because then none of its code runs: that case belongs to the guardian.
 */
export function killAtExit(target: Killable): void {
  // First of all: what else is done at the exit may take its time, or never end, as to write to a disk that hangs.
  if (killedAtExit.size === 0) process.prependListener('exit', killAll);
  killedAtExit.add(target);
}

/** Call it when `target` is dead, so that the hook does not signal a reused pid. */
export function forgetAtExit(target: Killable): void {
  if (killedAtExit.delete(target) && killedAtExit.size === 0) process.off('exit', killAll);
}
