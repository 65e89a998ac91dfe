import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { errnoOf } from '../../errors.js';
import { KeptFile } from '../kept-file.js';
import type { ProcessIdentity } from '../process-table.js';

/** Memory of one process, bytes. */
export interface Memory {
  readonly resident: number;
  readonly unique: number;
}

/** The files /proc/PID/statm of one tree. An open one belongs to its process, and not to its number. */
export class MemoryFiles {
  readonly #files = new Map<number, { readonly startTime: number; readonly file: KeptFile }>();

  /** Undefined when the process is gone. */
  read({ pid, startTime }: ProcessIdentity): Memory | undefined {
    let known = this.#files.get(pid);
    if (known?.startTime !== startTime) {
      known?.file.close();
      known = { startTime, file: new KeptFile(`/proc/${pid}/statm`) };
      this.#files.set(pid, known);
    }
    try {
      // `size resident shared …`, in pages.
      const [, resident, shared] = known.file.read().split(' ', 3);
      return { resident: Number(resident) * pageSize(), unique: (Number(resident) - Number(shared)) * pageSize() };
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '')) throw error;
      this.#files.delete(pid);
      return undefined;
    }
  }

  /** Closes those of processes that are not among these. */
  closeOthers(processes: readonly ProcessIdentity[]): void {
    if (this.#files.size === 0) return;
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
