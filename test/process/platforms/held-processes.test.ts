import { closeSync, fstatSync, openSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HeldProcesses } from '../../../src/process/platforms/held-processes.js';
import type { ProcessRow } from '../../../src/process/process-table.js';

const MINUTE = 60_000;

function row(pid: number, startTime = 5): ProcessRow {
  return { pid, startTime, parent: 1, group: pid, session: pid, dead: false, command: 'fake' };
}

function setup(most = 4) {
  const time = { now: 0 };
  const held = new HeldProcesses(most, () => time.now);
  const opened = new Set<number>();
  const isOpen = (descriptor: number) => {
    try {
      fstatSync(descriptor);
      return true;
    } catch {
      return false;
    }
  };
  onTestFinished(() => {
    for (const descriptor of opened) if (isOpen(descriptor)) closeSync(descriptor);
  });
  return {
    held,
    time,
    isOpen,
    /** Returns the descriptor that it was given. */
    keep: (pid: number, startTime = 5) => {
      const descriptor = openSync('/dev/null', 'r');
      opened.add(descriptor);
      held.keep({ pid, startTime }, descriptor);
      return descriptor;
    },
    isKept: (pid: number) => held.descriptorOf(pid) !== undefined,
  };
}

describe('processes that are held', () => {
  it('[REUSE-3] are open until they are released as often as they were held', () => {
    const { held, keep, isOpen } = setup();
    const descriptor = keep(10);
    expect(held.descriptorOf(10)).toBe(descriptor);
    expect(held.add(row(10))).toBe(true);
    held.release(row(10));
    expect(isOpen(descriptor)).toBe(true);
    held.release(row(10));
    expect(isOpen(descriptor)).toBe(false);
    expect(held.descriptorOf(10)).toBeUndefined();
    expect(held.add(row(10))).toBe(false);
  });

  it('[REUSE-3] give a start time of its own to what gets the number within the same tick, and again', () => {
    const { held, keep, isOpen } = setup();
    const descriptor = keep(10);
    expect(held.distinguish(row(10))).toEqual(row(10));
    held.noteGone(10);
    expect(isOpen(descriptor)).toBe(false);
    const second = held.distinguish(row(10));
    expect(second.startTime).toBeGreaterThan(5);
    expect(second.startTime).toBeLessThan(6);
    expect(held.add(row(10))).toBe(false);
    keep(10, second.startTime);
    expect(held.distinguish(row(10))).toEqual(second);
    held.noteGone(10);
    const third = held.distinguish(row(10));
    expect(third.startTime).toBeGreaterThan(second.startTime);
    // Exact, so that many of them are distinguished.
    expect(third.startTime - second.startTime).toBe(second.startTime - 5);
  });

  it('[REUSE-3] stay apart from the next one while they are held, also after that was held and let go', () => {
    const { held, keep } = setup();
    keep(10);
    held.noteGone(10);
    const second = held.distinguish(row(10));
    keep(10, second.startTime);
    held.release(second);
    expect(held.distinguish(row(10))).toEqual(second);
    // Released by the last that holds it, it is forgotten.
    held.release(row(10));
    expect(held.distinguish(row(10))).toEqual(row(10));
  });

  it('[REUSE-3] are never taken for another process, whoever holds and releases what has the number', () => {
    const step = fc.constantFrom('hold', 'release', 'release', 'read', 'reuse', 'reuse', 'tick');
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.nat(5)), { maxLength: 60 }), (steps) => {
        const table = new FakeTable();
        for (const [what, which] of steps) {
          table[what](which);
          table.check();
        }
        table.end();
      }),
      { numRuns: 1_000 },
    );
  });

  it('[REUSE-3] leave a process alone that began in another tick, or has another number', () => {
    const { held, keep } = setup();
    keep(10);
    held.noteGone(10);
    expect(held.distinguish(row(10, 6))).toEqual(row(10, 6));
    expect(held.distinguish(row(11))).toEqual(row(11));
  });

  it('[REUSE-3] close what is overwritten, and release only what they hold', () => {
    const { held, keep, isOpen } = setup(2);
    const first = keep(10);
    const second = keep(10, 6);
    expect([isOpen(first), isOpen(second)]).toEqual([false, true]);
    held.release(row(10));
    expect(isOpen(second)).toBe(true);
    // Its place is free again.
    expect(isOpen(keep(11))).toBe(true);
  });

  it('[REUSE-3] have a limit; beyond it only the start time is known', () => {
    const { held, keep, isOpen, isKept } = setup(2);
    const descriptors = [10, 11, 12].map((pid) => keep(pid));
    expect(descriptors.map(isOpen)).toEqual([true, true, false]);
    expect(isKept(12)).toBe(false);
    expect(held.add(row(12))).toBe(true);
    held.release(row(10));
    expect(isOpen(keep(13))).toBe(true);
  });

  it('[REUSE-10] are closed when the host needs descriptors; then there are half as many for a minute', () => {
    const { held, keep, isOpen, isKept, time } = setup();
    const descriptors = [10, 11, 12, 13].map((pid) => keep(pid));
    expect(held.giveBack()).toBe(true);
    expect(descriptors.some(isOpen)).toBe(false);
    expect(held.giveBack()).toBe(false);
    // Their start times are known still.
    expect(held.add(row(10))).toBe(true);
    for (const pid of [20, 21, 22]) keep(pid);
    expect([20, 21, 22].map(isKept)).toEqual([true, true, false]);
    time.now += MINUTE;
    for (const pid of [23, 24, 25]) keep(pid);
    expect([23, 24, 25].map(isKept)).toEqual([true, true, false]);
  });

  it('[REUSE-10] may be all open again after any number of such bursts', () => {
    const { held, keep, isKept, time } = setup();
    for (let burst = 0; burst < 10; burst++) {
      keep(burst);
      held.giveBack();
    }
    time.now += MINUTE;
    for (const pid of [20, 21, 22, 23]) keep(pid);
    expect([20, 21, 22, 23].every(isKept)).toBe(true);
  });
});

