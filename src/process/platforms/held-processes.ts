import { closeSync } from 'node:fs';
import { mayKeep } from '../descriptors.js';
import type { ProcessIdentity, ProcessRow } from '../process-table.js';

/** The most descriptors for it, if the host has so many. Beyond, a process is known by pid and start time alone. */
const MOST = 512;
/** How long there are fewer of them after the host had none left, ms: it may need the others again. */
const SCARCE = 60_000;

/** How much later a process counts that got the number of a held one within the same tick. A sum of them is exact. */
const LATER = 1 / 1024;

interface Held {
  readonly startTime: number;
  holders: number;
  /** Its /proc/PID/stat. Undefined: given back to the host, so that only the start time is left. */
  descriptor: number | undefined;
  /** Whether the descriptor has shown that its parent has collected it. */
  gone: boolean;
}

/**
 * Keeps /proc/PID/stat of processes open. Such a descriptor belongs to one process, and not to a number: reads fail when that
 * process was collected by its parent, also if another process has the number by then. The start time alone does not show
 * this when both began within the same hundredth of a second.
 *
 * So a process with the number of a held one gets a start time that no other held process has: a fraction of a tick later. Each
 * entry stays until its own holders have released it, also when the number has another process by then.
 */
export class HeldProcesses {
  /** By number. Those that had it before, and are held still, stand first; all but the last are gone. */
  readonly #held = new Map<number, Held[]>();
  readonly #most: number;
  readonly #now: () => number;
  #descriptors = 0;
  /** The most until that time. */
  #scarce = { most: 0, until: Number.NEGATIVE_INFINITY };

  /**
   * @param most descriptors
   * @param now ms, for tests
   */
  constructor(most = MOST, now = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** The descriptor by which that process is read. */
  descriptorOf(pid: number): number | undefined {
    return this.#last(pid)?.descriptor;
  }

  /** Call it when the descriptor, or the lack of any process with the number, has shown that the process is gone. */
  noteGone(pid: number): void {
    const held = this.#last(pid);
    if (held) this.#markGone(held);
  }

  /** The row with the start time by which its process is known. */
  distinguish(row: ProcessRow): ProcessRow {
    const held = this.#last(row.pid);
    if (held === undefined || Math.floor(held.startTime) !== row.startTime) return row;
    if (!held.gone && !Number.isInteger(held.startTime)) return { ...row, startTime: held.startTime };
    return held.gone ? { ...row, startTime: held.startTime + LATER } : row;
  }

  /** Holds a process once more. False when it is not held yet. */
  add({ pid, startTime }: ProcessIdentity): boolean {
    const held = this.#last(pid);
    if (held?.startTime !== startTime || held.gone) return false;
    held.holders += 1;
    return true;
  }

  /** @param descriptor its /proc/PID/stat; closed by this object from now on */
  keep({ pid, startTime }: ProcessIdentity, descriptor: number): void {
    // Each number belongs to one process at a time.
    const before = this.#held.get(pid) ?? [];
    for (const held of before) this.#markGone(held);
    const most = this.#now() < this.#scarce.until ? this.#scarce.most : mayKeep(this.#most);
    const isFull = this.#descriptors >= most;
    if (isFull) closeSync(descriptor);
    else this.#descriptors += 1;
    const held = { startTime, holders: 1, descriptor: isFull ? undefined : descriptor, gone: false };
    this.#held.set(pid, [...before, held]);
  }

  /** Call it as often as it was held. */
  release({ pid, startTime }: ProcessIdentity): void {
    const all = this.#held.get(pid) ?? [];
    const held = all.find((one) => one.startTime === startTime);
    if (held === undefined) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#close(held);
    const others = all.filter((one) => one !== held);
    if (others.length > 0) this.#held.set(pid, others);
    else this.#held.delete(pid);
  }

  /** Closes all descriptors, because the host has none left and needs its own. False when there was none. */
  giveBack(): boolean {
    const had = this.#descriptors > 0;
    if (had) this.#scarce = { most: this.#descriptors >> 1, until: this.#now() + SCARCE };
    for (const held of [...this.#held.values()].flat()) this.#close(held);
    return had;
  }

  /** Of those that are held, the one that has the number now, or had it last. */
  #last(pid: number): Held | undefined {
    return this.#held.get(pid)?.at(-1);
  }

  #markGone(held: Held): void {
    held.gone = true;
    this.#close(held);
  }

  #close(held: Held): void {
    if (held.descriptor === undefined) return;
    closeSync(held.descriptor);
    held.descriptor = undefined;
    this.#descriptors -= 1;
  }
}
