import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { errnoOf } from '../../errors.js';
import { KeptFile } from '../kept-file.js';
import type { ProcessIdentity } from '../process-table.js';
import { machineSwap, type Swap } from './swap.js';

/** Memory of one process, bytes. */
export interface Memory {
  readonly resident: number;
  /** Resident less shared, and what was swapped out of it. */
  readonly unique: number;
}

/** How old the figure of what is swapped out may be, ms: it changes slowly, and to read it costs as much as all the rest. */
const SWAP_AGE = 30_000;
/** By how much resident memory must have changed for another figure, bytes. */
const NOTABLE = 262_144;

interface Known {
  readonly startTime: number;
  readonly file: KeptFile;
  /** What of it is swapped out, bytes, and its resident memory when that was read. */
  readonly swap: { out: number; resident: number; readAt: number };
}

/** The files /proc/PID/statm of one tree. An open one belongs to its process, and not to its number. */
export class MemoryFiles {
  readonly #files = new Map<number, Known>();
  readonly #root: string;
  readonly #swap: Swap;
  readonly #now: () => number;

  /** @param root where `proc` is, without a slash at the end */
  constructor(root = '', swap = machineSwap, now = () => performance.now()) {
    this.#root = root;
    this.#swap = swap;
    this.#now = now;
  }

  /** Undefined when the process is gone. */
  read({ pid, startTime }: ProcessIdentity): Memory | undefined {
    let known = this.#files.get(pid);
    if (known?.startTime !== startTime) {
      known?.file.close();
      const file = new KeptFile(`${this.#root}/proc/${pid}/statm`);
      known = { startTime, file, swap: { out: 0, resident: 0, readAt: Number.NEGATIVE_INFINITY } };
      this.#files.set(pid, known);
    }
    try {
      // `size resident shared …`, in pages.
      const [, pages, shared] = known.file.read().split(' ', 3);
      const resident = Number(pages) * pageSize();
      return { resident, unique: resident - Number(shared) * pageSize() + this.#swappedOut(pid, known, resident) };
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '')) throw error;
      this.#files.delete(pid);
      return undefined;
    }
  }

  /** Read anew when it may have changed: what is swapped out leaves resident memory, what comes back returns to it. */
  #swappedOut(pid: number, { swap }: Known, resident: number): number {
    if (!this.#swap.isUsed()) return 0;
    const now = this.#now();
    const change = resident - swap.resident;
    const isMoved = change < -NOTABLE || (change > NOTABLE && swap.out > 0);
    if (isMoved || now - swap.readAt >= SWAP_AGE)
      Object.assign(swap, { out: this.#swap.of(pid), resident, readAt: now });
    return swap.out;
  }

  /** Of how many processes it has a file. */
  get size(): number {
    return this.#files.size;
  }

  /** Closes those of processes that are not among these. */
  closeOthers(processes: readonly ProcessIdentity[]): void {
    const wanted = new Set(processes.map(({ pid }) => pid));
    for (const pid of this.#files.keys()) if (!wanted.has(pid)) this.#close(pid);
  }

  close(): void {
    for (const pid of this.#files.keys()) this.#close(pid);
  }

  #close(pid: number): void {
    this.#files.get(pid)?.file.close();
    this.#files.delete(pid);
  }
}

let page: number | undefined;

/** As the kernel tells each program; 4,096 on x86-64, up to 65,536 on arm64. */
function pageSize(): number {
  page ??= pageSizeIn(readFileSync('/proc/self/auxv'));
  return page;
}

/** AT_PAGESZ */
const PAGE_SIZE = 6n;

/** @param vector pairs of a key and a value, as wide as an address of this process */
export function pageSizeIn(vector: Buffer, wide = !['arm', 'ia32', 'mipsel'].includes(process.arch)): number {
  const isLittle = endianness() === 'LE';
  const width = wide ? 8 : 4;
  const at = (offset: number) => {
    if (wide) return isLittle ? vector.readBigUInt64LE(offset) : vector.readBigUInt64BE(offset);
    return BigInt(isLittle ? vector.readUInt32LE(offset) : vector.readUInt32BE(offset));
  };
  for (let offset = 0; offset + 2 * width <= vector.length; offset += 2 * width) {
    if (at(offset) === PAGE_SIZE) return Number(at(offset + width));
  }
  return 4_096;
}
