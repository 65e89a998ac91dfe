import { lstatSync, mkdirSync, rmdirSync, statfsSync } from 'node:fs';
import { basename, isAbsolute, join, normalize } from 'node:path';
import type { CgroupLimits } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import type { HostMark } from '../marks/marker.js';
import { killGroup, removeGroup } from './cgroup-files.js';
import { enableController, limitFiles, setLimit } from './cgroup-limits.js';
import { InstanceGroup } from './instance-cgroup.js';

const PREFIX = 'mcp-server-pool-';
/** As statfs(2) calls the file system. */
const CGROUP2 = 0x6367_7270;

const made = new Set<string>();
const listeners = new Set<(folder: string) => void>();

/** The groups of this host that were made so far. One that has no server just now may be missing as a folder. */
export function hostGroups(): string[] {
  return [...made];
}

/** Calls `listener` with each group of this host that is made from now on, before a server is in it. Returns what ends that. */
export function onHostGroup(listener: (folder: string) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Kills every server of a host by one write, from any process that may. */
export function killHostGroup(folder: string, mark: HostMark): void {
  if (isGroupOf(folder, mark)) killGroup(folder);
}

/** Removes the group of a host that is dead. False when somebody lives there still. */
export function removeHostGroup(folder: string, mark: HostMark): boolean {
  return isGroupOf(folder, mark) && removeGroup(folder);
}

/**
 * Whether a folder is the cgroup of the host with that mark. What stands in a file may be wrong, or written by somebody who
 * would have us kill others: a link, a folder that looks like one, the group of another host.
 */
export function isGroupOf(folder: string, mark: HostMark): boolean {
  if (!isAbsolute(folder) || normalize(folder) !== folder || basename(folder) !== `${PREFIX}${mark.text}`) return false;
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && statfsSync(folder).type === CGROUP2;
}

/** What was killed is gone within a millisecond or two; no host is held up for longer than this, ms. */
const LAST_WAIT = 50;

/** For the last tick of this host, when all its servers were killed: removes its groups, waiting for them to be empty. */
export function removeHostGroupsNow(): void {
  const end = performance.now() + LAST_WAIT;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (const folder of made) {
    while (!removeGroup(folder) && performance.now() < end) Atomics.wait(sleeper, 0, 0, 1);
  }
}

/** Of limits that were asked for. */
export interface MissingLimit {
  readonly option: keyof CgroupLimits;
  readonly why: string;
}

/**
 * The cgroup of this host process below `parent`, in which each instance gets one of its own. It is there while there are
 * instances.
 */
export class HostGroup {
  readonly folder: string;
  readonly #parent: string;

  constructor(parent: string, mark: HostMark) {
    this.#parent = parent;
    this.folder = join(parent, `${PREFIX}${mark.text}`);
  }

  /**
   * A group for an instance. `missing`: the limits that could not be set.
   * @throws with the errno by which the kernel refuses
   */
  make(instance: number | 'probe', limits?: CgroupLimits): { group: InstanceGroup; missing: MissingLimit[] } {
    const folder = join(this.folder, String(instance));
    this.#makeFolder(folder);
    const group = new InstanceGroup(folder, () => this.#tidy());
    try {
      const missing = limitFiles(limits ?? NO_LIMITS).flatMap((limit) => {
        const why = enableController(this.#parent, this.folder, limit.controller) ?? setLimit(folder, limit);
        return why === undefined ? [] : [{ option: limit.option, why }];
      });
      return { group, missing };
    } catch (error) {
      group.remove();
      throw error;
    }
  }

  /** That of the host is mostly there already. */
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
    for (const listener of [...listeners]) listener(this.folder);
  }

  /** Not while other instances have theirs; another copy of the package may have some. */
  #tidy(): void {
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
