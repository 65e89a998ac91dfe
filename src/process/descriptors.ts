import type { ChildProcess } from 'node:child_process';
import { errnoOf } from '../errors.js';

/** Each closes what it keeps open without need; false when there was nothing. */
const reserves = new Set<() => boolean>();

/** Adds descriptors that this host can get back when it has none left. */
export function addReserve(giveBack: () => boolean): void {
  reserves.add(giveBack);
}

/**
 * Does what needs a descriptor. When this host has none left, those of the reserves are closed, and it is done again.
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

/** ENFILE: the whole machine has none left. */
function isScarce(error: unknown): boolean {
  return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '');
}

function giveBack(): boolean {
  return [...reserves].map((reserve) => reserve()).includes(true);
}
