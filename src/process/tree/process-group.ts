import { Looks } from '../marks/looks.js';
import {
  holdSame,
  type ProcessControl,
  type ProcessIdentity,
  type ProcessRow,
  type ProcessTable,
} from '../process-table.js';
import type { ProcessSet } from './process-set.js';

/**
 * The processes in the group that a server was started in. A process that has made a group or session of its own is
 * left alone: `containment: 'group'` asks for that.
 */
export class ProcessGroup implements ProcessSet {
  readonly #table: ProcessTable;
  readonly #looks: Looks;
  readonly #leader: ProcessIdentity;
  /** The members that the last scan has shown. */
  #members: readonly number[];
  #exited = false;
  #isHeld = true;

  /** @param looks those of other trees at the same table; default: its own */
  constructor(table: ProcessTable, leader: ProcessIdentity, looks = new Looks(table)) {
    this.#table = table;
    this.#looks = looks;
    this.#leader = leader;
    this.#members = [leader.pid];
    holdSame(table, leader);
  }

  leaderExited(): ProcessRow[] {
    this.#exited = true;
    this.forget();
    return this.#take(this.#looks.takeAtExit().inGroup(this.#leader.pid));
  }

  refresh(): ProcessRow[] {
    return this.#take(this.#looks.take().inGroup(this.#leader.pid));
  }

  living(): ProcessRow[] {
    return this.#take(this.#members.map((pid) => this.#table.read(pid)).filter((row) => row !== undefined));
  }

  allDead(): boolean {
    return this.living().length === 0;
  }

  /**
   * Sends one signal to the whole group: the kernel misses no member, however fast they fork, while a scan of the table
   * may miss a chain of processes in which each starts the next.
   */
  killUnseen({ signalGroup }: ProcessControl): void {
    if (this.#isOurs()) signalGroup(this.#leader.pid, 'SIGKILL');
  }

  hasChildren(pid: number): boolean {
    return this.#looks.last.childrenOf(pid).length > 0;
  }

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    return new Set([...members].map(({ group }) => group));
  }

  forget(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#table.release?.(this.#leader);
  }

  #take(rows: readonly ProcessRow[]): ProcessRow[] {
    const found = this.#isOurs() ? rows.filter(({ group }) => group === this.#leader.pid) : [];
    for (const row of found) this.#looks.watch(row);
    this.#members = found.map(({ pid }) => pid);
    return found.filter(({ dead }) => !dead);
  }

  /**
   * The kernel does not reuse the number of a group while a member lives in it. So the group belongs to this server,
   * unless another process than our leader has the number as its pid. An uncollected zombie holds the number as well.
   */
  #isOurs(): boolean {
    const holder = this.#table.read(this.#leader.pid);
    // Node has collected the leader: then even a process of the same tick is another one.
    return holder === undefined || (!this.#exited && holder.startTime === this.#leader.startTime);
  }
}
