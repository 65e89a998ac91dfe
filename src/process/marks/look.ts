import type { ProcessRow } from '../process-table.js';
import { isUnmarked, type MarkReading } from './evidence.js';
import { type MarkedRow, MarkIndex, type WantedMark } from './mark-index.js';

const NONE: readonly ProcessRow[] = [];

type LookParts = Pick<Look, 'rows' | 'isWhole' | 'newestBefore' | 'settledBefore' | 'reading'>;

/** All processes of the machine at one moment. What is derived from them is made when it is first asked for. */
export class Look {
  readonly rows: ReadonlyMap<number, ProcessRow>;
  /** Whether every row was read for this look; else some are a moment old. */
  readonly isWhole: boolean;
  /** The newest pid right before: this look may have missed what has a newer one. */
  readonly newestBefore: number;
  /** In ticks since boot. What was started later may get its mark only now. */
  readonly settledBefore: number;
  /** The marks of a process; of an unsettled one, as they are in this look. */
  readonly reading: (row: ProcessRow) => MarkReading;
  #children: Map<number, ProcessRow[]> | undefined;
  #around: Set<number> | undefined;
  #groups: Map<number, ProcessRow[]> | undefined;
  #sessions: Map<number, ProcessRow[]> | undefined;
  /** The processes with a mark that were started at `#markedSince` or later. */
  #marked: MarkedRow[] = [];
  #markedSince = Number.POSITIVE_INFINITY;
  readonly #index = new MarkIndex();
  /** How many of `#marked` are in the index. */
  #indexed = 0;

  constructor({ rows, isWhole, newestBefore, settledBefore, reading }: LookParts) {
    this.rows = rows;
    this.isWhole = isWhole;
    this.newestBefore = newestBefore;
    this.settledBefore = settledBefore;
    this.reading = reading;
  }

  /** Whether it is this host, or one of those that it descends from. */
  isAroundHost(pid: number): boolean {
    this.#around ??= this.#hostAndAbove();
    return this.#around.has(pid);
  }

  #hostAndAbove(): Set<number> {
    const around = new Set([process.pid]);
    for (const pid of around) {
      const parent = this.rows.get(pid)?.parent;
      if (parent !== undefined) around.add(parent);
    }
    return around;
  }

  childrenOf(pid: number): readonly ProcessRow[] {
    this.#children ??= groupBy(this.rows, ({ parent }) => parent);
    return this.#children.get(pid) ?? NONE;
  }

  inGroup(group: number): readonly ProcessRow[] {
    this.#groups ??= groupBy(this.rows, (row) => row.group);
    return this.#groups.get(group) ?? NONE;
  }

  inSession(session: number): readonly ProcessRow[] {
    this.#sessions ??= groupBy(this.rows, (row) => row.session);
    return this.#sessions.get(session) ?? NONE;
  }

  /**
   * The living processes with a mark that may have been started at `since` or later. Each process is read once, for all
   * that ask.
   */
  marked(since: number): readonly MarkedRow[] {
    if (since < this.#markedSince) {
      for (const row of this.rows.values()) {
        const { pid, group, session, startTime, dead } = row;
        if (startTime < since || startTime >= this.#markedSince) continue;
        // Zombies still show their limits. Kernel threads have neither group nor session.
        if (dead || pid <= 1 || pid === process.pid || (group === 0 && session === 0)) continue;
        const reading = this.reading(row);
        if (!isUnmarked(reading)) this.#marked.push({ row, reading });
      }
      this.#markedSince = since;
    }
    return this.#marked;
  }

  /** Of the processes that `marked` returns, those that can have that mark. */
  markedWith(wanted: WantedMark, since: number): Iterable<MarkedRow> {
    const marked = this.marked(since);
    for (; this.#indexed < marked.length; this.#indexed++) this.#index.add(marked[this.#indexed] as MarkedRow);
    return this.#index.find(wanted);
  }
}

function groupBy(rows: ReadonlyMap<number, ProcessRow>, keyOf: (row: ProcessRow) => number): Map<number, ProcessRow[]> {
  const groups = new Map<number, ProcessRow[]>();
  for (const row of rows.values()) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}
