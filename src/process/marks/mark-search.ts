import { uptime } from 'node:os';
import { type ProcessIdentity, type ProcessRow, type ProcessTable, TICKS_PER_SECOND } from '../process-table.js';
import { judge, type MarkMatch, type MarkReading } from './evidence.js';
import type { InnerHosts } from './inner-hosts.js';
import type { MarkReader } from './mark-reader.js';
import type { Mark } from './marker.js';
import { SearchKnowledge } from './search-knowledge.js';

/**
 * From this age on, in ticks, a process without the mark counts as unrelated for good. Between fork and exec a child
 * has no mark yet, and gets it also if its host is killed at that moment. That takes about a millisecond; this is a
 * second.
 */
const SETTLED = 100;

/**
 * How long rows of one scan may be used by the next, ms: much less than the kernel needs to use up all pids and reuse
 * one.
 */
const RECENT = 100;

export interface SearchOptions {
  readonly table: ProcessTable;
  readonly readMark: MarkReader;
  /** No process with the mark was started before this: the start time of the leader, or of the host. */
  readonly since?: number | undefined;
  /** The inner hosts that are known already; more are added to it. */
  readonly inner?: InnerHosts | undefined;
  /** The newest pid of the machine. Default: as the table shows it. */
  readonly newest?: (() => number) | undefined;
  /** Seconds since boot, for tests. */
  readonly now?: () => number;
}

/**
 * Finds the processes with a mark, in scan after scan. Most processes of a machine are older than the server, or in a
 * session that is older; they are never read. Each other process is read only until it is old enough to count as
 * unrelated for good.
 */
export class MarkSearch {
  readonly #table: ProcessTable;
  readonly #readMark: MarkReader;
  readonly #since: number;
  readonly #now: () => number;
  readonly #knowledge: SearchKnowledge;
  /** How much was known when `#unrelated` was judged. */
  #judgedBy: number;
  readonly #newest: () => number;
  #rows: ReadonlyMap<number, ProcessRow> = new Map();
  /** The newest pid, and the time, right before the last scan. */
  #newestBefore = 0;
  #scannedAt = -Infinity;
  /**
   * Unrelated processes of the scan before, pid → start time. What a scan does not see is dropped, so this never
   * exceeds the table.
   */
  #unrelated = new Map<number, number>();
  /** The same for the current scan. */
  #seen = new Map<number, number>();
  /** Members from which all was learnt already, pid → start time. */
  #learntFrom = new Map<number, number>();
  #settledBefore = 0;

  constructor(mark: Mark, { table, readMark, ...options }: SearchOptions) {
    const { since = 0, inner, now = uptime, newest = () => table.newest?.() ?? 0 } = options;
    this.#table = table;
    this.#readMark = readMark;
    this.#since = since;
    this.#now = now;
    this.#newest = newest;
    this.#knowledge = new SearchKnowledge(mark, inner);
    this.#judgedBy = this.#knowledge.size;
  }

  /** The newest pid now. */
  get newest(): number {
    return this.#newest();
  }

  /** The newest pid right before the last scan: that scan may have missed what has a newer one. */
  get newestBefore(): number {
    return this.#newestBefore;
  }

  /**
   * Scans the whole table. A scan shortly after another one reads only what can have changed: not the processes that
   * were unrelated or dead. So only the first scan costs as much as the machine has processes.
   * @param killed processes that got SIGKILL: not read again, so their rows may show them alive when they are dead
   * @throws when the table cannot be read
   */
  scan(killed?: ReadonlyMap<number, ProcessIdentity>): ReadonlyMap<number, ProcessRow> {
    const now = performance.now();
    const newest = this.newest;
    // A smaller pid than before: the kernel has begun to reuse pids.
    const recent = newest > 0 && newest >= this.#newestBefore && now - this.#scannedAt < RECENT;
    const pids = recent ? this.#table.pids?.() : undefined;
    const rows = pids ? this.#readChanging(pids, killed) : this.#table.scan();
    this.#newestBefore = newest;
    this.#scannedAt = now;
    this.begin(rows);
    return rows;
  }

