import { readFileSync } from 'node:fs';
import type { ProcessControl, ProcessRow } from '../process-table.js';
import type { InnerHosts } from './inner-hosts.js';
import { type MarkReader, readMarks } from './mark-reader.js';
import { MarkSearch } from './mark-search.js';
import type { Mark } from './marker.js';

export interface SweepOptions {
  /** Pids that are left alone, besides this process and its parent. */
  readonly exclude?: ReadonlySet<number> | undefined;
  /** No process with the mark was started before this, in ticks since boot. Makes a sweep much cheaper. */
  readonly since?: number | undefined;
  /** The inner hosts that are known already; more are added to it. Default: none. */
  readonly inner?: InnerHosts | undefined;
  /** Ms until it gives up. Default 2,000. */
  readonly timeout?: number;
  /** How many scans in a row must find no process. Default 3. */
  readonly quietScans?: number;
  /** Whether its timers keep this process alive, for a process that runs only for the sweep. Default false. */
  readonly hold?: boolean;
  /** How marks are read. Default: from /proc. */
  readonly readMark?: MarkReader | undefined;
  /** The newest pid of the machine. Default: from /proc. */
  readonly newest?: () => number;
}

/** What a sweep did. */
export interface SweepReport {
  /** All processes that were sent SIGKILL. */
  readonly killed: readonly ProcessRow[];
  /** Processes with the mark that still live when the time is up. */
  readonly survivors: readonly ProcessRow[];
  /** False when the time was up before enough scans found no process; then `survivors` are those of the last scan. */
  readonly quiet: boolean;
  readonly scans: number;
  /** Ms. */
  readonly duration: number;
}

const TIMEOUT = 2_000;
/** One is not enough: a child that is being forked has a pid already, but is not visible yet. */
const QUIET_SCANS = 3;
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 25;
/** How many new pids are read one by one; more of them are left to the next scan of the whole table. */
const LONGEST_CHASE = 2_000;

/**
 * Kills all processes with `mark`. Scans again until several scans in a row find none, and every process that was
 * started meanwhile was read. Bounded in time.
 * @throws when the process table cannot be read: then nothing is proven
 */
export async function sweep(mark: Mark, processes: ProcessControl, options: SweepOptions = {}): Promise<SweepReport> {
  const { timeout = TIMEOUT, quietScans = QUIET_SCANS, hold = false } = options;
  const started = performance.now();
  const end = started + timeout;
  const one = new Sweep(mark, processes, options);
  let scans = 0;
  let pause = FIRST_PAUSE;
  for (let quiet = 0; quiet < quietScans; scans++) {
    if (scans > 0) await rest(pause, hold);
    if (performance.now() >= end) break;
    quiet = one.pass(end) ? quiet + 1 : 0;
    pause = quiet > 0 ? FIRST_PAUSE : Math.min(pause * 2, LONGEST_PAUSE);
    if (quiet === quietScans) return report([], true);
  }
  return report(one.scan(), false);

  function report(survivors: readonly ProcessRow[], quiet: boolean): SweepReport {
    const duration = Math.round(performance.now() - started);
    return { killed: [...one.killed.values()], survivors, quiet, scans: scans + 1, duration };
  }
}

/** All living processes with `mark`, by one scan of the table. This process, its parent and `exclude` are left out. */
export function findMarked(mark: Mark, processes: ProcessControl, options: SweepOptions = {}): ProcessRow[] {
  return new Sweep(mark, processes, options).scan();
}

class Sweep {
  /** Key: pid and start time. */
  readonly killed = new Map<string, ProcessRow>();
  readonly #processes: ProcessControl;
  readonly #search: MarkSearch;
  readonly #excluded: ReadonlySet<number>;
  readonly #newest: () => number;
  /** The newest pid before the last scan. */
  #last = Infinity;
  /** The groups and sessions of this process and its parent. */
  readonly #ours: ReadonlySet<number>;

