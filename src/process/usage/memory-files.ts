import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import type { ProcessIdentity } from '../process-table.js';
import { isGone, StatmFile } from './statm-file.js';
import { KnownFigures } from './status-figures.js';

/** Memory of one process, bytes. */
export interface Memory {
  readonly resident: number;
  /** Resident less shared, and what was swapped out of it. */
  readonly unique: number;
  /** Of what is shared that which is no copy of a file. Its end frees it, unless another process has it, too. */
  readonly sharedMemory: number;
}

interface Known {
  readonly startTime: number;
  readonly file: StatmFile;
  readonly figures: KnownFigures;
}

/** The memory of the processes of one tree. */
export class MemoryFiles {
  readonly #files = new Map<number, Known>();
  readonly #root: string;
  readonly #newFigures: () => KnownFigures;
  readonly #now: () => number;

  /** @param root where `proc` is, without a slash at the end */
  constructor(root = '', newFigures = () => new KnownFigures(), now = () => performance.now()) {
    this.#root = root;
    this.#newFigures = newFigures;
    this.#now = now;
  }

  /** Undefined when the process is gone. */
  read({ pid, startTime }: ProcessIdentity): Memory | undefined {
    let known = this.#files.get(pid);
    if (known?.startTime !== startTime) {
      known?.file.close();
      known = { startTime, file: new StatmFile(`${this.#root}/proc/${pid}`), figures: this.#newFigures() };
      this.#files.set(pid, known);
    }
    try {
      const { file, figures } = known;
      const [, all, some] = file.read().split(' ', 3);
      const resident = Number(all) * pageSize();
      const shared = Number(some) * pageSize();
      const { swappedOut, sharedMemory } = figures.at(this.#now(), file.folder, resident, shared);
      return { resident, unique: resident - shared + swappedOut, sharedMemory };
    } catch (error) {
      if (!isGone(error)) throw error;
      known.file.close();
      this.#files.delete(pid);
      return undefined;
    }
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

/** The memory of one process, once: nothing stays open. Undefined when it is gone. */
export function readMemory(identity: ProcessIdentity): Memory | undefined {
  const files = new MemoryFiles();
  try {
    return files.read(identity);
  } finally {
    files.close();
  }
}

let page: number | undefined;

/** As the kernel gives it to each program; 4,096 on x86-64, up to 65,536 on arm64. */
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
