import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { errnoOf } from '../errors.js';
import { DescriptorCount } from './descriptor-count.js';

/** Each closes what it keeps open; false when there was nothing. */
const reserves: (() => boolean)[] = [];

/**
 * Adds descriptors that this host can get back when it has none left.
 * @param when those by which processes are distinguished are given back last: without them a signal is less sure
 */
export function addReserve(giveBack: () => boolean, when: 'first' | 'last'): void {
  if (when === 'first') reserves.unshift(giveBack);
  else reserves.push(giveBack);
}

/**
 * Does what needs a descriptor. When this host has none left, those of one reserve after the other are closed, and it is done
 * again.
 * @throws what `open` throws
 */
export function withDescriptor<T>(open: () => T): T {
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (!isScarce(error) || !giveBack()) throw error;
    }
  }
}

/** As {@link withDescriptor}, for a child process, which needs some at once. */
export function spawnWithDescriptors(spawn: () => ChildProcess): ChildProcess {
  for (;;) {
    const child = spawn();
    // Only then Node makes no streams. The error event follows.
    const isRefused = child.pid === undefined && child.stdin === undefined;
    if (!isRefused || !giveBack()) return child;
    child.once('error', () => {});
  }
}

/** One part of all descriptors of this host is the most that the library keeps open for one purpose; there are two. */
const PART = 8;
/** So few are left that the host needs them: this many, or a quarter of a small limit. */
const FEW = 64;
/** As the kernel's default; where it cannot be read, so that it is not taken for more. */
const USUAL = 1_024;

/** How many files may be kept open for one purpose: no host may find that the library has most of its descriptors. */
export function mayKeep(most: number): number {
  return Math.min(most, Math.floor(allowed() / PART));
}

/** Whether this host has few descriptors left. Takes some microseconds, before Linux 6.2 one for each of them. */
export function areDescriptorsScarce(): boolean {
  try {
    const most = allowed();
    return most - (count.read(most) ?? 0) < Math.min(FEW, most / 4);
  } catch {
    // EMFILE.
    return true;
  }
}

let limit: number | undefined;

/** Node raises its limit when it starts, and never again. */
function allowed(): number {
  try {
    limit ??= Number(/^Max open files\s+(\d+) /m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? Infinity);
  } catch {
    return USUAL;
  }
  return limit;
}

const count = new DescriptorCount(
  { size: () => statSync('/proc/self/fd').size, names: () => readdirSync('/proc/self/fd').length },
  () => performance.now(),
);

/** ENFILE: the whole machine has none left. */
function isScarce(error: unknown): boolean {
  return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '');
}

function giveBack(): boolean {
  return reserves.some((reserve) => reserve());
}
