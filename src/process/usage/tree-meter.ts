import { availableParallelism, cpus } from 'node:os';
import type { ProcessRow } from '../process-table.js';
import type { CgroupFigures, ProcessUsage, UsageReader, UsageSource } from './process-usage.js';
import type { TreeActivity } from './tree-activity.js';
import { TreeCpu } from './tree-cpu.js';
import type { DetailedUsage, TreeUsage } from './tree-usage.js';

const MB = 1_048_576;

export interface MeterParts {
  readonly source: UsageSource;
  /** How long the leader runs already, ms, by the clock of the source. */
  readonly age: number;
  /** Undefined for a tree without a cgroup. */
  readonly cgroup?: () => CgroupFigures | undefined;
  /** Monotonic, ms. It stands still while the machine sleeps. */
  readonly now?: () => number;
}

/** Measures one tree, again and again, from its members at the moment. */
export class TreeMeter {
  readonly #parts: MeterParts;
  readonly #now: () => number;
  readonly #reader: UsageReader;
  readonly #cpu = new TreeCpu(machineCpus());
  /** Those that were measured last. */
  #members: readonly ProcessRow[] | undefined;
  #measuredAt: number;
  /** By the clock of the source. */
  #uptime: { readonly started: number; last: number };
  #cpuTime = 0;

  constructor(parts: MeterParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
    this.#reader = parts.source.reader();
    this.#measuredAt = this.#now();
    this.#uptime = { started: this.#sourceNow() - parts.age, last: parts.age };
  }

  /** @param find the members at the moment, zombies too */
  async measure(find: () => readonly ProcessRow[]): Promise<TreeUsage> {
    const { source } = this.#parts;
    const members = source.members?.(this.#members, find) ?? find();
    this.#members = members;
    const found = this.#reader.read(members);
    // What was read in this tick is added in this tick, so that the samples stay in order.
    return 'then' in found ? this.#sum(await found) : this.#sum(found);
  }

  /** With what is too expensive for every sample. */
  async measureAll(find: () => readonly ProcessRow[]): Promise<DetailedUsage> {
    const usage = await this.measure(find);
    const { source } = this.#parts;
    if (!source.detail) return { ...usage, descriptors: undefined, pssMB: undefined, hidden: usage.processes };
    let descriptors = 0;
    let pss = 0;
    let hidden = 0;
    // One after the other: to read the set sizes of a large process takes milliseconds, and stops it meanwhile.
    for (const row of this.#members ?? []) {
      if (row.dead) continue;
      const detail = await source.detail(row);
      descriptors += detail?.descriptors ?? 0;
      pss += detail?.pss ?? 0;
      if (detail && (detail.descriptors === undefined || detail.pss === undefined)) hidden += 1;
    }
    return { ...usage, descriptors, pssMB: pss / MB, hidden };
  }

  /** What shows that its processes work. */
  async activity(find: () => readonly ProcessRow[]): Promise<TreeActivity> {
    const { cpuTime } = await this.measure(find);
    const { source } = this.#parts;
    const living = (this.#members ?? []).filter(({ dead }) => !dead);
    const io = source.io && living.map((row) => source.io?.(row) ?? 0);
    return {
      cpuTime,
      ioBytes: io?.reduce((sum, bytes) => sum + bytes, 0),
      hasStopped: living.some(({ state }) => state === 'T'),
      isOnNetwork: (await source.areOnNetwork?.(living)) ?? false,
    };
  }

  /** Call it when the tree is dead, or no longer measured: nothing is kept open. */
  close(): void {
    this.#members = undefined;
    this.#reader.close();
  }

  #sourceNow(): number {
    return this.#parts.source.now?.() ?? this.#now();
  }

  #sum(found: readonly ProcessUsage[]): TreeUsage {
    const at = this.#now();
    // The clock of the kernel is read in steps, so that a new tree may seem to begin later than now.
    const uptime = Math.max(0, this.#sourceNow() - this.#uptime.started);
    const { memory, cpuTime = 0, isPart = false } = this.#parts.cgroup?.() ?? {};
    // Both count too little at most: the cgroup what was outside of it, the sum what has ended between two samples. While the
    // machine slept its processes have grown older.
    const elapsed = Math.max(at - this.#measuredAt, uptime - this.#uptime.last);
    this.#cpuTime = Math.max(this.#cpuTime, this.#cpu.add(found, elapsed), cpuTime);
    this.#measuredAt = at;
    this.#uptime.last = uptime;
    let unique = 0;
    let sharedMemory = 0;
    let resident = 0;
    let zombies = 0;
    let threads = 0;
    for (const process of found) {
      unique += process.unique;
      // What one has, its children have, too: the sum would count it for each.
      sharedMemory = Math.max(sharedMemory, process.sharedMemory);
      resident += process.resident;
      if (process.isZombie) zombies += 1;
      else threads += process.threads;
    }
    // A part is too little, as the sum is, which lacks what the kernel holds for them.
    const sum = unique + sharedMemory;
    const held = isPart ? Math.max(memory ?? 0, sum) : (memory ?? sum);
    return {
      at,
      memoryMB: held / MB,
      residentMB: resident / MB,
      cpuTime: this.#cpuTime,
      processes: found.length - zombies,
      zombies,
      threads,
      uptime,
    };
  }
}

let counted: number | undefined;

function machineCpus(): number {
  try {
    // The list is empty where the system does not show it.
    counted ??= Math.max(cpus().length, availableParallelism());
    return counted;
  } catch {
    // EMFILE.
    return availableParallelism();
  }
}
