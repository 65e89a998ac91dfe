import { readdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { noteProblem } from '../containment-problems.js';
import type { KernelVerdict } from '../launcher.js';
import { type Fragment, refusal } from '../wrapper.js';
import { groupCount, groupPids, isPopulated, killGroup, removeGroup } from './cgroup-files.js';

/** The cgroup of one instance: everything that descends from its leader is in it, and nothing leaves it without the right to. */
export class InstanceGroup {
  readonly folder: string;
  readonly #removed: () => void;

  /** @param removed called when its folder is gone */
  constructor(folder: string, removed: () => void) {
    this.folder = folder;
    this.#removed = removed;
  }

  /** Takes the shell in that becomes the server, or ends it, so that nothing of it was ever outside. It waits for that. */
  join(): Fragment {
    return joinGroup(this.folder);
  }

  /**
   * Takes in a server that runs already, and whoever it has forked meanwhile, without anybody waiting for it.
   * @param hasExited whether its number may be another's
   * @throws with the errno by which the kernel refuses, or when the server has ended
   */
  async adopt(leader: number, hasExited: () => boolean): Promise<void> {
    const procs = await open(`${this.folder}/cgroup.procs`, 'w');
    try {
      // The file is open, so that nothing is waited for between the question and the write.
      if (hasExited()) throw new Error('it has ended');
      await procs.write(String(leader));
      await this.#adoptChildren((pid) => procs.write(String(pid)));
    } finally {
      await procs.close();
    }
  }

  async #adoptChildren(take: (pid: number) => Promise<unknown>): Promise<void> {
    // Inside of the group all that they fork is in it; who was forked before is found as a child of one that is.
    const met = this.pids();
    for (const pid of met) {
      for (const child of childrenOf(pid)) {
        if (met.has(child)) continue;
        await take(child);
        met.add(child);
      }
    }
  }

  /** The living processes in it. */
  pids(): Set<number> {
    return groupPids(this.folder);
  }

  isPopulated(): boolean {
    return isPopulated(this.folder);
  }

  /** Never throws: one of several means, and no proof. */
  kill(): void {
    try {
      killGroup(this.folder);
    } catch {
      // EMFILE.
    }
  }

  /** Never throws: nothing where the kernel does not say. */
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
    return (groupCount(this.folder, file, key) ?? 0) > 0;
  }

  /** To be called when it is empty. False when it could not be removed. */
  remove(): boolean {
    const removed = removeGroup(this.folder);
    if (removed) this.#removed();
    else {
      noteProblem({
        part: 'cgroup',
        reason: `a group in ${dirname(this.folder)} could not be removed`,
        consequence: 'an empty group is left, if a process that may do so has made it',
      });
    }
    return removed;
  }
}

/** Empty where the kernel does not tell (CONFIG_PROC_CHILDREN). */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').map(Number).filter(Boolean),
    );
  } catch {
    return [];
  }
}

/** The kernel refuses a join by a failing write, of which each shell tells. `0` is whoever writes. */
export function joinGroup(folder: string): Fragment {
  const join = '{ echo 0 >"$1/cgroup.procs"; } 2>/dev/null';
  return { script: `${join} || ${refusal('the cgroup $1 could not be joined')}; shift`, values: [folder] };
}
