import { readFileSync } from 'node:fs';
import { withDescriptor } from '../descriptors.js';

/** How often it is looked whether anything is swapped out, ms. */
const INTERVAL = 30_000;
const KB = 1_024;

/**
 * What of the memory of processes is swapped out. It is no resident memory any more, so a leak would seem to give memory back
 * where the machine swaps.
 */
export class Swap {
  readonly #root: string;
  readonly #now: () => number;
  #looked = { at: Number.NEGATIVE_INFINITY, isUsed: false };

  /**
   * @param root where `proc` is, without a slash at the end
   * @param now monotonic, ms
   */
  constructor(root = '', now = () => performance.now()) {
    this.#root = root;
    this.#now = now;
  }

  /** Whether anything of this machine is swapped out. Hardly costs anything: it is looked up twice a minute. */
  isUsed(): boolean {
    const now = this.#now();
    if (now - this.#looked.at < INTERVAL) return this.#looked.isUsed;
    const text = this.#read('meminfo');
    const [total, free] = ['SwapTotal', 'SwapFree'].map((key) => sizeIn(text, key));
    this.#looked = { at: now, isUsed: (total ?? 0) > (free ?? 0) };
    return this.#looked.isUsed;
  }

  #read(file: string): string {
    try {
      return withDescriptor(() => readFileSync(`${this.#root}/proc/${file}`, 'latin1'));
    } catch {
      return '';
    }
  }
}

/** The value of a line such as `VmSwap:  120 kB`, bytes. */
export function sizeIn(text: string, key: string): number | undefined {
  const kB = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  return kB === undefined ? undefined : Number(kB) * KB;
}

/** That of this machine. */
export const machineSwap = new Swap();