/** One number, the process that has it now, and those that hold what had it: as the table of Linux uses what is held. */
class FakeTable {
  readonly #held = new HeldProcesses(2);
  /** Which process a descriptor shows. */
  readonly #shown = new Map<number, number>();
  readonly #claims: { readonly process: number; readonly row: ProcessRow }[] = [];
  #process = 0;
  #tick = 5;

  /** Another process gets the number. */
  reuse(): void {
    this.#process += 1;
  }

  tick(): void {
    this.#process += 1;
    this.#tick += 1;
  }

  read(): ProcessRow {
    const descriptor = this.#held.descriptorOf(10);
    if (descriptor !== undefined && this.#shown.get(descriptor) !== this.#process) this.#held.noteGone(10);
    return this.#held.distinguish(row(10, this.#tick));
  }

  hold(): void {
    if (this.#held.descriptorOf(10) !== undefined) {
      const known = this.read();
      if (this.#held.add(known)) return void this.#claims.push({ process: this.#process, row: known });
    }
    const now = this.#held.distinguish(row(10, this.#tick));
    const descriptor = openSync('/dev/null', 'r');
    this.#shown.set(descriptor, this.#process);
    if (this.#held.add(now)) closeSync(descriptor);
    else this.#held.keep(now, descriptor);
    this.#claims.push({ process: this.#process, row: now });
  }

  release(which: number): void {
    const [claim] = this.#claims.splice(which % Math.max(1, this.#claims.length), 1);
    if (claim) this.#held.release(claim.row);
  }

  /** No claim shows another process than that which it was made for. */
  check(): void {
    const { startTime } = this.read();
    const wrong = this.#claims.filter((claim) => claim.row.startTime === startTime && claim.process !== this.#process);
    expect(wrong).toEqual([]);
  }

  end(): void {
    while (this.#claims.length > 0) this.release(0);
    expect(this.#held.descriptorOf(10)).toBeUndefined();
  }
}
