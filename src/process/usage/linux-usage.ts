import { uptime } from 'node:os';
import { type ProcessRow, type ProcessTable, TICKS_PER_SECOND } from '../process-table.js';
import { DetailReader } from './detail-reader.js';
import { areOnNetwork, ioBytesOf } from './linux-activity.js';
import { type Memory, MemoryFiles } from './memory-files.js';
import type { ProcessUsage, UsageReader, UsageSource } from './process-usage.js';

const TICK = 1_000 / TICKS_PER_SECOND;
const NO_MEMORY: Memory = { resident: 0, unique: 0, sharedMemory: 0 };
/** How long the difference between the two clocks is taken for the same, ms: reading one of them costs three system calls. */
const SAME = 1_000;

/**
 * Linux. CPU time and threads come with the rows, from the one look that has found the members; resident and shared memory from
 * /proc/PID/statm, which is some microseconds for each process and does not walk its memory, as `smaps_rollup` does.
 */
export function linuxUsage(table: ProcessTable): UsageSource {
  const details = new DetailReader(table);
  return {
    ...{ reader: () => new LinuxReader(table), age, now },
    ...{ io: ioBytesOf, areOnNetwork },
    detail: (identity) => details.read(identity),
  };
}

class LinuxReader implements UsageReader {
  readonly #table: ProcessTable;
  readonly #files = new MemoryFiles();

  constructor(table: ProcessTable) {
    this.#table = table;
  }

  read(members: readonly ProcessRow[]): ProcessUsage[] {
    const found: ProcessUsage[] = [];
    let living = 0;
    for (const row of members) {
      const { pid, startTime, parent, dead, cpu = 0, childCpu = 0, threads = 1 } = row;
      const memory = dead ? this.#ofZombie(row) : this.#files.read(row);
      // It ends in this moment.
      if (memory === undefined) continue;
      if (!dead) living += 1;
      const times = { age: age(startTime), cpu: cpu * TICK, childCpu: childCpu * TICK };
      found.push({ pid, startTime, parent, ...times, isZombie: dead, threads, ...memory });
    }
    if (this.#files.size > living) this.#files.closeOthers(members.filter((row) => !row.dead));
    return found;
  }

  close(): void {
    this.#files.close();
  }

  /** Undefined when it was collected since the look: then its time may be among that of its parent, too. */
  #ofZombie({ pid, startTime }: ProcessRow): Memory | undefined {
    return this.#table.read(pid)?.startTime === startTime ? NO_MEMORY : undefined;
  }
}

let boot = { at: 0, readAt: Number.NEGATIVE_INFINITY };

/** Since boot, as the start times are, and with the time in which the machine slept. */
function now(): number {
  const time = performance.now();
  if (time - boot.readAt > SAME) boot = { at: time - uptime() * 1_000, readAt: time };
  return time - boot.at;
}

function age(startTime: number): number {
  return now() - startTime * TICK;
}
