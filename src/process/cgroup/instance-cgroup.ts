import { readdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { noteProblem } from '../containment-problems.js';
import type { KernelVerdict } from '../launcher.js';
import { type Fragment, refusal } from '../wrapper.js';
import { cgroupCount, cgroupPids, isPopulated, killCgroup, removeCgroup } from './cgroup-files.js';

/**
 * The cgroup of one instance. All descendants of its leader are in it, and leave it only with write permission to
 * another one.
 */
export class InstanceCgroup {
  readonly folder: string;
  readonly #removed: () => void;

  /** @param removed called when its folder was removed */
  constructor(folder: string, removed: () => void) {
    this.folder = folder;
    this.#removed = removed;
  }

  /**
   * What the shell does to join before it becomes the server, so that no process of the server is ever outside. Ends it
   * on failure.
   */
  join(): Fragment {
    return joinCgroup(this.folder);
  }

  /**
   * Moves in a server that already runs, and the children that it has forked meanwhile. The server does not wait for
   * it.
   * @param hasExited true once the pid may belong to another process
   * @throws with the errno when the kernel refuses, or when the server has ended
   */
  async adopt(leader: number, hasExited: () => boolean): Promise<void> {
    const procs = await open(`${this.folder}/cgroup.procs`, 'w');
    try {
      // The file is open already, so that the pid cannot change its owner between this check and the write.
      if (hasExited()) throw new Error('it has ended');
      await procs.write(String(leader));
      await this.#adoptChildren((pid) => procs.write(String(pid)));
    } finally {
      await procs.close();
    }
  }

  async #adoptChildren(take: (pid: number) => Promise<unknown>): Promise<void> {
    // A process in the cgroup forks into it. What was forked before is a child of a process that is in the cgroup now.
    const met = this.pids();
    for (const pid of met) {
      for (const child of childrenOf(pid)) {
        if (met.has(child)) continue;
        await take(child);
        met.add(child);
      }
    }
  }

  /** The living processes in it and below it. */
  pids(): Set<number> {
    return cgroupPids(this.folder);
  }

  isPopulated(): boolean {
    return isPopulated(this.folder);
  }

  /** Never throws: it is one of several ways to kill, and the proof comes later. */
  kill(): void {
    try {
      killCgroup(this.folder);
    } catch {
      // EMFILE.
    }
  }

  /** What the kernel reports of its processes. Never throws: an empty object where the kernel reports nothing. */
  verdict(): KernelVerdict {
    try {
      return {
        ...(this.#counted('memory.events', 'oom_kill') ? { outOfMemory: true as const } : {}),
        ...(this.#counted('pids.events', 'max') ? { processLimitHit: true as const } : {}),
      };
    } catch {
      return {};
    }
  }

  #counted(file: string, key: string): boolean {
    return (cgroupCount(this.folder, file, key) ?? 0) > 0;
  }

  /** Call it when the cgroup is empty. False when it could not be removed. */
  remove(): boolean {
    const removed = removeCgroup(this.folder);
    if (removed) this.#removed();
    else {
      noteProblem({
        part: 'cgroup',
        reason: `a cgroup in ${dirname(this.folder)} could not be removed`,
        consequence: 'an empty cgroup stays behind; the server may have made one in it that this user may not remove',
      });
    }
    return removed;
  }
}

/** An empty array where the kernel does not show children (CONFIG_PROC_CHILDREN). */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').map(Number).filter(Boolean),
    );
  } catch {
    return [];
  }
}

/** Writing `0` moves the writer itself. Every shell reports the failed write when the kernel refuses. */
export function joinCgroup(folder: string): Fragment {
  const join = '{ echo 0 >"$1/cgroup.procs"; } 2>/dev/null';
  return { script: `${join} || ${refusal('the cgroup $1 could not be joined')}; shift`, values: [folder] };
}
