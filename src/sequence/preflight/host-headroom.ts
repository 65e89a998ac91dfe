import { statfs } from 'node:fs/promises';
import type { ResolvedRequirements } from '../../config/requirement-options.js';
import { HostSampler } from '../../process/host/host-sampler.js';
import { inMB } from '../../process/host/system-files.js';
import type { Clock } from '../../runtime/clock.js';
import { within } from '../../runtime/within.js';
import type { Headroom } from './unmet.js';

/** Tells what a host has left. */
export interface HeadroomReader {
  /** Reads what these requirements need. Must not reject: what cannot be read is left out. */
  read(requires: ResolvedRequirements): Promise<Headroom>;
}

/** What a file system may take to answer, ms. A local one needs no time at all. */
const LONGEST_ANSWER = 5_000;

/** What this host has left: of its machine, and within the container and the cgroups around this process. */
export class HostHeadroom implements HeadroomReader {
  readonly #clock: Clock;
  readonly #sampler: HostSampler;
  readonly #ask: (path: string) => Promise<number>;
  /** By path. One that hangs is not asked again: each question keeps a thread of the host. */
  readonly #asked = new Map<string, Promise<number>>();

  /** @param freeAt the space that is free at a path, MB; default: as the file system says */
  constructor(clock: Clock, freeAt = freeSpaceAt) {
    this.#clock = clock;
    this.#ask = freeAt;
    this.#sampler = new HostSampler({ clock });
  }

  async read({ freeDiskMB }: ResolvedRequirements): Promise<Headroom> {
    const paths = Object.keys(freeDiskMB);
    const disks = await Promise.all(paths.map(async (path) => [path, await this.#freeAt(path)] as const));
    const { load, memory, pids } = this.#sampler.sample();
    return {
      freeMemoryMB: memory?.availableMB,
      load: load?.[0],
      freeProcesses: pids && Math.max(0, pids.allowed - pids.used),
      freeDiskMB: Object.fromEntries(disks),
    };
  }

  async #freeAt(path: string): Promise<number | undefined> {
    const answer = this.#asked.get(path) ?? this.#askAgain(path);
    return within(this.#clock, LONGEST_ANSWER, answer).catch(() => undefined);
  }

  #askAgain(path: string): Promise<number> {
    const answer = this.#ask(path);
    this.#asked.set(path, answer);
    const forget = () => void this.#asked.delete(path);
    answer.then(forget, forget);
    return answer;
  }
}

async function freeSpaceAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return inMB(bavail * bsize);
}