  constructor(mark: Mark, processes: ProcessControl, options: SweepOptions) {
    const { exclude = [], since, inner, readMark = readMarks, newest = newestPid } = options;
    const { table } = processes;
    this.#processes = processes;
    this.#search = new MarkSearch(mark, { table, readMark, since, inner });
    this.#excluded = new Set([...exclude, 0, 1, process.pid, process.ppid]);
    this.#newest = newest;
    const rows = [table.read(process.pid), table.read(process.ppid)];
    this.#ours = new Set(rows.flatMap((row) => (row ? [row.group, row.session] : [])));
  }

  /**
   * Finds the processes with the mark. `unknown` skips pids known as unrelated: a pid is not reused before the kernel
   * wraps around.
   */
  scan(which: 'all' | 'unknown' = 'all'): ProcessRow[] {
    const { table } = this.#processes;
    this.#search.reconsider();
    const pids = which === 'unknown' ? table.pids?.() : undefined;
    if (pids) {
      const rows = pids.filter((pid) => !this.#search.isUnrelated(pid)).map((pid) => table.read(pid));
      return rows.filter((row) => row !== undefined).filter((row) => this.#hasMark(row));
    }
    const rows = table.scan();
    this.#search.begin(rows);
    for (;;) {
      const taken = [...rows.values()].filter((row) => this.#hasMark(row));
      // A process that was judged first may belong to an inner host that was found later in the same scan.
      if (!this.#search.reconsider()) return taken;
    }
  }

  /** Kills all that one scan finds, and what was started meanwhile. Returns whether there was none. */
  pass(end: number): boolean {
    const before = this.#newest();
    const found = this.scan(before >= this.#last ? 'unknown' : 'all');
    this.#last = before;
    for (const row of found) this.#kill(row);
    return this.#chase(before, end) && found.length === 0;
  }

  /**
   * Reads the processes that were started since `last` was the newest pid, until there is no newer one. A chain of
   * processes, each of which starts the next and exits, can evade scans of the whole table; here it is caught. Returns
   * whether all new pids were read and none had the mark.
   */
  #chase(last: number, end: number): boolean {
    let quiet = true;
    for (let newest = this.#newest(); newest !== last; newest = this.#newest()) {
      // The pids wrapped around, or there are too many: the next scan reads them.
      if (newest < last || newest - last > LONGEST_CHASE || performance.now() >= end) return false;
      for (let pid = last + 1; pid <= newest; pid++) {
        const row = this.#processes.table.read(pid);
        // Threads use up pids too; they are covered by their process.
        if (row === undefined || !this.#hasMark(row) || isThread(pid)) continue;
        this.#kill(row);
        quiet = false;
      }
      last = newest;
    }
    return quiet;
  }

  #hasMark(row: ProcessRow): boolean {
    return !this.#excluded.has(row.pid) && this.#search.match(row) !== false;
  }

  /** Checks identity and mark again immediately before the signal, because Node cannot signal by pidfd. */
  #kill(row: ProcessRow): void {
    const match = this.#search.matchNow(row);
    if (!match) return;
    const { pid, group, session } = row;
    this.killed.set(`${pid}@${row.startTime}`, row);
    this.#processes.signalProcess(pid, 'SIGKILL');
    // Then the whole group at once, so that no member can start another one meanwhile. If the leader of the group has
    // the mark, or is dead, all members have it, because a server leads a session of its own. If the leader lives
    // without the mark, a user has run a command with the environment of the server: then only that command is killed.
    // 'inner' is too weak to conclude anything about the group.
    if (match === 'inner' || group <= 1 || session <= 1) return;
    if (this.#ours.has(group) || this.#ours.has(session)) return;
    const leader = pid === group ? row : this.#processes.table.read(group);
    if (leader === undefined || leader === row || this.#search.matchNow(leader)) {
      this.#processes.signalGroup(group, 'SIGKILL');
    }
  }
}

/** The newest pid of a process or thread; 0 where the system does not show it. */
function newestPid(): number {
  try {
    return Number(readFileSync('/proc/loadavg', 'latin1').trimEnd().split(' ').at(-1));
  } catch {
    return 0;
  }
}

/** For a thread, /proc shows the pid of its process as Tgid. */
function isThread(pid: number): boolean {
  try {
    return Number(/^Tgid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) !== pid;
  } catch {
    return false;
  }
}

function rest(delay: number, hold: boolean): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delay);
    if (!hold) timer.unref();
  });
}
