import { dirname } from 'node:path';
import { cgroupMounts, folderOf, ownCgroup } from '../cgroup/cgroup-location.js';
import type { SystemFiles } from './system-files.js';

/** The cgroups that have a controller, from that of this process to the topmost that is visible here. */
export interface CgroupChain {
  readonly version: 1 | 2;
  readonly folders: readonly string[];
}

export interface OwnChains {
  readonly memory: CgroupChain;
  readonly cpu: CgroupChain;
  readonly pids: CgroupChain;
  /** The cgroup of this process in version 2, where there is one. */
  readonly own: string | undefined;
}

/** On a machine with thousands of containers. */
const LONGEST_MOUNTINFO = 16_777_216;

/** Finds the cgroups of this process. They are looked up again only when it was moved to another one. */
export class OwnCgroups {
  readonly #files: SystemFiles;
  #text: string | undefined;
  #chains: OwnChains = NONE;

  constructor(files: SystemFiles) {
    this.#files = files;
  }

  get(): OwnChains {
    const text = this.#files.read('/proc/self/cgroup');
    if (text !== this.#text) {
      this.#text = text;
      this.#chains = text === undefined ? NONE : this.#find(text);
    }
    return this.#chains;
  }

  #find(text: string): OwnChains {
    const mountinfo = this.#files.read('/proc/self/mountinfo', LONGEST_MOUNTINFO) ?? '';
    const unified = this.#folders(mountinfo, text);
    const chain = (controller: string): CgroupChain => {
      const folders = this.#folders(mountinfo, text, controller);
      return folders.length > 0 ? { version: 1, folders } : { version: 2, folders: unified };
    };
    return { memory: chain('memory'), cpu: chain('cpu'), pids: chain('pids'), own: unified[0] };
  }

  /** Empty where no mount shows it. A controller belongs to one version only; without one, those of version 2. */
  #folders(mountinfo: string, text: string, controller?: string): string[] {
    const path = ownCgroup(text, controller);
    if (path === undefined) return [];
    for (const mount of cgroupMounts(mountinfo, controller)) {
      const own = folderOf(path, mount);
      if (own === undefined || this.#files.stat(own) === undefined) continue;
      const folders = [own];
      for (let folder = own; folder !== mount.folder && folder !== dirname(folder); ) {
        folder = dirname(folder);
        folders.push(folder);
      }
      return folders;
    }
    return [];
  }
}

const EMPTY: CgroupChain = { version: 2, folders: [] };
const NONE: OwnChains = { memory: EMPTY, cpu: EMPTY, pids: EMPTY, own: undefined };
