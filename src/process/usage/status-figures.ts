import { readFileSync } from 'node:fs';
import { withDescriptor } from '../descriptors.js';
import { machineSwap, type Swap, sizeIn } from './swap.js';

/** What of the memory of a process only its file `status` shows, bytes. */
export interface StatusFigures {
  readonly swappedOut: number;
  /** Resident memory that it can share and that is no copy of a file: `MAP_SHARED`, System V, tmpfs. */
  readonly sharedMemory: number;
}

/** How old they may be, ms: they change slowly, and to read them costs as much as all the rest. */
const LONGEST = 30_000;
/** By how much resident memory must have changed for another figure, bytes. */
const NOTABLE = 262_144;
/** The same for what is shared, of which most are copies of files. */
const NOTABLE_SHARED = 1_048_576;
/** Most small programs share no more than this, bytes. They are not asked. */
const LITTLE = 4_194_304;

const NONE: StatusFigures = { swappedOut: 0, sharedMemory: 0 };

/** Those of one process. Read anew when they may have changed. */
export class KnownFigures {
  readonly #swap: Pick<Swap, 'isUsed'>;
  readonly #read: typeof readStatus;
  #figures = NONE;
  /** When they were read, and what was resident and shared then. */
  #last = { at: Number.NEGATIVE_INFINITY, resident: 0, shared: 0 };

  constructor(swap: Pick<Swap, 'isUsed'> = machineSwap, read = readStatus) {
    this.#swap = swap;
    this.#read = read;
  }

  /**
   * @param now monotonic, ms
   * @param folder where its memory is shown
   */
  at(now: number, folder: string, resident: number, shared: number): StatusFigures {
    const isSwapping = this.#swap.isUsed();
    const isSharing = shared > LITTLE;
    if (!isSwapping && !isSharing) return NONE;
    const last = this.#last;
    // What is swapped out leaves resident memory, what comes back returns to it.
    const change = resident - last.resident;
    const isMoved = isSwapping && (change < -NOTABLE || (change > NOTABLE && this.#figures.swappedOut > 0));
    const isOtherShare = isSharing && Math.abs(shared - last.shared) > NOTABLE_SHARED;
    if (isMoved || isOtherShare || now - last.at >= LONGEST) {
      this.#figures = this.#read(folder);
      this.#last = { at: now, resident, shared };
    }
    const { swappedOut, sharedMemory } = this.#figures;
    return { swappedOut: isSwapping ? swappedOut : 0, sharedMemory: isSharing ? Math.min(sharedMemory, shared) : 0 };
  }
}

/** 0 for what is not known, or gone. */
export function readStatus(folder: string): StatusFigures {
  try {
    const text = withDescriptor(() => readFileSync(`${folder}/status`, 'latin1'));
    return { swappedOut: sizeIn(text, 'VmSwap') ?? 0, sharedMemory: sizeIn(text, 'RssShmem') ?? 0 };
  } catch {
    return NONE;
  }
}
