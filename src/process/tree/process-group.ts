import type { Look } from '../marks/look.js';
import { Looks } from '../marks/looks.js';
import {
  holdSame,
  type ProcessControl,
  type ProcessIdentity,
  type ProcessRow,
  type ProcessTable,
} from '../process-table.js';
import { livingAmong, type ProcessSet } from './process-set.js';

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
  /** Whether the group was left by all after the leader's exit: from then on its number may belong to another one. */
  #isLeft = false;
  /** Whether the whole group got SIGKILL. */
  #isKilled = false;
  /** pid → start time of what the last look after that has shown: what is killed starts nothing that is not among these. */
  #doomed: ReadonlyMap<number, number> | undefined;
  readonly #hasGroup: (group: number) => boolean;

  /**
   * @param looks those of other trees at the same table; default: its own
   * @param hasGroup see {@link Platform.hasGroup}; default: what a look does not show is not there
   */
  constructor(
    table: ProcessTable,
    leader: ProcessIdentity,
    looks = new Looks(table),
    hasGroup: (group: number) => boolean = () => false,
  ) {
    this.#table = table;
    this.#looks = looks;
    this.#leader = leader;
    this.#hasGroup = hasGroup;
    this.#members = [leader.pid];
    holdSame(table, leader);
  }

  leaderExited(): ProcessRow[] {
    this.#exited = true;
    this.forget();
    return livingAmong(this.#takeAll(this.#looks.takeAtExit(this.#leader)));
  }

  refresh(): ProcessRow[] {
    return livingAmong(this.#takeAll(this.#looks.take()));
  }

  present(): ProcessRow[] {
    return this.#takeAll(this.#looks.takeLoose());
  }

  living(): ProcessRow[] {
    const rows = this.#members.map((pid) => this.#table.read(pid)).filter((row) => row !== undefined);
    return livingAmong(this.#take(rows));
  }

  allDead(): boolean {
    return this.living().length === 0;
  }

  /**
   * Sends one signal to the whole group: the kernel misses no member, however fast they fork, while a scan of the table
   * may miss a chain of processes in which each starts the next.
   */
  killUnseen({ signalGroup }: ProcessControl): void {
    if (!this.#isOurs()) return;
    signalGroup(this.#leader.pid, 'SIGKILL');
    this.#isKilled = true;
  }

  hasChildren(pid: number): boolean {
    return this.#looks.last.childrenOf(pid).length > 0;
  }

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    return new Set([...members].map(({ group }) => group));
  }

  get hasLeaderGroup(): boolean {
    return !this.#isLeft;
  }

  forget(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#table.release?.(this.#leader);
  }

  #takeAll(look: Look): ProcessRow[] {
    const found = this.#take(look.inGroup(this.#leader.pid));
    if (this.#isKilled) this.#doomed = new Map(found.map(({ pid, startTime }) => [pid, startTime]));
    if (!this.#exited) return found;
    // A look may miss a chain of processes, each of which starts the next; the kernel does not.
    if (found.length === 0 && (this.#doomed?.size === 0 || !this.#hasGroup(this.#leader.pid))) this.#isLeft = true;
    return found;
  }

  #take(rows: readonly ProcessRow[]): ProcessRow[] {
    const found = this.#isOurs() ? this.#oursAmong(rows) : [];
    for (const row of found) this.#looks.watch(row);
    this.#members = found.map(({ pid }) => pid);
    return found;
  }

  /** A group is within one session, and that of our leader has its number, too; 0 where sessions are not known. */
  #oursAmong(rows: readonly ProcessRow[]): ProcessRow[] {
    const { pid } = this.#leader;
    const found = rows.filter(({ group, session }) => group === pid && (session === pid || session === 0));
    if (!this.#isKilled) return found;
    // Where none of them is left, the number was free in between, and the group is that of a stranger.
    const doomed = this.#doomed;
    if (doomed && !found.some(({ pid, startTime }) => doomed.get(pid) === startTime)) return [];
    return found;
  }

  /**
   * The kernel does not reuse the number of a group while a member lives in it. So the group belongs to this server,
   * unless another process than our leader has the number as its pid, or all had left it. An uncollected zombie holds
   * the number as well.
   */
  #isOurs(): boolean {
    if (this.#isLeft) return false;
    const holder = this.#table.read(this.#leader.pid);
    // Node has collected the leader: then even a process of the same tick is another one.
    return holder === undefined || (!this.#exited && holder.startTime === this.#leader.startTime);
  }
}
