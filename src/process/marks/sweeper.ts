import { isOlder, isThread, type ProcessControl, type ProcessRow } from '../process-table.js';
import { isSame } from '../same-process.js';
import type { Look } from './look.js';
import type { Found, MarkSearch } from './mark-search.js';

/**
 * What was started since a look: all of it was read and nothing has the mark; something had it, and was killed; or some was not
 * read, and what was read does not have it.
 */
export type Chase = 'none' | 'found' | 'unread';

/** How many new pids are read one by one; more of them are left to the next scan of the whole table. */
const LONGEST_CHASE = 2_000;

/**
 * Kills processes with a mark, and what descends from them: those that a look shows, and those that were started since.
 * Each gets a signal of its own, because the other processes in its group may belong to a user that has run a command
 * with the environment of a server.
 */
export class Sweeper {
  /** All that were sent SIGKILL. Key: pid and start time. */
  readonly killed = new Map<string, ProcessRow>();
  readonly #processes: ProcessControl;
  readonly #search: MarkSearch;
  readonly #excluded: Set<number>;

  /**
   * @param search finds the processes with the mark
   * @param exclude pids that are left alone, besides this process and its ancestors
   */
  constructor(processes: ProcessControl, search: MarkSearch, exclude: Iterable<number> = []) {
    this.#processes = processes;
    this.#search = search;
    this.#excluded = new Set([...exclude, 0, 1, process.pid, process.ppid]);
  }

  /** All living processes with the mark, and those below them, in one look at the machine. */
  scan(): ProcessRow[] {
    const { marked, below } = this.#find();
    return [...marked, ...below];
  }

  /** Kills all that one look finds, and what was started meanwhile. */
  pass(end: number): Chase {
    const { marked, below } = this.#find();
    const doubtful = new Set<number>();
    for (const row of marked) if (!this.#kill(row) && this.#isThere(row.pid)) doubtful.add(row.pid);
    const found = [...marked, ...below];
    for (const row of below) {
      // What is below a process that shows no mark any more, or has got its number, may be the child of a stranger.
      if (doubtful.has(row.parent)) doubtful.add(row.pid);
      else this.#killBelow(row, found);
    }
    const chase = this.killNew(end);
    return marked.length > 0 ? 'found' : chase;
  }

  /**
   * Reads the processes that were started since the last look began, until there is no newer one, and kills those with
   * the mark. A chain of processes, each of which starts the next and exits, can evade looks at the whole table; here it
   * is caught.
   * @param end gives up at this time
   */
  killNew(end: number): Chase {
    const { looks } = this.#search;
    const first = looks.last.newestBefore;
    let last = first;
    let chase: Chase = 'none';
    for (let newest = looks.newest; newest !== last; newest = looks.newest) {
      // The pids wrapped around, or there are too many: the next look reads them. All of it is one synchronous piece.
      if (newest < last || newest - first > LONGEST_CHASE || performance.now() >= end) {
        return chase === 'found' ? chase : 'unread';
      }
      for (let pid = last + 1; pid <= newest; pid++) {
        const row = this.#excluded.has(pid) ? undefined : this.#processes.table.read(pid);
        // Threads use up pids too; they are covered by their process.
        if (row === undefined || !this.#search.matchNow(row) || isThread(this.#processes.table, pid)) continue;
        this.#kill(row);
        chase = 'found';
      }
      last = newest;
    }
    return chase;
  }

  #find(): { marked: ProcessRow[]; below: ProcessRow[] } {
    const look = this.#search.looks.take();
    this.#excludeAncestors(look);
    const found = this.#search.find(look, this.#excluded);
    return { marked: found.map(({ row }) => row), below: this.#below(found, look) };
  }

  /** What descends from marked processes without a mark of its own. 'inner' is too weak to conclude that. */
  #below(found: readonly Found[], look: Look): ProcessRow[] {
    const taken = new Set(found.map(({ row }) => row.pid));
    const below: ProcessRow[] = [];
    const parents = found.filter(({ match }) => match !== 'inner').map(({ row }) => row);
    for (const parent of parents) {
      for (const row of look.childrenOf(parent.pid)) {
        if (row.dead || taken.has(row.pid) || this.#excluded.has(row.pid) || isOlder(row, parent)) continue;
        taken.add(row.pid);
        below.push(row);
        parents.push(row);
      }
    }
    return below;
  }

  /** Whatever they show, they have started this process. */
  #excludeAncestors({ rows }: Look): void {
    const above = new Set<number>();
    for (let pid = process.ppid; pid > 0 && !above.has(pid); pid = rows.get(pid)?.parent ?? 0) above.add(pid);
    for (const pid of above) this.#excluded.add(pid);
  }

  /** Checks identity and mark again immediately before the signal, because Node cannot signal by pidfd. */
  #kill(row: ProcessRow): boolean {
    const isOurs = this.#search.matchNow(row) !== false;
    if (isOurs) this.#send(row);
    return isOurs;
  }

  #isThere(pid: number): boolean {
    return this.#processes.table.read(pid)?.dead === false;
  }

  #killBelow(row: ProcessRow, found: readonly ProcessRow[]): void {
    const { table } = this.#processes;
    const now = table.read(row.pid);
    if (now !== undefined && !now.dead && isSame(row, now, found, table)) this.#send(row);
  }

  #send(row: ProcessRow): void {
    this.killed.set(`${row.pid}@${row.startTime}`, row);
    this.#processes.signalProcess(row.pid, 'SIGKILL');
  }
}
