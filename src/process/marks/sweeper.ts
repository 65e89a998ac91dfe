import { readFileSync } from 'node:fs';
import type { ProcessControl, ProcessRow } from '../process-table.js';
import type { MarkSearch } from './mark-search.js';

/** How many new pids are read one by one; more of them are left to the next scan of the whole table. */
const LONGEST_CHASE = 2_000;

/** Kills processes with a mark: those that a scan shows, and those that were started since. */
export class Sweeper {
  /** All that were sent SIGKILL. Key: pid and start time. */
  readonly killed = new Map<string, ProcessRow>();
  readonly #processes: ProcessControl;
  readonly #search: MarkSearch;
  readonly #excluded: ReadonlySet<number>;
  /** The groups and sessions of this process and its parent. */
  readonly #ours: ReadonlySet<number>;

  /**
   * @param search finds the processes with the mark
   * @param exclude pids that are left alone, besides this process and its parent
   */
  constructor(processes: ProcessControl, search: MarkSearch, exclude: Iterable<number> = []) {
    const { table } = processes;
    this.#processes = processes;
    this.#search = search;
    this.#excluded = new Set([...exclude, 0, 1, process.pid, process.ppid]);
    const rows = [table.read(process.pid), table.read(process.ppid)];
    this.#ours = new Set(rows.flatMap((row) => (row ? [row.group, row.session] : [])));
  }

  /** All living processes with the mark, by one scan of the table. */
  scan(): ProcessRow[] {
    this.#search.reconsider();
    const rows = [...this.#search.scan().values()];
    for (;;) {
      const taken = rows.filter((row) => this.#hasMark(row));
      // A process that was judged first may belong to an inner host that was found later in the same scan.
      if (!this.#search.reconsider()) return taken;
    }
  }

  /** Kills all that one scan finds, and what was started meanwhile. Returns whether there was none. */
  pass(end: number): boolean {
    const found = this.scan();
    for (const row of found) this.#kill(row);
    return this.killNew(end) && found.length === 0;
  }

  /**
   * Reads the processes that were started since the last scan began, until there is no newer one, and kills those with
   * the mark. A chain of processes, each of which starts the next and exits, can evade scans of the whole table; here
   * it is caught.
   * @param end gives up at this time
   * @returns whether all new pids were read and none had the mark
   */
  killNew(end: number): boolean {
    let last = this.#search.newestBefore;
    let quiet = true;
    for (let newest = this.#search.newest; newest !== last; newest = this.#search.newest) {
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

/** For a thread, /proc shows the pid of its process as Tgid. */
function isThread(pid: number): boolean {
  try {
    return Number(/^Tgid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) !== pid;
  } catch {
    return false;
  }
}
