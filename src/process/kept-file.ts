import { closeSync, openSync, readSync } from 'node:fs';
import { addReserve, areDescriptorsScarce, mayKeep, withDescriptor } from './descriptors.js';

/** The most files that are kept open, if the host has so many descriptors. Beyond, a file is opened for each read. */
const MOST = 2_048;
/** How long none is kept after the host had few descriptors left, or none, ms. */
const SCARCE = 60_000;
/** How often it is looked whether there are few, ms: the host itself cannot ask for those that are kept. */
const LOOK_INTERVAL = 1_000;
/** The kernel returns at least this much at once, unless it is the end: it fills a page, and a line of these files is short. */
const NOT_ALL = 2_048;

/** Reused: a new one for each read would cost more than the read. */
const buffer = Buffer.allocUnsafe(16_384);
const kept = new Set<KeptFile>();
let scarceUntil = Number.NEGATIVE_INFINITY;
let lookedAt = Number.NEGATIVE_INFINITY;

addReserve(closeAll, 'first');

function closeAll(): boolean {
  if (kept.size === 0) return false;
  scarceUntil = performance.now() + SCARCE;
  for (const file of kept) file.close();
  return true;
}

/** Whether the host can spare descriptors. If not, those that are kept are closed. */
function canKeep(): boolean {
  const now = performance.now();
  if (now < scarceUntil) return false;
  if (now - lookedAt < LOOK_INTERVAL) return true;
  lookedAt = now;
  if (!areDescriptorsScarce()) return true;
  closeAll();
  scarceUntil = now + SCARCE;
  return false;
}

/**
 * A file of the kernel that is read again and again, and stays open meanwhile: to open and close it takes several times as long
 * as to read it. Closed when the host has few descriptors left; the next read opens it again.
 */
export class KeptFile {
  readonly #path: string;
  #descriptor: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws with the errno: ENOENT when there is no such file, ESRCH or ENODEV when what it belongs to is gone */
  read(): string {
    const keeps = canKeep();
    const descriptor = this.#descriptor ?? withDescriptor(() => openSync(this.#path, 'r'));
    let isRead = false;
    try {
      const text = readOpen(descriptor);
      isRead = true;
      return text;
    } finally {
      if (this.#descriptor !== undefined) {
        if (!isRead) this.close();
      } else if (isRead && keeps) this.#keepOrClose(descriptor);
      else closeSync(descriptor);
    }
  }

  /** It can be read again: that opens it again. */
  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
    kept.delete(this);
  }

  #keepOrClose(descriptor: number): void {
    // The open itself may have found that there are none left.
    if (kept.size >= mayKeep(MOST) || performance.now() < scarceUntil) return closeSync(descriptor);
    this.#descriptor = descriptor;
    kept.add(this);
  }
}

/** All of an open file of the kernel, from its begin. */
export function readOpen(descriptor: number): string {
  let length = readSync(descriptor, buffer, 0, buffer.length, 0);
  let text = buffer.toString('latin1', 0, length);
  for (let position = length; length >= NOT_ALL; position += length) {
    length = readSync(descriptor, buffer, 0, buffer.length, position);
    text += buffer.toString('latin1', 0, length);
  }
  return text;
}
