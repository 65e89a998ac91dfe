import { readdirSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { withDescriptor } from '../descriptors.js';
import { KeptFile } from '../kept-file.js';

/** How many threads are asked for the memory of their process. One that ends is gone from the list at once. */
const MOST_THREADS = 8;

/** The file /proc/PID/statm: `size resident shared …`, in pages. An open one belongs to its process, and not to its number. */
export class StatmFile {
  readonly #process: string;
  #folder: string;
  #file: KeptFile;

  /** @param process its folder in /proc */
  constructor(process: string) {
    this.#process = process;
    this.#folder = process;
    this.#file = fileIn(process);
  }

  /** Where the process shows its memory now: its own folder, or that of a thread. */
  get folder(): string {
    return this.#folder;
  }

  /** @throws with the errno: ENOENT or ESRCH when the process is gone */
  read(): string {
    const text = this.#folder === this.#process ? this.#file.read() : (readIfThere(this.#file) ?? '');
    // Its main thread has ended, or this thread: others still have all of its memory.
    return hasMemory(text) ? text : (this.#readOther() ?? '0 0 0');
  }

  close(): void {
    this.#file.close();
  }

  /** Undefined when no thread has memory: the process ends in this moment. */
  #readOther(): string | undefined {
    const threads = `${this.#process}/task`;
    // The first is the main thread.
    for (const id of withDescriptor(() => readdirSync(threads)).slice(0, MOST_THREADS)) {
      const folder = `${threads}/${id}`;
      const file = fileIn(folder);
      const text = readIfThere(file) ?? '';
      if (!hasMemory(text)) {
        file.close();
        continue;
      }
      this.#file.close();
      this.#folder = folder;
      this.#file = file;
      return text;
    }
    return undefined;
  }
}

function fileIn(folder: string): KeptFile {
  return new KeptFile(`${folder}/statm`);
}

/** A thread that has ended shows a size of 0, or nothing. */
function hasMemory(text: string): boolean {
  return text !== '' && !text.startsWith('0 ');
}

/** Undefined when the thread is gone. */
function readIfThere(file: KeptFile): string | undefined {
  try {
    return file.read();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Whether an error means that a process or thread is gone. */
export function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '');
}