  #readChanging(pids: readonly number[], killed?: ReadonlyMap<number, ProcessIdentity>): Map<number, ProcessRow> {
    const rows = new Map<number, ProcessRow>();
    for (const pid of pids) {
      const known = this.#rows.get(pid);
      const isKilled = known && killed?.get(pid)?.startTime === known.startTime;
      const isFinal = known && (known.dead || isKilled || this.isForeign(known) || this.isUnrelated(pid));
      const row = isFinal ? known : this.#table.read(pid);
      if (row !== undefined) rows.set(pid, row);
    }
    return rows;
  }

  /** Begins a new scan, of the whole table. */
  begin(rows: ReadonlyMap<number, ProcessRow>): void {
    this.#rows = rows;
    this.#unrelated = this.#seen;
    this.#seen = new Map();
    this.#settledBefore = this.#now() * TICKS_PER_SECOND - SETTLED;
  }

  /**
   * Learns users and inner hosts from the members of the tree, since a pool may run in one of them. Young members are
   * read in every scan, because they may get their environment only now.
   */
  learnFrom(members: Iterable<ProcessRow>): void {
    const learntFrom = new Map<number, number>();
    for (const row of members) {
      const { pid, startTime, dead } = row;
      if (dead) continue;
      if (this.#learntFrom.get(pid) !== startTime) this.#judge(row);
      if (startTime < this.#settledBefore) learntFrom.set(pid, startTime);
    }
    this.#learntFrom = learntFrom;
  }

  /** If something was learnt since the last call, forgets which processes are unrelated, and returns true. */
  reconsider(): boolean {
    if (this.#knowledge.size === this.#judgedBy) return false;
    this.#judgedBy = this.#knowledge.size;
    this.#unrelated.clear();
    this.#seen.clear();
    return true;
  }

  /** Whether the process of this row lives and has the mark. */
  match(row: ProcessRow): MarkMatch {
    const { pid, startTime, dead } = row;
    // Zombies still show their limits.
    if (dead || pid <= 1 || pid === process.pid) return false;
    const known = this.#unrelated.get(pid) === startTime || this.#seen.get(pid) === startTime;
    if (!known && !this.isForeign(row)) {
      const match = !this.#isInForeignSession(row) && this.matchNow(row);
      if (match) return match;
      // Killed right after the fork, an inner host leaves a child that may still begin a session and get its mark.
      if (startTime >= this.#settledBefore) return false;
    }
    this.#seen.set(pid, startTime);
    return false;
  }

  /** Whether the process with this pid was unrelated in the current scan. */
  isUnrelated(pid: number): boolean {
    return this.#seen.has(pid);
  }

  /**
   * Reads the mark again, and then the row: the mark may be that of another process which got the pid meanwhile. Call
   * it right before a signal.
   */
  matchNow(row: ProcessRow): MarkMatch {
    const match = this.#judge(row);
    if (!match) return false;
    const { pid, startTime } = row;
    const now = this.#table.read(pid);
    return now !== undefined && now.startTime === startTime && !now.dead && match;
  }

  #judge(row: ProcessRow): MarkMatch {
    const reading = this.#readMark(row.pid);
    if (reading === undefined) return false;
    const match = judge(reading, this.#knowledge);
    if (match === 'environment') this.#knowledge.learn(reading, this.#ownerOfHost(row));
    return match;
  }

  /**
   * The user of the host that has started the session of this process. Undefined when that is not visible: then the
   * process may be ours, or that host is dead.
   */
  #ownerOfHost({ session }: ProcessRow): MarkReading['owner'] {
    const leader = this.#rows.get(session);
    const host = leader && this.#rows.get(leader.parent);
    if (host === undefined || host.pid <= 1 || host.startTime < this.#since) return undefined;
    const reading = this.#readMark(host.pid);
    return reading && judge(reading, this.#knowledge) === 'environment' ? reading.owner : undefined;
  }

  /** Whether it is unrelated by its row alone. Kernel threads have neither group nor session. */
  isForeign({ group, session, startTime }: ProcessRow): boolean {
    return startTime < this.#since || (group === 0 && session === 0);
  }

  /** A server begins a session, so each of its descendants is in that session or in a younger one. */
  #isInForeignSession({ session }: ProcessRow): boolean {
    const leader = this.#rows.get(session);
    return leader !== undefined && leader.startTime < this.#since;
  }
}
