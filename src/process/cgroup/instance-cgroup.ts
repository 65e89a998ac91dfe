import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { noteProblem } from '../containment-problems.js';
import { KeptFile } from '../kept-file.js';
import type { KernelVerdict } from '../launcher.js';
import type { CgroupFigures } from '../usage/process-usage.js';
import { type Fragment, refusal } from '../wrapper.js';
import { Adoption, type AdoptionParts } from './adoption.js';
import { cgroupCount, cgroupPids, isPopulated, JOINING, killCgroup, removeCgroup } from './cgroup-files.js';
import { CgroupUsage, type CountedMemory, countsMemory } from './cgroup-usage.js';

/** How often removing a cgroup is tried after a join; ms between two tries. A killed process leaves it a moment later. */
const REMOVALS = 20;
const REMOVAL_PAUSE = 10;

/**
 * The cgroup of one instance. All descendants of its leader are in it, and leave it only with write permission to
 * another one.
 */
export class InstanceCgroup {
  readonly folder: string;
  readonly #removed: () => void;
  readonly #procs: KeptFile;
  /** Only for what is measured: where death is proven, it is opened for each look. */
  readonly #events: KeptFile;
  readonly #usage: CgroupUsage;
  /** Whether only processes of the server are in it. If not, nothing in it is killed or counted by it. */
  #isOurs = true;
  #memory: CountedMemory = 'none';
  #isJoining = false;
  #removeAfterJoin = false;
  /** Whether the sign beside it may be there. */
  #hasSign = false;

  /** @param removed called when its folder was removed */
  constructor(folder: string, removed: () => void) {
    this.folder = folder;
    this.#removed = removed;
    this.#procs = new KeptFile(join(folder, 'cgroup.procs'));
    this.#events = new KeptFile(join(folder, 'cgroup.events'));
    this.#usage = new CgroupUsage(folder);
  }

  /**
   * What the shell does to join before it becomes the server, so that no process of the server is ever outside. Ends it
   * on failure.
   */
  join(): Fragment {
    return joinCgroup(this.folder);
  }

  /**
   * Moves in a server that already runs. The server does not wait for it. Until it is in, its cgroup is of no use.
   * @returns whether it is in, and no other process
   * @throws with the errno when the kernel refuses
   */
  async adopt(parts: Omit<AdoptionParts, 'folder'>): Promise<boolean> {
    const { folder } = this;
    mkdirSync(folder + JOINING);
    this.#hasSign = true;
    this.#isOurs = false;
    this.#isJoining = true;
    // What they have until then counts for the cgroup that they were in before.
    if (this.#memory === 'whole') this.#memory = 'part';
    try {
      this.#isOurs = await new Adoption({ ...parts, folder }).run();
      if (this.#isOurs) this.#hasSign = !removeCgroup(folder + JOINING);
      return this.#isOurs;
    } finally {
      this.#isJoining = false;
      if (this.#removeAfterJoin) await this.#removeLater();
    }
  }

  /** The server ended while it was moved in: what has come in after that ends, too. */
  async #removeLater(): Promise<void> {
    this.kill();
    for (let tries = 0; tries < REMOVALS && this.isPopulated(); tries++) {
      await pause(REMOVAL_PAUSE, undefined, { ref: false });
    }
    this.remove();
  }

  /** Whether only processes of the server are in it; false while a server is moved in. */
  get isOurs(): boolean {
    return this.#isOurs;
  }

  /** The living processes in it and below it. */
  pids(): Set<number> {
    return this.#isOurs ? cgroupPids(this.folder, this.#procs) : new Set();
  }

  isPopulated(): boolean {
    return this.#isOurs && isPopulated(this.folder);
  }

  /** Never throws: it is one of several ways to kill, and the proof comes later. */
  kill(): void {
    if (!this.#isOurs) return;
    try {
      killCgroup(this.folder);
    } catch {
      // EMFILE.
    }
  }

  /**
   * Kills all processes in it, unless each of them got SIGKILL before this call: that costs the kernel less, and what they
   * had forked until then is shown.
   */
  killUnless(isKilled: (pid: number) => boolean): void {
    try {
      for (const pid of this.pids()) if (!isKilled(pid)) return this.kill();
    } catch {
      this.kill();
    }
  }

  /** Call it before the first process is in it. */
  noteControllers(): void {
    this.#memory = countsMemory(this.folder) ? 'whole' : 'none';
  }

  /** What the kernel counts for all that have been in it; nothing while a server is moved in. */
  figures(): CgroupFigures {
    if (!this.#isOurs) return { memory: undefined, cpuTime: undefined };
    // A server may have left, or was never in.
    const isInside = this.#memory !== 'none' && isPopulated(this.folder, this.#events);
    return this.#usage.figures(isInside ? this.#memory : 'none');
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

  /** Call it when the cgroup is empty. False when it could not be removed, or is removed later, after a join. */
  remove(): boolean {
    for (const file of [this.#procs, this.#events, this.#usage]) file.close();
    const removed = removeCgroup(this.folder) && (!this.#hasSign || removeCgroup(this.folder + JOINING));
    this.#removeAfterJoin = this.#isJoining && !removed;
    if (this.#removeAfterJoin) return false;
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

/** Writing `0` moves the writer itself. Every shell reports the failed write when the kernel refuses. */
export function joinCgroup(folder: string): Fragment {
  const join = '{ echo 0 >"$1/cgroup.procs"; } 2>/dev/null';
  return { script: `${join} || ${refusal('the cgroup $1 could not be joined')}; shift`, values: [folder] };
}
