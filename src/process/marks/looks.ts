import { uptime } from 'node:os';
import {
  isAlive,
  type ProcessIdentity,
  type ProcessRow,
  type ProcessTable,
  TICKS_PER_SECOND,
} from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';
import { isUnmarked, type MarkReading, UNMARKED } from './evidence.js';
import { Look } from './look.js';
import type { MarkReader } from './mark-reader.js';

/**
 * From this age on, in ticks, the marks of a process are final: between fork and exec a child has no mark yet, and gets it
 * also if its host is killed at that moment. That takes about a millisecond; this is a second.
 */
const SETTLED = 100;

/**
 * How long rows of one look may be used by the next, ms: much less than the kernel needs to give each number once. What
 * it gives meanwhile is read.
 */
const RECENT = 100;

/**
 * How long a loose look may use rows of processes that are in no tree, ms. What it adds to a tree is read again in any case;
 * it may find late what has got a parent in a tree without being started there.
 */
const LOOSE = 60_000;
/** As many numbers as no machine gives within a millisecond: with so many per millisecond no look can miss that all were given. */
const FASTEST = 100;

export interface LooksOptions {
  /** Undefined where processes have no marks. */
  readonly readMark?: MarkReader | undefined;
  /**
   * Whether all that looks in one tick shares one look. A tick ends with its microtasks, so no step of a ladder sees
   * what was read before its last signal.
   */
  readonly shared?: boolean;
  /** The newest pid of the machine. Default: as the table shows it. */
  readonly newest?: (() => number) | undefined;
  /** Seconds since boot, for tests. */
  readonly now?: (() => number) | undefined;
}

/**
 * The looks at all processes of this machine, one after the other, for all trees. A tree takes from a look what concerns
 * it; what the machine has besides is read once, and not once for each tree.
 */
export class Looks {
  readonly #table: ProcessTable;
  readonly #options: LooksOptions;
  readonly #newest: () => number;
  readonly #now: () => number;
  /** The look of this tick. */
  #current: Look | undefined;
  /** The loose look of this tick, if there was one. */
  #loose: Look | undefined;
  /** The look that the first exit of a leader has caused in this turn of the event loop. */
  #atExit: Look | undefined;
  /** Kept for the next one, and for what is started after it. */
  #last: Look | undefined;
  /** When rows were read for a look that is not loose. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** When all rows were read. */
  #scannedAt = Number.NEGATIVE_INFINITY;
  /** At the last loose look. Undefined where that was not needed, or is not shown. */
  #starts: number | undefined;
  #looseAt = Number.NEGATIVE_INFINITY;
  /** The marks of processes, by pid. What a look does not see is dropped, so this never exceeds the table. */
  readonly #readings = new Map<number, Known>();
  /** How often a mark was read. */
  #marksRead = 0;
  /** The members of all trees, pid → start time, which are read in every look. */
  readonly #watched = new Map<number, number>();

  constructor(table: ProcessTable, options: LooksOptions = {}) {
    const { newest = () => table.newest?.() ?? 0, now = uptime } = options;
    this.#table = table;
    this.#options = options;
    this.#newest = newest;
    this.#now = now;
  }

  /** The newest pid now. */
  get newest(): number {
    return this.#newest();
  }

  /** Grows whenever a process with a mark was read: as long as it stays, searches for marks find what they have found before. */
  get marksRead(): number {
    return this.#marksRead;
  }

  /** The newest look. */
  get last(): Look {
    return this.#last ?? this.take();
  }

