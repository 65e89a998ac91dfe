import { uptime } from 'node:os';
import { type ProcessRow, type ProcessTable, TICKS_PER_SECOND } from '../process-table.js';
import { InnerHosts } from './inner-hosts.js';
import type { MarkMatch, MarkReader } from './mark-reader.js';
import type { Mark } from './marker.js';

/**
 * How old a process must be, in ticks, before it is taken for a stranger once and for all. Between fork and exec a child
 * bears no mark yet, and if its host is killed right then, it gets it later; a second is a thousand times what that takes.
 */
const SETTLED = 100;

export interface SearchOptions {
  readonly table: ProcessTable;
  readonly reads: MarkReader;
  /** Nobody who bears the mark can have been started before this: the start time of the leader, or of the host. */
  readonly since?: number | undefined;
  /** What was learnt before of hosts inside of whom is looked for; learns on. */
  readonly inner?: InnerHosts | undefined;
  /** Seconds since boot, for tests. */
  readonly now?: () => number;
}

/**
 * Tells those who bear a mark from strangers, in look after look. Most processes of a machine are older than what is
 * looked for, or in a session that is; of the others each is read only until it is old enough to be known as a stranger.
 */
export class MarkSearch {
  readonly #mark: Mark;
  readonly #table: ProcessTable;
  readonly #reads: MarkReader;
  readonly #since: number;
  readonly #now: () => number;
  readonly #inner: InnerHosts;
  /** How many of them those were judged by who are known as strangers. */
  #judgedBy: number;
  #rows: ReadonlyMap<number, ProcessRow> = new Map();
  /** pid → start time. Each look leaves those behind that it did not see, so it is never larger than the table. */
  #unrelated = new Map<number, number>();
  #seen = new Map<number, number>();
  /** The same for ours, who were read for what they know of inner hosts. */
  #told = new Map<number, number>();
  #settledBefore = 0;

  constructor(mark: Mark, { table, reads, since = 0, inner = new InnerHosts(mark), now = uptime }: SearchOptions) {
    this.#mark = mark;
    this.#table = table;
    this.#reads = reads;
    this.#since = since;
    this.#now = now;
    this.#inner = inner;
    this.#judgedBy = inner.size;
  }

  /** A new look at the whole table begins. */
  begin(rows: ReadonlyMap<number, ProcessRow>): void {
    this.#rows = rows;
    this.#unrelated = this.#seen;
    this.#seen = new Map();
    this.#settledBefore = this.#now() * TICKS_PER_SECOND - SETTLED;
  }

  /**
   * Reads those who are ours by kinship: a pool may run among them. All that are younger than a moment each time, as those
   * may be about to get their environment.
   */
  learnFrom(members: Iterable<ProcessRow>): void {
    const told = new Map<number, number>();
    for (const { pid, startTime, dead } of members) {
      if (dead) continue;
      if (this.#told.get(pid) !== startTime) this.#reads(pid, this.#mark, this.#inner);
      if (startTime < this.#settledBefore) told.set(pid, startTime);
    }
    this.#told = told;
  }

  /** Forgets who is a stranger if an inner host was learnt of since. Whether it was. */
  reconsider(): boolean {
    if (this.#inner.size === this.#judgedBy) return false;
    this.#judgedBy = this.#inner.size;
    this.#unrelated.clear();
    this.#seen.clear();
    return true;
  }

  /** Whether the process of this row lives and bears the mark. */
  bears(row: ProcessRow): MarkMatch {
    const { pid, startTime, dead } = row;
    // Zombies still show their limits.
    if (dead || pid <= 1 || pid === process.pid) return false;
    const known = this.#unrelated.get(pid) === startTime || this.#seen.get(pid) === startTime;
    if (!known && !this.#isForeign(row)) {
      const bearing = !this.#isInForeignSession(row) && this.isStill(row);
      if (bearing) return bearing;
      // A child of a host that was killed right after the fork may begin a session, and get its mark, at any time now.
      if (startTime >= this.#settledBefore) return false;
    }
    this.#seen.set(pid, startTime);
    return false;
  }

  /** Whether this pid was a stranger's at the last look at the whole table, or since. */
  isUnrelated(pid: number): boolean {
    return this.#seen.has(pid);
  }

  /**
   * Reads the mark anew, and then who has the pid: the mark that was read may be that of another process which got it
   * meanwhile. To be asked right before a signal is sent.
   */
  isStill({ pid, startTime }: ProcessRow): MarkMatch {
    const bearing = this.#reads(pid, this.#mark, this.#inner);
    if (!bearing) return false;
    const now = this.#table.read(pid);
    return now !== undefined && now.startTime === startTime && !now.dead && bearing;
  }

  /** Known without a look at the marks. Threads of the kernel have neither group nor session. */
  #isForeign({ group, session, startTime }: ProcessRow): boolean {
    return startTime < this.#since || (group === 0 && session === 0);
  }

  /** A server begins a session, so whoever descends from it is in that one, or in one that is younger still. */
  #isInForeignSession({ session }: ProcessRow): boolean {
    const leader = this.#rows.get(session);
    return leader !== undefined && leader.startTime < this.#since;
  }
}
