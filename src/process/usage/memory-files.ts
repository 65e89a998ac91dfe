import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { errnoOf } from '../../errors.js';
import { addReserve, withDescriptor } from '../descriptors.js';
import type { ProcessIdentity } from '../process-table.js';

/** The most files that are kept open, for all trees. */
const MOST = 1_024;
/** How long none is kept after the host had no descriptor left, ms. */
const SCARCE = 60_000;

const text = Buffer.allocUnsafe(256);
/** All that keep files open. */
const users = new Set<MemoryFiles>();
let kept = 0;
let scarceUntil = Number.NEGATIVE_INFINITY;

addReserve(() => {
  if (kept === 0) return false;
  scarceUntil = performance.now() + SCARCE;
  for (const files of users) files.close();
  return true;
});

/** Memory of one process, bytes. */
export interface Memory {
  readonly resident: number;
  readonly unique: number;
}

/**
 * The files /proc/PID/statm of one tree. They stay open from sample to sample: opening and closing one takes three times as
 * long as reading it. An open one belongs to its process, and not to its number.
 */
export class MemoryFiles {
  readonly #open = new Map<number, { readonly startTime: number; readonly descriptor: number }>();

  /** Undefined when the process is gone. */
  read(process: ProcessIdentity): Memory | undefined {
    const known = this.#open.get(process.pid);
    if (known?.startTime === process.startTime) return readOpen(known.descriptor);
    const descriptor = open(process.pid);
    if (descriptor === undefined) return undefined;
    let memory: Memory | undefined;
    try {
      memory = readOpen(descriptor);
    } finally {
      if (memory === undefined || !this.#keep(process, descriptor)) closeSync(descriptor);
    }
    return memory;
  }

  /** Closes those of processes that are not among these. */
  closeOthers(processes: readonly ProcessIdentity[]): void {
    if (this.#open.size === 0) return;
    const wanted = new Map(processes.map(({ pid, startTime }) => [pid, startTime]));
    for (const [pid, { startTime }] of this.#open) if (wanted.get(pid) !== startTime) this.#close(pid);
  }

  close(): void {
    for (const pid of this.#open.keys()) this.#close(pid);
  }

  /** False when there are too many. */
  #keep({ pid, startTime }: ProcessIdentity, descriptor: number): boolean {
    if (kept >= MOST || performance.now() < scarceUntil) return false;
    this.#open.set(pid, { startTime, descriptor });
    users.add(this);
    kept += 1;
    return true;
  }

  #close(pid: number): void {
    const file = this.#open.get(pid);
    if (file === undefined) return;
    this.#open.delete(pid);
    if (this.#open.size === 0) users.delete(this);
    kept -= 1;
    closeSync(file.descriptor);
  }
}

/** Undefined when there is no such process. */
function open(pid: number): number | undefined {
  try {
    return withDescriptor(() => openSync(`/proc/${pid}/statm`, 'r'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** `size resident shared …`, in pages. Undefined when its parent has collected it since it was opened. */
function readOpen(descriptor: number): Memory | undefined {
  try {
    const length = readSync(descriptor, text, 0, text.length, 0);
    const [, resident, shared] = text.toString('latin1', 0, length).split(' ', 3);
    return { resident: Number(resident) * pageSize(), unique: (Number(resident) - Number(shared)) * pageSize() };
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return undefined;
    throw error;
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
