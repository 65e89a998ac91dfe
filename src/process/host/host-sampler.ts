import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { DescriptorCount } from '../descriptor-count.js';
import { readCpus } from './host-cpus.js';
import { readMemory, type SystemMemory } from './host-memory.js';
import { PidReader } from './host-pids.js';
import { readPressure } from './host-pressure.js';
import type { HostDescriptors, HostHeap, HostSample } from './host-sample.js';
import { LoopDelay } from './loop-delay.js';
import { OwnCgroups } from './own-cgroups.js';
import { inMB, numberOf, SystemFiles, wholeNumber } from './system-files.js';

export interface HostSamplerParts {
  /** Where `proc` and `sys` are. Default: `/`. */
  readonly root?: string;
  readonly clock?: Clock;
  readonly system?: HostSystem;
}

/** What Node knows of the host, for systems without /proc. */
export interface HostSystem {
  readonly memory: () => SystemMemory;
  readonly parallelism: () => number;
  /** Zeros where there is no such thing (Windows). */
  readonly load: () => readonly number[];
}

/** Measures the host: its machine, the container and cgroups around it, and this process. */
export class HostSampler {
  readonly #files: SystemFiles;
  readonly #clock: Clock;
  readonly #system: HostSystem;
  readonly #cgroups: OwnCgroups;
  readonly #pids: PidReader;
  readonly #delay = new LoopDelay();
  readonly #open: DescriptorCount;
  /** How many descriptors this process may have, as it was last read. */
  #allowed: number | undefined;
  /** What this host has, as it was last read. */
  #has: Pick<HostSample, 'memory' | 'cpus'> = {};

  constructor({ root = '', clock = systemClock, system = node }: HostSamplerParts = {}) {
    this.#files = new SystemFiles(root);
    this.#clock = clock;
    this.#system = system;
    this.#cgroups = new OwnCgroups(this.#files);
    this.#pids = new PidReader(this.#files);
    const folder = '/proc/self/fd';
    this.#open = new DescriptorCount(
      { size: () => this.#files.stat(folder)?.size, names: () => this.#files.names(folder)?.length },
      () => clock.now(),
    );
  }

  /** Switches the measurement of the event loop on. It never keeps the host alive. */
  start(): void {
    this.#delay.start();
  }

  stop(): void {
    this.#delay.stop();
  }

  /**
   * Never throws. Takes less than a millisecond, unless descriptors have to be listed. When this host has no descriptor left, the
   * sample has what there is, and nothing of what is used: no figure must look as if it were known.
   */
  sample(): HostSample {
    const at = this.#clock.now();
    const [status, limits, loads] = ['self/status', 'self/limits', 'loadavg'].map((file) =>
      this.#files.read(`/proc/${file}`),
    );
    const own = { heap: heapNow(status), eventLoopDelay: this.#delay.take() };
    if (status === undefined && this.#files.has('/proc/self/status')) {
      this.#open.forget();
      return { at, ...this.#has, descriptors: this.#descriptors(limits), ...own };
    }
    const cgroups = this.#cgroups.get();
    const load = loadIn(loads);
    const memory = readMemory(this.#files, cgroups.memory, this.#system.memory);
    const cpus = readCpus(this.#files, cgroups.cpu, status, this.#system.parallelism());
    this.#has = { memory: memory && { totalMB: memory.totalMB, from: memory.from }, cpus };
    return {
      at,
      memory,
      pressure: readPressure(this.#files, cgroups.own),
      load: load?.averages ?? averagesOf(this.#system.load()),
      cpus,
      pids: this.#pids.read(cgroups.pids, { status, limits, threads: load?.threads }, at),
      descriptors: this.#descriptors(limits),
      ...own,
    };
  }

  #descriptors(limits: string | undefined): HostDescriptors | undefined {
    const allowed = numberOf(limits, 'Max open files') ?? this.#allowed;
    this.#allowed = allowed;
    const used = this.#open.read(allowed);
    return allowed === undefined || allowed === Infinity || used === undefined ? undefined : { used, allowed };
  }
}

type Averages = readonly [number, number, number];

/** `0.20 0.18 0.12 1/80 11206`: the averages, running and all threads, the newest pid. */
function loadIn(text = ''): { readonly averages: Averages; readonly threads: number | undefined } | undefined {
  const [, one, five, fifteen, threads] = /^([\d.]{1,9}) ([\d.]{1,9}) ([\d.]{1,9}) \d+\/(\d+) /.exec(text) ?? [];
  const averages = averagesOf([one, five, fifteen].map(Number));
  return averages && { averages, threads: wholeNumber(threads) };
}

function averagesOf([one = Number.NaN, five = Number.NaN, fifteen = Number.NaN]: readonly number[]):
  | Averages
  | undefined {
  return Number.isFinite(one + five + fifteen) ? [one, five, fifteen] : undefined;
}

/** @param status the content of /proc/self/status */
function heapNow(status: string | undefined): HostHeap {
  const { used_heap_size, heap_size_limit } = getHeapStatistics();
  const resident = numberOf(status, 'VmRSS:');
  const residentMB = resident === undefined ? residentByNode() : inMB(resident * 1_024);
  return { usedMB: inMB(used_heap_size), limitMB: inMB(heap_size_limit), residentMB };
}

/** Node reads a file, too. */
function residentByNode(): number | undefined {
  try {
    return inMB(process.memoryUsage.rss());
  } catch {
    return undefined;
  }
}

const node: HostSystem = {
  memory: () => ({
    total: totalmem(),
    available: process.availableMemory?.() ?? freemem(),
    limit: process.constrainedMemory?.() ?? 0,
  }),
  parallelism: availableParallelism,
  load: () => (process.platform === 'win32' ? [] : loadavg()),
};
