import { lstatSync, mkdirSync, rmdirSync, statfsSync } from 'node:fs';
import { basename, isAbsolute, join, normalize } from 'node:path';
import type { CgroupLimits } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import type { HostMark } from '../marks/marker.js';
import type { ProcessTable } from '../process-table.js';
import { moveStrangersOut } from './adoption.js';
import { cgroupPids, cgroupsIn, isPopulated, JOINING, killCgroup, removeCgroup } from './cgroup-files.js';
import { enableController, limitFiles, setLimit } from './cgroup-limits.js';
import { InstanceCgroup } from './instance-cgroup.js';

/** The name of a host's cgroup: this, and the id of the host. */
export const CGROUP_PREFIX = 'mcp-server-pool-';
/** The type that statfs(2) reports for cgroup2. */
const CGROUP2 = 0x6367_7270;
/** How long the exit of the host may be delayed, ms: a killed process leaves its cgroup within a millisecond or two. */
const EXIT_WAIT = 50;

/** The folders of all host cgroups that this thread has made. */
const made = new Set<string>();
const listeners = new Set<(folder: string) => void>();

/** A limit that was asked for and could not be set. */
export interface MissingLimit {
  readonly option: keyof CgroupLimits;
  readonly why: string;
}

/**
 * The cgroup of this host process below `parent`. Each instance gets a cgroup in it. The folder exists only while there
 * are instances.
 */
export class HostCgroup {
  readonly folder: string;
  readonly #parent: string;

  constructor(parent: string, mark: HostMark) {
    this.#parent = parent;
    this.folder = join(parent, `${CGROUP_PREFIX}${mark.id}`);
  }

