import type { ProcessIdentity, ProcessRow, ProcessTable } from './process-table.js';
import type { Kin } from './process-tree.js';

/**
 * The processes in the group that a server was started in, and nobody else: what has made a group or session of its own
 * is left alone, as `containment: 'group'` asks for.
 */
export class ProcessGroup implements Kin {
  readonly #table: ProcessTable;
  readonly #leader: ProcessIdentity;
  /** pid → start time of those that the last look saw. While one of them is there, the group's number is nobody else's. */
  #members: ReadonlyMap<number, number>;

  constructor(table: ProcessTable, leader: ProcessIdentity) {
    this.#table = table;
    this.#leader = leader;
    this.#members = new Map([[leader.pid, leader.startTime]]);
  }

  leaderExited(): ProcessRow[] {
    this.#table.forget?.();
    const rows = this.#table.scan();
    // In this tick the number can be somebody else's only if nobody was left in the group.
    return this.#take(rows.has(this.#leader.pid) ? [] : this.#inGroup(rows));
  }

  refresh(): ProcessRow[] {
    return this.#takeIfOurs(this.#inGroup(this.#table.scan()));
  }

  living(): ProcessRow[] {
    const rows = [...this.#members.keys()].map((pid) => this.#table.read(pid));
    return this.#takeIfOurs(rows.filter((row) => row !== undefined).filter(({ group }) => group === this.#leader.pid));
  }

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    return new Set([...members].map(({ group }) => group));
  }

  #inGroup(rows: ReadonlyMap<number, ProcessRow>): ProcessRow[] {
    return [...rows.values()].filter(({ group }) => group === this.#leader.pid);
  }

  /** A zombie that was not collected yet holds the number as well. */
  #takeIfOurs(rows: readonly ProcessRow[]): ProcessRow[] {
    return this.#take(rows.some(({ pid, startTime }) => this.#members.get(pid) === startTime) ? rows : []);
  }

  #take(rows: readonly ProcessRow[]): ProcessRow[] {
    this.#members = new Map(rows.map(({ pid, startTime }) => [pid, startTime]));
    return rows.filter(({ dead }) => !dead);
  }
}
