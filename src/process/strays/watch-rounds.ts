import type { ResolvedWatch } from '../../config/watch-options.js';
import type { ProcessIdentity } from '../process-table.js';

/** Why a process is listed. */
export type WatchReason = 'memory' | 'cpu' | 'age' | 'stuck';

/** What a look has seen of a process. */
export interface SeenProcess {
  readonly pid: number;
  /** With the pid the identity of the process: clock ticks since boot. */
  readonly startTime: number;
  /** Names the boot of the machine, and the container, in which pid and start time count. */
  readonly scope: string;
  /** The system's name of the program, at most 15 characters. No arguments, because they may hold secrets. */
  readonly command: string;
  /**
   * The pattern that its command line matches, as the host wrote it. Of what was in state `D` at each look the command line was not
   * read: then `command` matches it.
   */
  readonly pattern: string;
  /** Its unique memory, MB, as `TreeUsage` has it: resident less copies of files, and what is swapped out. */
  readonly memoryMB: number;
  /** How long it has been running, ms. */
  readonly age: number;
  /** As /proc shows it: `R` runs, `S` sleeps, `D` is in an uninterruptible system call, `T` and `t` are stopped. */
  readonly state: string;
  /** How many processes are below it, which `endWatched()` would end with it. */
  readonly below: number;
  /**
   * Whether its command line and its marks were read, now or by an earlier look. False only for what each look has found in state
   * `D`: it may belong to a living pool, so it is listed only as `stuck`, and `endWatched()` sends it no signal in that state.
   */
  readonly checked: boolean;
}

/** What a look has seen of a process, with what is only for the comparison of looks. */
export interface SeenNow extends SeenProcess {
  /** CPU time until now, ms. */
  readonly cpu: number;
}

/** A process over a limit. */
export interface WatchedProcess extends SeenProcess {
  /** CPU time since the look before, percent of one core; undefined at the first look. */
  readonly cpuPercent: number | undefined;
  readonly reasons: readonly WatchReason[];
}

/** Two looks that are nearer to each other show little of CPU time, which counts in hundredths of a second, ms. */
const SHORTEST = 1_000;

interface Track {
  /** When its CPU time was taken, and how much it was, ms. */
  readonly at: number;
  readonly cpu: number;
  readonly isStill: boolean;
  readonly percent: number | undefined;
  /** Since when it is stuck; undefined when it is not. */
  readonly stuckSince: number | undefined;
}

type Limits = Pick<ResolvedWatch, 'memoryLimitMB' | 'cpuLimitPercent' | 'maxAge' | 'stuckAfter'>;

/** Compares each look with the one before. Pure: the time and what was seen are given. */
export class WatchRounds {
  readonly #limits: Limits;
  #tracks = new Map<string, Track>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * @param now monotonic, ms; without the time in which the machine slept
   * @param seen what is missing is forgotten
   * @returns the processes over a limit
   */
  look(now: number, seen: readonly SeenNow[]): WatchedProcess[] {
    const before = this.#tracks;
    this.#tracks = new Map();
    return seen.flatMap(({ cpu, ...process }) => {
      const key = keyOf(process);
      const track = this.#follow(before.get(key), now, cpu, process.state);
      this.#tracks.set(key, track);
      const reasons = this.#reasons(process, track, now);
      return reasons.length === 0 ? [] : [{ ...process, cpuPercent: track.percent, reasons }];
    });
  }

  #follow(before: Track | undefined, now: number, cpu: number, state: string): Track {
    const isStill = /^[DTt]/.test(state);
    if (before === undefined) return { at: now, cpu, isStill, percent: undefined, stuckSince: undefined };
    const elapsed = now - before.at;
    // The time until now counts with the next look, unless something has already begun to move.
    if (elapsed < SHORTEST) {
      if (isStill || !before.isStill) return before;
      return { ...before, isStill: false, stuckSince: undefined };
    }
    const percent = Math.round(((cpu - before.cpu) / elapsed) * 1_000) / 10;
    const isBusy = percent > (this.#limits.cpuLimitPercent ?? Infinity);
    const hasNotMoved = isStill && before.isStill && cpu === before.cpu;
    const stuckSince = isBusy || hasNotMoved ? (before.stuckSince ?? before.at) : undefined;
    return { at: now, cpu, isStill, percent, stuckSince };
  }

  #reasons({ memoryMB, age, checked }: SeenProcess, { percent, stuckSince }: Track, now: number): WatchReason[] {
    const { memoryLimitMB = Infinity, cpuLimitPercent = Infinity, maxAge = Infinity, stuckAfter } = this.#limits;
    const checks: readonly [WatchReason, boolean][] = [
      ['memory', memoryMB > memoryLimitMB],
      ['cpu', percent !== undefined && percent > cpuLimitPercent],
      ['age', age > maxAge],
      ['stuck', stuckSince !== undefined && now - stuckSince >= stuckAfter],
    ];
    // Most uninterruptible calls take milliseconds.
    return checks.flatMap(([reason, holds]) => (holds && (checked || reason === 'stuck') ? [reason] : []));
  }
}

/** An identity as the key of a map. */
export function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid}@${startTime}`;
}
