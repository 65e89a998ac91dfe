import { isOlder, type ProcessRow, type ProcessTable } from '../process-table.js';
import { judge, type MarkMatch, type MarkReading, mayInherit } from './evidence.js';
import type { InnerHosts } from './inner-hosts.js';
import type { Look } from './look.js';
import { Looks } from './looks.js';
import type { MarkedRow, WantedMark } from './mark-index.js';
import type { MarkReader } from './mark-reader.js';
import { type Mark, markText, rlimitValue } from './marker.js';
import { type HostLogin, SearchKnowledge } from './search-knowledge.js';

export interface SearchOptions {
  /** Shared with other searches. Default: looks of its own, by `table` and `readMark`. */
  readonly looks?: Looks | undefined;
  readonly table: ProcessTable;
  readonly readMark: MarkReader;
  /** No process with the mark was started before this: the start time of the leader, or of the host. */
  readonly since?: number | undefined;
  /** Whether the processes have the mark as a limit, too. Default: true. */
  readonly limits?: boolean | undefined;
  /** The login of the host that has made the mark. Default: that of this process. */
  readonly login?: HostLogin | undefined;
  /** The inner hosts that are known already; more are added to it. */
  readonly inner?: InnerHosts | undefined;
  /** The newest pid of the machine. Default: as the table shows it. */
  readonly newest?: (() => number) | undefined;
  /** Seconds since boot, for tests. */
  readonly now?: () => number;
}

/** A process that was found, and by what. */
export interface Found {
  readonly row: ProcessRow;
  readonly match: Exclude<MarkMatch, false>;
}

/** Finds the processes with one mark in the looks at the machine. */
export class MarkSearch {
  readonly looks: Looks;
  readonly #since: number;
  readonly #knowledge: SearchKnowledge;
  /** Undefined for the mark of a whole host, which many marks in processes match. */
  readonly #wanted: Omit<WantedMark, 'hosts'> | undefined;
  /** `looks.marksRead` at the last search, if that has found nothing. */
  #foundNothingAt: number | undefined;

  constructor(mark: Mark, { looks, table, since = 0, inner, limits, login, ...options }: SearchOptions) {
    this.looks = looks ?? new Looks(table, options);
    // A start time that is not whole is later than those of its own tick.
    this.#since = Math.floor(since);
    this.#knowledge = new SearchKnowledge(mark, inner, limits, login);
    const { host, instance } = mark;
    if (instance === undefined) return;
    const own = { host, instance };
    this.#wanted = { text: markText(own), limit: rlimitValue(own) };
  }

  /**
   * The living processes with the mark in that look, besides those with a pid in `except`. From all of them, those too,
   * it learns users and inner hosts: a pool may run in a member of the tree.
   */
  find(look: Look, except: { has(pid: number): boolean }): Found[] {
    this.#knowledge.begin();
    for (;;) {
      const known = this.#knowledge.size;
      const found: Found[] = [];
      for (const { row, reading } of this.#candidatesIn(look)) {
        if (row.startTime < this.#since || this.#isInForeignSession(row, look)) continue;
        const match = this.#judge(row, reading, look);
        if (match && !except.has(row.pid)) found.push({ row, match });
      }
      // A process that was judged first may belong to an inner host that was found later in the same look.
      if (this.#knowledge.size !== known) continue;
      this.#foundNothingAt = found.length === 0 ? this.looks.marksRead : undefined;
      return found;
    }
  }

  /**
   * Whether a look shows a process with a mark that was not there when nothing was found. If not, nothing is found again, but
   * what is judged in another way because a process has ended.
   */
  hasNews(look: Look): boolean {
    look.marked(this.#since);
    return this.#foundNothingAt !== this.looks.marksRead;
  }

  #candidatesIn(look: Look): Iterable<MarkedRow> {
    if (!this.#wanted) return look.marked(this.#since);
    return look.markedWith({ ...this.#wanted, hosts: this.#knowledge.innerHosts }, this.#since);
  }

  /** Reads the marks of a process that may be younger than the look. Call it right before a signal. */
  matchNow(row: ProcessRow): MarkMatch {
    const look = this.looks.last;
    if (row.dead || row.startTime < this.#since || this.#isInForeignSession(row, look)) return false;
    const reading = this.looks.readNow(row);
    return reading !== undefined && this.#judge(row, reading, look);
  }

  #judge(row: ProcessRow, reading: MarkReading, look: Look): MarkMatch {
    const match = judge(reading, this.#knowledge);
    if (match === 'environment') this.#knowledge.learn(reading, () => this.#ownerOfHost(row, look));
    if (match !== 'limit' && match !== 'inner') return match;
    return this.#hasLimitOfStranger(row, reading, look) ? false : match;
  }

  /** Whether a process from which this one has inherited its limit lives, and is one that could have forged it. */
  #hasLimitOfStranger(row: ProcessRow, own: MarkReading, { rows, reading }: Look): boolean {
    for (let child = row; ; ) {
      const parent = rows.get(child.parent);
      // A younger one has got the pid of the parent.
      if (parent === undefined || parent.dead || parent.pid <= 1 || isOlder(child, parent)) return false;
      const shown = reading(parent);
      if (shown.limit !== own.limit) return false;
      if (!mayInherit(shown, own.owner, this.#knowledge)) return true;
      child = parent;
    }
  }

  /**
   * The owner of the host that has started the session of this process. Undefined when that is not visible: then the
   * process may be ours, or that host is dead.
   */
  #ownerOfHost({ session }: ProcessRow, { rows, reading }: Look): MarkReading['owner'] {
    const leader = rows.get(session);
    const host = leader && rows.get(leader.parent);
    if (host === undefined || host.dead || host.pid <= 1 || host.startTime < this.#since) return undefined;
    const shown = reading(host);
    return judge(shown, this.#knowledge) === 'environment' ? shown.owner : undefined;
  }

  /** A server begins a session, so each of its descendants is in that session or in a younger one. */
  #isInForeignSession({ session }: ProcessRow, { rows }: Look): boolean {
    const leader = rows.get(session);
    return leader !== undefined && leader.startTime < this.#since;
  }
}