  /**
   * Looks at the whole table. A look shortly after another one reads only what can have changed: not the processes that
   * are in no tree and without a mark, nor the dead ones. So only the first look costs as much as the machine has
   * processes.
   * @param killed processes that got SIGKILL: not read again, so their rows may show them alive when they are dead
   * @throws when the table cannot be read
   */
  take(killed?: ReadonlyMap<number, ProcessIdentity>): Look {
    if (this.#current) return this.#current;
    return this.#share(this.#look(killed));
  }

  /**
   * A look to measure by, and not to prove or to kill: it takes longer than `take` to read again what is in no tree and has no
   * mark. So what it costs depends on the trees, and hardly on what else runs on the machine.
   */
  takeLoose(): Look {
    const known = this.#current ?? this.#loose;
    if (known) return known;
    const look = this.#look(undefined, 'loose');
    if (!this.#options.shared) return look;
    this.#loose = look;
    queueMicrotask(() => {
      this.#loose = undefined;
    });
    return look;
  }

  /**
   * The look for a leader that Node has just collected. Most leaders that have exited are collected before the first
   * exit is reported, so one look serves the exits of this turn of the event loop. One that exits while these are handled
   * may be collected and reported in the same turn: a look that shows it is older than its end.
   */
  takeAtExit({ pid, startTime }: ProcessIdentity): Look {
    const kept = this.#atExit;
    if (kept && kept.rows.get(pid)?.startTime !== startTime) return kept;
    this.#table.forget?.();
    const look = this.#look();
    if (this.#options.shared) {
      this.#atExit = look;
      setImmediate(() => {
        this.#atExit = undefined;
      }).unref();
    }
    return this.#share(look);
  }

  /** Whether that process is in a tree of this host. */
  isWatched({ pid, startTime }: ProcessIdentity): boolean {
    return this.#watched.get(pid) === startTime;
  }

  /** A process of a tree: it is read in every look, since its state matters. */
  watch({ pid, startTime }: ProcessIdentity): void {
    this.#watched.set(pid, startTime);
  }

  #share(look: Look): Look {
    if (!this.#options.shared) return look;
    this.#current = look;
    queueMicrotask(() => {
      if (this.#current === look) this.#current = undefined;
    });
    return look;
  }

  #look(killed?: ReadonlyMap<number, ProcessIdentity>, how?: 'loose'): Look {
    const now = performance.now();
    const newest = this.newest;
    const isRecent =
      how === 'loose' ? !this.#mayHaveGivenAll(now) && now - this.#scannedAt < LOOSE : now - this.#lookedAt < RECENT;
    const recent = newest > 0 && isRecent ? this.#last : undefined;
    const changing = recent && this.#readChanging(recent, newest, killed);
    const rows = changing ?? this.#table.scan();
    if (!changing) this.#scannedAt = now;
    if (!changing || how !== 'loose') this.#lookedAt = now;
    this.#forgetGone(rows);
    const settledBefore = this.#now() * TICKS_PER_SECOND - SETTLED;
    const reading = (row: ProcessRow): MarkReading => this.#reading(row, look, { killed, isLoose: how === 'loose' });
    const look: Look = new Look({ rows, isWhole: !changing, newestBefore: newest, settledBefore, reading });
    this.#last = look;
    return look;
  }

  /**
   * Whether the kernel may have given each number since the last loose look: then the newest one does not show which of them
   * belong to other processes now.
   */
  #mayHaveGivenAll(now: number): boolean {
    const numbers = this.#table.numbers?.();
    const since = now - this.#looseAt;
    this.#looseAt = now;
    if (numbers === undefined || since * FASTEST < numbers) {
      this.#starts = undefined;
      return false;
    }
    const before = this.#starts;
    this.#starts = this.#table.starts?.();
    return before === undefined || this.#starts === undefined || this.#starts - before >= numbers / 4;
  }

  /** Undefined when the whole table has to be read. */
  #readChanging(
    last: Look,
    newest: number,
    killed?: ReadonlyMap<number, ProcessIdentity>,
  ): Map<number, ProcessRow> | undefined {
    // A smaller pid than before: the kernel has begun again with the first ones.
    const pids = newest < last.newestBefore ? undefined : this.#table.pids?.();
    if (pids === undefined) return undefined;
    const newestNow = this.newest;
    if (newestNow < newest) return undefined;
    const rows = new Map<number, ProcessRow>();
    for (const pid of pids) {
      // A number that was given since the last look may be that of another process now.
      const known = pid < last.newestBefore || pid > newestNow ? last.rows.get(pid) : undefined;
      const isKilled = known && killed?.get(pid)?.startTime === known.startTime;
      const row = known && (known.dead || isKilled || this.#isSettled(known)) ? known : this.#table.read(pid);
      if (row !== undefined) rows.set(pid, row);
    }
    return rows;
  }

  /** Whether the process is in no tree, and has no mark that could make it a part of one. */
  #isSettled({ pid, startTime }: ProcessRow): boolean {
    if (this.isWatched({ pid, startTime })) return false;
    const known = this.#readings.get(pid);
    return known === undefined || (known.final && known.reading === UNMARKED);
  }

  #forgetGone(rows: ReadonlyMap<number, ProcessRow>): void {
    for (const [pid, { startTime }] of this.#readings) {
      if (rows.get(pid)?.startTime !== startTime) this.#readings.delete(pid);
    }
    for (const [pid, startTime] of this.#watched) {
      if (rows.get(pid)?.startTime !== startTime) this.#watched.delete(pid);
    }
  }

  #reading(row: ProcessRow, look: Look, { killed, isLoose }: ReadingOptions): MarkReading {
    const { pid, startTime } = row;
    const kept = this.#readings.get(pid);
    const known = kept?.startTime === startTime ? kept : undefined;
    // What has got SIGKILL shows nothing new.
    if (known && (known.final || known.look === look || killed?.get(pid)?.startTime === startTime))
      return known.reading;
    // To read all of it could stop the host. A measurement can wait for that; the proof of an end cannot.
    const isPutOff = isLoose && isUninterruptible(row);
    const reading = (isPutOff && known?.reading) || (this.readNow(row, isPutOff) ?? UNMARKED);
    if (reading !== UNMARKED && reading !== known?.reading) this.#marksRead += 1;
    // Killed right after the fork, a host leaves a child that may still begin a session and get its mark.
    const final = startTime < look.settledBefore && !isPutOff;
    // A look has a row of each process: it must not live as long as each process that it has shown.
    this.#readings.set(pid, { startTime, reading, final, look: final ? undefined : look });
    return reading;
  }

  /**
   * Reads the marks of a living process, and then its row: the marks may be those of another process which got the pid
   * meanwhile. Undefined when it has none.
   * @param mayHang see {@link MarkReader}
   */
  readNow({ pid, startTime }: ProcessRow, mayHang = false): MarkReading | undefined {
    const isSame = () => isAlive(this.#table, pid, startTime);
    const reading = this.#options.readMark?.(pid, isSame, mayHang);
    return reading !== undefined && !isUnmarked(reading) && isSame() ? reading : undefined;
  }
}

interface ReadingOptions {
  /** What has got SIGKILL. */
  readonly killed: ReadonlyMap<number, ProcessIdentity> | undefined;
  /** Whether it is for a look to measure by. */
  readonly isLoose: boolean;
}

interface Known {
  readonly startTime: number;
  readonly reading: MarkReading;
  /** Whether it need not be read again. */
  readonly final: boolean;
  /** The look for which it was read; not needed when that is final. */
  readonly look: Look | undefined;
}

/** One for each table: all trees of a host share it. */
const all = new WeakMap<ProcessTable, Looks>();

/** The looks that all trees of this host share. */
export function looksAt(table: ProcessTable, readMark: MarkReader | undefined): Looks {
  const known = all.get(table) ?? new Looks(table, { readMark, shared: true });
  all.set(table, known);
  return known;
}
