import { readFileSync } from 'node:fs';
import type { ProcessControl, ProcessRow } from '../process-table.js';
import type { InnerHosts } from './inner-hosts.js';
import { type MarkReader, readMarks } from './mark-reader.js';
import { MarkSearch } from './mark-search.js';
import type { Mark } from './marker.js';

export interface SweepOptions {
  /** Pids that are never taken, besides this process and its parent. */
  readonly exclude?: ReadonlySet<number> | undefined;
  /** Nobody who bears the mark can have been started before this, in ticks since boot. Makes a sweep much cheaper. */
  readonly since?: number | undefined;
  /** Hosts inside of the servers that are looked for, as far as they are known. Default: none; it learns of them. */
  readonly inner?: InnerHosts | undefined;
  /** Ms until it gives up. Default 2,000. */
  readonly timeout?: number;
  /** How many looks in a row must find nobody. Default 3. */
  readonly quietLooks?: number;
  /** Whether it holds its process open, as one must that runs for the sweep alone. Default false. */
  readonly hold?: boolean;
  /** How marks are read. Default: from /proc. */
  readonly reads?: MarkReader | undefined;
  /** The newest pid of the machine. Default: from /proc. */
  readonly newest?: () => number;
}

/** What a sweep did. */
export interface SweepReport {
  /** Everybody who was sent SIGKILL. */
  readonly killed: readonly ProcessRow[];
  /** Who bears the mark and lives all the same when the time is up. */
  readonly survivors: readonly ProcessRow[];
  /** False when the time was up before nobody was found often enough; then `survivors` are those of the last look. */
  readonly quiet: boolean;
  readonly looks: number;
  /** Ms. */
  readonly duration: number;
}

const TIMEOUT = 2_000;
/** One is not enough: a child that is being made has a number already, and cannot be seen yet. */
const QUIET_LOOKS = 3;
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 25;
/** How many new pids are looked at one by one; more are left to the next look at the whole table. */
const LONGEST_CHASE = 2_000;

/** Everybody who lives and bears `mark`, in one look at the table. This process, its parent and `exclude` are left out. */
export function findMarked(mark: Mark, processes: ProcessControl, options: SweepOptions = {}): ProcessRow[] {
  return new Sweep(mark, processes, options).look();
}

/**
 * Kills everybody who bears `mark`, and looks again until nobody is found in several looks in a row, and no process was
 * started since that was not looked at. Bounded in time.
 * @throws when the process table cannot be read: then nothing is proven
 */
export async function sweep(mark: Mark, processes: ProcessControl, options: SweepOptions = {}): Promise<SweepReport> {
  const { timeout = TIMEOUT, quietLooks = QUIET_LOOKS, hold = false } = options;
  const started = performance.now();
  const end = started + timeout;
  const one = new Sweep(mark, processes, options);
  let looks = 0;
  let pause = FIRST_PAUSE;
  for (let quiet = 0; quiet < quietLooks; looks++) {
    if (looks > 0) await rest(pause, hold);
    if (performance.now() >= end) break;
    quiet = one.pass(end) ? quiet + 1 : 0;
    pause = quiet > 0 ? FIRST_PAUSE : Math.min(pause * 2, LONGEST_PAUSE);
    if (quiet === quietLooks) return report([], true);
  }
  return report(one.look(), false);

  function report(survivors: readonly ProcessRow[], quiet: boolean): SweepReport {
    const duration = Math.round(performance.now() - started);
    return { killed: [...one.killed.values()], survivors, quiet, looks: looks + 1, duration };
  }
}

class Sweep {
  /** By pid and start time. */
  readonly killed = new Map<string, ProcessRow>();
  readonly #processes: ProcessControl;
  readonly #search: MarkSearch;
  readonly #excluded: ReadonlySet<number>;
  readonly #newest: () => number;
  /** The newest pid before the last look; at first there was none. */
  #last = Infinity;
  /** The groups and sessions of this process and its parent. */
  readonly #ours: ReadonlySet<number>;

