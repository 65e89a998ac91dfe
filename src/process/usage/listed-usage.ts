import type { ProcessRow } from '../process-table.js';
import { type PidStatus, PidusageGuard } from './pidusage-guard.js';
import type { ProcessUsage, UsageReader, UsageSource } from './process-usage.js';

/**
 * How much later a process may seem to begin than the table has shown, ms: both show whole seconds, and the `ps` of Linux counts
 * from a boot time in whole seconds.
 */
const SAME_START = 3_000;

/** One for all trees of this host. */
const guard = new PidusageGuard();

/**
 * Systems without /proc, by pidusage: it knows no tree, so each member that the process table lists is asked for. Shared memory
 * and the time of collected children are not known there: memory is what is resident, and of a member that has ended counts
 * what the last sample has shown.
 */
export function listedUsage(options: ListedUsageOptions): UsageSource {
  const { ticksPerSecond, lookInterval = 0, pids = guard, now = () => performance.now(), date = Date.now } = options;
  const startOf = (startTime: number) => (startTime / ticksPerSecond) * 1_000;
  const age = (startTime: number) => date() - startOf(startTime);
  const looks = new SampleLooks(lookInterval, now);
  const members: UsageSource['members'] = (known, look) => looks.members(known, look);
  return { age, reader: () => new ListedReader(pids, startOf, date), members };
}

export interface ListedUsageOptions {
  /** The unit of the start times in the process table, which count from 1970. */
  readonly ticksPerSecond: number;
  /** How long samples measure the same members, ms, where it is expensive to look for others. Default: 0. */
  readonly lookInterval?: number;
  readonly pids?: Pick<PidusageGuard, 'read'>;
  /** Monotonic, ms. */
  readonly now?: () => number;
  /** ms since 1970. */
  readonly date?: () => number;
}

/** The looks at the process table for samples: each starts a tool, which blocks the host. */
class SampleLooks {
  readonly #interval: number;
  readonly #now: () => number;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Of the trees that are measured in this tick. */
  #tick: { readonly isDue: boolean; failure?: { readonly error: unknown } } | undefined;

  constructor(interval: number, now: () => number) {
    this.#interval = interval;
    this.#now = now;
  }

  members(known: readonly ProcessRow[] | undefined, look: () => readonly ProcessRow[]): readonly ProcessRow[] {
    this.#tick ??= this.#begin();
    const tick = this.#tick;
    if (known !== undefined && !tick.isDue) return known;
    // A tool that hangs would block the host once for each tree.
    if (tick.failure) throw tick.failure.error;
    try {
      return look();
    } catch (error) {
      tick.failure = { error };
      throw error;
    }
  }

  #begin(): { readonly isDue: boolean } {
    const isDue = this.#now() - this.#lookedAt >= this.#interval;
    // When all trees of this tick have looked. That takes long, and the interval begins after it.
    queueMicrotask(() => {
      this.#tick = undefined;
      if (isDue) this.#lookedAt = this.#now();
    });
    return { isDue };
  }
}

class ListedReader implements UsageReader {
  readonly #pids: Pick<PidusageGuard, 'read'>;
  readonly #startOf: (startTime: number) => number;
  readonly #date: () => number;

  /** @param startOf a start time of the table in ms since 1970 */
  constructor(pids: Pick<PidusageGuard, 'read'>, startOf: (startTime: number) => number, date: () => number) {
    this.#pids = pids;
    this.#startOf = startOf;
    this.#date = date;
  }

  async read(members: readonly ProcessRow[]): Promise<ProcessUsage[]> {
    const living = members.filter(({ dead }) => !dead).map(({ pid }) => pid);
    const askedAt = this.#date();
    const known = await this.#pids.read(living);
    return members.flatMap((row) => {
      const status = row.dead ? ZOMBIE : known.get(row.pid);
      return status === undefined || this.#isYounger(status, row, askedAt) ? [] : [this.#usageOf(row, status)];
    });
  }

  /** Whether another process has the number by now. It was asked for at `askedAt` or later, so it began later, too. */
  #isYounger({ elapsed }: PidStatus, { startTime }: ProcessRow, askedAt: number): boolean {
    return askedAt - elapsed > this.#startOf(startTime) + SAME_START;
  }

  close(): void {}

  #usageOf({ pid, startTime, parent, dead }: ProcessRow, { memory, ctime }: PidStatus): ProcessUsage {
    const age = this.#date() - this.#startOf(startTime);
    const identity = { pid, startTime, parent, age, isZombie: dead };
    // Threads are not shown.
    return { ...identity, cpu: ctime, childCpu: 0, threads: 1, resident: memory, unique: memory, sharedMemory: 0 };
  }
}

const ZOMBIE: PidStatus = { memory: 0, ctime: 0, elapsed: Number.NaN };
