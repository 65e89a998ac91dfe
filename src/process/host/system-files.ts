import { closeSync, constants, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { withDescriptor } from '../descriptors.js';

/** Those that are read often have a few KB. */
const buffer = Buffer.allocUnsafe(65_536);
/** O_NONBLOCK: does not wait for the writer of a named pipe. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * Reads files of /proc and /sys below a root. Reads are synchronous: the kernel answers at once, no disk is involved. What
 * cannot be read is undefined, whatever the reason (EMFILE, too): no reading of it may stop the host.
 */
export class SystemFiles {
  readonly #root: string;

  /** @param root where `proc` and `sys` are, without a slash at the end; empty for `/` */
  constructor(root = '') {
    this.#root = root;
  }

  /** The content; undefined, too, when it is longer than `most` bytes: then it is not what it should be. */
  read(path: string, most = buffer.length): string | undefined {
    const into = most > buffer.length ? Buffer.allocUnsafe(most) : buffer;
    let descriptor: number | undefined;
    try {
      descriptor = withDescriptor(() => openSync(this.#root + path, FLAGS));
      let length = 0;
      // The kernel may give less than there is.
      for (let got = -1; got !== 0 && length < into.length; length += got) {
        got = readSync(descriptor, into, length, into.length - length, null);
      }
      return length < into.length ? into.toString('utf8', 0, length) : undefined;
    } catch {
      return undefined;
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  /** The names in a folder. */
  names(path: string): readonly string[] | undefined {
    try {
      return withDescriptor(() => readdirSync(this.#root + path));
    } catch {
      return undefined;
    }
  }

  /** Whether there is such a file, also when it cannot be read. Needs no descriptor. */
  has(path: string): boolean {
    return this.stat(path) !== undefined;
  }

  /** The owner and the size of a file. Needs no descriptor. */
  stat(path: string): { readonly uid: number; readonly size: number } | undefined {
    try {
      return statSync(this.#root + path);
    } catch {
      return undefined;
    }
  }
}

/** A whole number. From 2^53 on it is Infinity: version 1 of cgroups writes such numbers for "no limit". */
export function wholeNumber(text: string | undefined): number | undefined {
  const digits = text?.trim();
  if (digits === undefined || !/^\d{1,20}$/.test(digits)) return undefined;
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : Infinity;
}

/** A whole number or `max`, which is Infinity. */
export function limitIn(text: string | undefined): number | undefined {
  return text?.trim() === 'max' ? Infinity : wholeNumber(text);
}

/** The first number in the line that begins with this word, as in /proc/meminfo, /proc/self/limits and memory.stat. */
export function numberOf(text: string | undefined, word: string): number | undefined {
  const rest = restOf(text, word);
  const first = rest?.trim().split(/\s+/, 1)[0];
  return first === 'unlimited' ? Infinity : wholeNumber(first);
}

/** What is in the line after the word. */
export function restOf(text: string | undefined, word: string): string | undefined {
  if (text === undefined) return undefined;
  for (const end of [' ', '\t']) {
    const at = `\n${text}`.indexOf(`\n${word}${end}`);
    if (at !== -1) return text.slice(at + word.length, ends(text, at + word.length));
  }
  return undefined;
}

function ends(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}

const MB = 1_048_576;

/** Bytes as MB, to a tenth. */
export function inMB(bytes: number): number {
  return Math.round((bytes / MB) * 10) / 10;
}
