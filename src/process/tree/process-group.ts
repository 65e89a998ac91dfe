import { setTimeout as pause } from 'node:timers/promises';
import type { Platform } from '../platform.js';
import type { ProcessIdentity, ProcessRow, ProcessTable } from '../process-table.js';
import type { KillReport } from './kill-escaped.js';
import type { ProcessSet } from './process-tree.js';

/**
 * The processes in the group that a server was started in, and nobody else: what has made a group or session of its own
 * is left alone, as `containment: 'group'` asks for.
 */
export class ProcessGroup implements ProcessSet {
  readonly #table: ProcessTable;
  readonly #leader: ProcessIdentity;
  /** Those that the last look saw. */
  #members: readonly number[];

  constructor(table: ProcessTable, leader: ProcessIdentity) {
    this.#table = table;
    this.#leader = leader;
    this.#members = [leader.pid];
  }

  leaderExited(): ProcessRow[] {
    this.#table.forget?.();
    return this.refresh();
  }

  refresh(): ProcessRow[] {
    return this.#take([...this.#table.scan().values()]);
  }

  living(): ProcessRow[] {
    return this.#take(this.#members.map((pid) => this.#table.read(pid)).filter((row) => row !== undefined));
  }

  /**
   * One signal to the whole group: the kernel sees to it that it misses nobody, however they fork, while a look at the table
   * may miss a chain of processes in which each starts the next. Then whoever lives all the same.
   */
  async killRest({ signalGroup, pace }: Platform): Promise<KillReport> {
    const killed = this.refresh();
    if (this.#isOurs()) signalGroup(this.#leader.pid, 'SIGKILL');
    const end = performance.now() + pace.killGrace;
    for (let interval = pace.firstPoll; ; interval = Math.min(interval * 2, pace.longestPoll)) {
      const survivors = this.refresh();
      if (survivors.length === 0 || performance.now() > end) return { killed, survivors };
      await pause(interval, undefined, { ref: false });
    }
  }

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    return new Set([...members].map(({ group }) => group));
  }

  #take(rows: readonly ProcessRow[]): ProcessRow[] {
    const found = this.#isOurs() ? rows.filter(({ group }) => group === this.#leader.pid) : [];
    this.#members = found.map(({ pid }) => pid);
    return found.filter(({ dead }) => !dead);
  }

  /**
   * The number of the group is given to nobody while a member lives in it, whoever leads it: so it is ours, unless somebody
   * has it as a pid who is not our leader. A zombie that was not collected yet holds it as well.
   */
  #isOurs(): boolean {
    const holder = this.#table.read(this.#leader.pid);
    return holder === undefined || holder.startTime === this.#leader.startTime;
  }
}
