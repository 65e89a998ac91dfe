import type { ProcessRow } from '../process-table.js';
import { type PidStatus, PidusageGuard } from './pidusage-guard.js';
import type { ProcessUsage, UsageReader, UsageSource } from './process-usage.js';

/** How long a look for a sample serves all trees that are measured at once, ms. */
const AT_ONCE = 50;

/** One for all trees of this host. */
const guard = new PidusageGuard();

/**
 * Systems without /proc, by pidusage: it knows no tree, so each member that the process table lists is asked for. Shared memory
 * and the time of collected children are not known there: memory is what is resident, and of a member that has ended counts
 * what the last sample has shown.
 */
export function listedUsage(options: ListedUsageOptions): UsageSource {
  const { ticksPerSecond, lookInterval = 0, pids = guard, now = () => performance.now() } = options;
  const age = (startTime: number) => Date.now() - (startTime / ticksPerSecond) * 1_000;
  let looked = Number.NEGATIVE_INFINITY;
  const isLookDue = () => {
    const since = now() - looked;
    if (since >= lookInterval) looked = now();
    return since >= lookInterval || since < AT_ONCE;
  };
  return { age, reader: () => new ListedReader(pids, age), isLookDue };
}

export interface ListedUsageOptions {
  /** The unit of the start times in the process table, which count from 1970. */
  readonly ticksPerSecond: number;
  /** How long samples measure the same members, ms, where it is expensive to look for others. Default: 0. */
  readonly lookInterval?: number;
  readonly pids?: Pick<PidusageGuard, 'read'>;
  /** Monotonic, ms. */
  readonly now?: () => number;
}

class ListedReader implements UsageReader {
  readonly #pids: Pick<PidusageGuard, 'read'>;
  readonly #age: (startTime: number) => number;

  constructor(pids: Pick<PidusageGuard, 'read'>, age: (startTime: number) => number) {
    this.#pids = pids;
    this.#age = age;
  }

  async read(members: readonly ProcessRow[]): Promise<ProcessUsage[]> {
    const living = members.filter(({ dead }) => !dead).map(({ pid }) => pid);
    const known = await this.#pids.read(living);
    return members.flatMap((row) => {
      const status = row.dead ? ZOMBIE : known.get(row.pid);
      return status === undefined ? [] : [this.#usageOf(row, status)];
    });
  }

  close(): void {}

  #usageOf({ pid, startTime, parent, dead }: ProcessRow, { memory, ctime }: PidStatus): ProcessUsage {
    const identity = { pid, startTime, parent, age: this.#age(startTime), isZombie: dead };
    // Threads are not shown.
    return { ...identity, cpu: ctime, childCpu: 0, threads: 1, resident: memory, unique: memory };
  }
}

const ZOMBIE: PidStatus = { memory: 0, ctime: 0 };