  constructor(mark: Mark, processes: ProcessControl, options: SweepOptions) {
    const { exclude = [], since, inner, reads = readMarks, newest = newestPid } = options;
    const { table } = processes;
    this.#processes = processes;
    this.#search = new MarkSearch(mark, { table, reads, since, inner });
    this.#excluded = new Set([...exclude, 0, 1, process.pid, process.ppid]);
    this.#newest = newest;
    const rows = [table.read(process.pid), table.read(process.ppid)];
    this.#ours = new Set(rows.flatMap((row) => (row ? [row.group, row.session] : [])));
  }

  /** At everybody, or at all but those who are known as strangers: no number is given twice before the numbers are used up. */
  look(which: 'all' | 'unknown' = 'all'): ProcessRow[] {
    const { table } = this.#processes;
    this.#search.reconsider();
    const pids = which === 'unknown' ? table.pids?.() : undefined;
    if (pids) {
      const rows = pids.filter((pid) => !this.#search.isUnrelated(pid)).map((pid) => table.read(pid));
      return rows.filter((row) => row !== undefined).filter((row) => this.#isTaken(row));
    }
    const rows = table.scan();
    this.#search.begin(rows);
    for (;;) {
      const taken = [...rows.values()].filter((row) => this.#isTaken(row));
      // Who was judged before may be somebody's that was met after.
      if (!this.#search.reconsider()) return taken;
    }
  }

  /** Kills all that one look finds, and what was started meanwhile. Whether there was nobody. */
  pass(end: number): boolean {
    const before = this.#newest();
    const found = this.look(before >= this.#last ? 'unknown' : 'all');
    this.#last = before;
    for (const row of found) this.#kill(row);
    return this.#chase(before, end) && found.length === 0;
  }

  /**
   * Looks at the processes that were started since `last` was the newest pid, until none is newer. A chain of processes,
   * each of which starts the next and exits, is always somewhere else when the whole table is read; here it is met.
   * Whether it came to its end, and there was nobody.
   */
  #chase(last: number, end: number): boolean {
    let quiet = true;
    for (let newest = this.#newest(); newest !== last; newest = this.#newest()) {
      // The numbers began anew, or there are too many: the next look sees them.
      if (newest < last || newest - last > LONGEST_CHASE || performance.now() >= end) return false;
      for (let pid = last + 1; pid <= newest; pid++) {
        const row = this.#processes.table.read(pid);
        // Threads have numbers, too; their process has one of its own.
        if (row === undefined || !this.#isTaken(row) || isThread(pid)) continue;
        this.#kill(row);
        quiet = false;
      }
      last = newest;
    }
    return quiet;
  }

  #isTaken(row: ProcessRow): boolean {
    return !this.#excluded.has(row.pid) && this.#search.bears(row) !== false;
  }

  /** Asks for identity and mark again, immediately before: Node has no signals by pidfd. */
  #kill(row: ProcessRow): void {
    const bearing = this.#search.isStill(row);
    if (!bearing) return;
    const { pid, group, session } = row;
    this.killed.set(`${pid}@${row.startTime}`, row);
    this.#processes.signalProcess(pid, 'SIGKILL');
    // At once, so that none can start another meanwhile. All in a group bear the mark that its leader bears, or bore before
    // it died: a server leads a session of its own. Whose leader bears none is a stranger's, in which somebody has run a
    // command with our environment. One who is only said to be inside of us may share it with strangers, too.
    if (bearing === 'inner' || group <= 1 || session <= 1) return;
    if (this.#ours.has(group) || this.#ours.has(session)) return;
    const leader = pid === group ? row : this.#processes.table.read(group);
    if (leader === undefined || leader === row || this.#search.isStill(leader)) {
      this.#processes.signalGroup(group, 'SIGKILL');
    }
  }
}

/** The last pid that was given to a process or thread; 0 when it is not shown. */
function newestPid(): number {
  try {
    return Number(readFileSync('/proc/loadavg', 'latin1').trimEnd().split(' ').at(-1));
  } catch {
    return 0;
  }
}

/** Of a thread, /proc shows the process which it belongs to. */
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
