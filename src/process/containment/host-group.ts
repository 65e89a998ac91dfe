import { mkdirSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CgroupLimits } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import { killGroup, removeGroup } from './cgroup-files.js';
import { enableController, limitFiles, setLimit } from './cgroup-limits.js';
import { InstanceGroup } from './instance-group.js';
import { type HostMark, parseHostMark } from './marker.js';

const PREFIX = 'mcp-server-pool-';

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

/**
 * Kills every server of a host by one write, from any process that may. A folder that is no group of a host's is refused:
 * what stands in a file or on a command line may be wrong.
 */
export function killHostGroup(folder: string): void {
  if (isHostGroup(folder)) killGroup(folder);
}

/** Removes the group of a host that is dead. False when somebody lives there still. */
export function removeHostGroup(folder: string): boolean {
  return isHostGroup(folder) && removeGroup(folder);
}

/** What was killed is gone within a millisecond or two; no host is held up for longer than this, ms. */
const LAST_WAIT = 50;

/** For the last tick of this host, when all its servers were killed: removes its groups, waiting for them to be empty. */
export function removeHostGroupsNow(): void {
  const end = performance.now() + LAST_WAIT;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (const folder of made) {
    while (!removeHostGroup(folder) && performance.now() < end) Atomics.wait(sleeper, 0, 0, 1);
  }
}

function isHostGroup(folder: string): boolean {
  const name = basename(folder);
  return name.startsWith(PREFIX) && parseHostMark(name.slice(PREFIX.length)) !== undefined;
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