  /**
   * Makes the cgroup of an instance.
   * @throws with the errno when the kernel refuses
   */
  make(instance: number | 'probe', limits?: CgroupLimits): { cgroup: InstanceCgroup; missing: MissingLimit[] } {
    const folder = join(this.folder, String(instance));
    this.#makeFolder(folder);
    const cgroup = new InstanceCgroup(folder, () => this.#removeIfEmpty());
    try {
      const missing = limitFiles(limits ?? NO_LIMITS).flatMap((limit) => {
        const why = enableController(this.#parent, this.folder, limit.controller) ?? setLimit(folder, limit);
        return why === undefined ? [] : [{ option: limit.option, why }];
      });
      cgroup.noteControllers();
      return { cgroup, missing };
    } catch (error) {
      cgroup.remove();
      throw error;
    }
  }

  #makeFolder(folder: string): void {
    try {
      mkdirSync(folder);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      mkdirSync(this.folder);
      mkdirSync(folder);
    }
    if (made.has(this.folder)) return;
    made.add(this.folder);
    setImmediate(removeIdleHostCgroups, this.#parent).unref();
    for (const listener of [...listeners]) listener(this.folder);
  }

  /** Fails while other instances have cgroups in it, also those of another copy of the package. */
  #removeIfEmpty(): void {
    try {
      rmdirSync(this.folder);
    } catch {
      // ENOTEMPTY, EBUSY.
    }
  }
}

const NO_LIMITS: CgroupLimits = {
  memoryMB: undefined,
  swapMB: undefined,
  processes: undefined,
  cpuPercent: undefined,
};

/** The folders of this host's cgroups so far. A folder may be missing while no server runs. */
export function hostCgroups(): string[] {
  return [...made];
}

/**
 * Calls `listener` with the folder of each new cgroup of this host, before a server is in it. Returns a function that
 * ends this.
 */
export function onHostCgroup(listener: (folder: string) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Kills every server of a host, from any process that has the permission. */
export function killHostCgroup(folder: string, mark: Pick<HostMark, 'id'>): void {
  for (const cgroup of ownPartsOf(folder, mark)) killCgroup(cgroup);
}

/** The processes of a dead host in its cgroup, as far as it is sure that they are its own. */
export function hostCgroupPids(folder: string, mark: Pick<HostMark, 'id'>): number[] {
  return ownPartsOf(folder, mark).flatMap((cgroup) => [...cgroupPids(cgroup)]);
}

/** Moves strangers out of the cgroup of a dead host: it had died while it moved a server in. */
export async function freeStrangers(folder: string, mark: Pick<HostMark, 'id'>, table: ProcessTable): Promise<void> {
  if (!isCgroupOf(folder, mark)) return;
  for (const cgroup of joiningIn(folder)) await moveStrangersOut(cgroup, table, (rows) => [...rows.values()]);
}

/** The whole cgroup of a host, or those of its instances in which no stranger can be. Empty for any other folder. */
function ownPartsOf(folder: string, mark: Pick<HostMark, 'id'>): string[] {
  if (!isCgroupOf(folder, mark)) return [];
  const joining = new Set(joiningIn(folder));
  if (joining.size === 0) return [folder];
  return cgroupsIn(folder).filter((cgroup) => !cgroup.endsWith(JOINING) && !joining.has(cgroup));
}

/** The cgroups of instances that were moving in when their host died. */
function joiningIn(folder: string): string[] {
  const flags = cgroupsIn(folder).filter((cgroup) => cgroup.endsWith(JOINING));
  return flags.map((flag) => flag.slice(0, -JOINING.length));
}

/** Removes the cgroup of a dead host. False while a process lives in it. */
export function removeHostCgroup(folder: string, mark: Pick<HostMark, 'id'>): boolean {
  return isCgroupOf(folder, mark) && removeCgroup(folder);
}

/**
 * How long a cgroup of a host must have been unchanged, ms: no folder was made or removed in it. When its last process left is
 * not shown. A start takes milliseconds from the folder to the process in it.
 */
const IDLE = 3_600_000;
/** The most that one host removes. */
const MOST_REMOVED = 100;

/**
 * Removes the empty cgroups that other hosts have left. After a host that was killed together with its guardian, and without a
 * ledger, nothing else removes them. Nothing is killed. A host that lives makes its folder again when it needs it.
 */
export function removeIdleHostCgroups(parent: string, now = Date.now()): void {
  let removed = 0;
  for (const folder of hostCgroupsIn(parent)) {
    if (removed >= MOST_REMOVED) return;
    try {
      if (removeIfIdle(folder, now)) removed += 1;
    } catch {
      // Of this one: EACCES; ENOENT: another host removes it.
    }
  }
}

/** Those of other hosts. */
function hostCgroupsIn(parent: string): string[] {
  try {
    return cgroupsIn(parent).filter(
      (folder) => /^mcp-server-pool-[0-9a-f]{32}$/.test(basename(folder)) && !made.has(folder),
    );
  } catch {
    // EACCES, EMFILE.
    return [];
  }
}

function removeIfIdle(folder: string, now: number): boolean {
  if (!isCgroupOf(folder, { id: basename(folder).slice(CGROUP_PREFIX.length) }) || isPopulated(folder)) return false;
  const changed = [folder, ...cgroupsIn(folder)].map((one) => lstatSync(one).mtimeMs);
  return Math.max(...changed) < now - IDLE && removeCgroup(folder);
}

/**
 * Whether a folder is the cgroup of the host with that mark. The path comes from a file, which may be wrong or forged:
 * it could name a link, an ordinary folder of that name, or the cgroup of another host.
 */
export function isCgroupOf(folder: string, mark: Pick<HostMark, 'id'>): boolean {
  if (!isAbsolute(folder) || normalize(folder) !== folder || basename(folder) !== `${CGROUP_PREFIX}${mark.id}`)
    return false;
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && statfsSync(folder).type === CGROUP2;
}

/**
 * For the last tick of this host, after all its servers were killed: waits until its cgroups are empty, and removes
 * them.
 */
export function removeHostCgroupsNow(): void {
  const end = performance.now() + EXIT_WAIT;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (const folder of made) {
    while (!removeCgroup(folder) && performance.now() < end) Atomics.wait(sleeper, 0, 0, 1);
  }
}
