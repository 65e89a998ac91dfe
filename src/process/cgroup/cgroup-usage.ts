import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KeptFile } from '../kept-file.js';
import type { CgroupFigures } from '../usage/process-usage.js';
import { machineSwap, type Swap } from '../usage/swap.js';
import { countIn, readKept } from './cgroup-files.js';

/** What of a cgroup's memory the kernel takes back when memory is short: copies of files, and what it knows of folders. */
const RECLAIMABLE = ['inactive_file', 'active_file', 'slab_reclaimable'];

/** Of which memory a cgroup knows: of all that was in it; of what came in since a server was moved in; of none. */
export type CountedMemory = 'whole' | 'part' | 'none';

/**
 * What the kernel counts for a cgroup. Memory without what it can take back at any time: a server that only reads large files
 * would seem to grow up to its limit. Processes that share memory share the count.
 */
export class CgroupUsage {
  readonly #folder: string;
  readonly #swap: Swap;
  readonly #files = new Map<string, KeptFile>();

  constructor(folder: string, swap = machineSwap) {
    this.#folder = folder;
    this.#swap = swap;
  }

  figures(counted: CountedMemory): CgroupFigures {
    const micros = countIn(this.#read('cpu.stat'), 'usage_usec');
    const cpuTime = micros === undefined ? undefined : micros / 1_000;
    const memory = counted === 'none' ? undefined : this.#memory();
    return { memory, cpuTime, ...(counted === 'part' ? { isPart: true } : {}) };
  }

  /** Closes its files. It can be used again. */
  close(): void {
    for (const file of this.#files.values()) file.close();
  }

  #memory(): number | undefined {
    const current = this.#read('memory.current');
    if (current === '') return undefined;
    const stat = this.#read('memory.stat');
    const less = RECLAIMABLE.reduce((sum, key) => sum + (countIn(stat, key) ?? 0), 0);
    const swapped = this.#swap.isUsed() ? Number(this.#read('memory.swap.current')) : 0;
    // The files are read one after the other.
    return Math.max(0, Number(current) - less) + swapped;
  }

  #read(name: string): string {
    const file = this.#files.get(name) ?? new KeptFile(join(this.#folder, name));
    this.#files.set(name, file);
    return readKept(file);
  }
}

/** Whether a cgroup has a memory controller. One that gets it later counts only from then on. */
export function countsMemory(folder: string): boolean {
  return existsSync(join(folder, 'memory.current'));
}
