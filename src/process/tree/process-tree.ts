import type { Look } from '../marks/look.js';
import { Looks } from '../marks/looks.js';
import type { MarkSearch } from '../marks/mark-search.js';
import {
  holdSame,
  isAlive,
  isOlder,
  type ProcessIdentity,
  type ProcessRow,
  type ProcessTable,
} from '../process-table.js';
import { holdKin, type Kinship } from './hold-kin.js';
import { inOrder, livingAmong, type ProcessSet } from './process-set.js';

/** Where members are found, also those that have left the tree. */
export interface MemberSources {
  /** The looks of other trees at the same table. Default: those of `marks`, or its own. */
  readonly looks?: Looks | undefined;
  readonly marks?: MarkSearch | undefined;
  /** The pids of the processes in the cgroup of the server. */
  readonly inCgroup?: (() => ReadonlySet<number>) | undefined;
}

/**
 * One of that many looks to measure reads the cgroup, which shows hardly anything that has no mark either, and searches for the
 * mark although no process with a mark is new.
 */
const EACH = 10;

/**
 * The processes of one server: its leader, all descendants, all processes in a group or session that one of them leads,
 * and, where the server has these, all processes in its cgroup and all that have its mark, with their descendants. A
 * member remains a member after its parent has died, because its identity is remembered: so a tree that falls apart
 * while it is ended is still known as a whole.
 *
 * A mark, or a cgroup, says something of one process: it may run in a session of another, such as a terminal in which a
 * user tries a command with the environment of the server. So a group or session is ours only if our leader leads it, or
 * a process that was seen as a descendant: then it began inside the tree.
 */
export class ProcessTree implements ProcessSet {
  readonly #table: ProcessTable;
  readonly #leader: ProcessIdentity;
  readonly #looks: Looks;
  readonly #sources: MemberSources;
  /** Each member that was not seen dead yet. `isDescendant`: it descends from our leader, or from a member. */
  readonly #members = new Map<number, { readonly startTime: number; readonly isDescendant: boolean }>();
  /**
   * Groups and sessions that a member leads or led. The number belongs to this server as long as a member lives in
   * them.
   */
  readonly #led = new Set<number>();
  #exited = false;
  /** How often `present` was called. */
  #measured = 0;

  constructor(table: ProcessTable, leader: ProcessIdentity, sources: MemberSources = {}) {
    this.#table = table;
    this.#leader = leader;
    this.#sources = sources;
    this.#looks = sources.marks?.looks ?? sources.looks ?? new Looks(table);
    this.#looks.watch(leader);
    // In the tick of its spawn: it is our child, so its number is its own.
    holdSame(table, leader);
    this.#members.set(leader.pid, { startTime: leader.startTime, isDescendant: true });
    // The leader is spawned as leader of a new session and a new group, both of its own number.
    this.#led.add(leader.pid);
  }

  leaderExited(): ProcessRow[] {
    this.#exited = true;
    // Only in this tick, also if the table cannot be read now: later the pid may belong to another process.
    const look = this.#looks.takeAtExit(this.#leader);
    this.#adoptOrphans(look);
    return livingAmong(this.#take(look));
  }

  refresh(killed?: ReadonlyMap<number, ProcessIdentity>): ProcessRow[] {
    // After SIGKILL to all members, the kernel shows at the end whether a process is left in the cgroup.
    return livingAmong(this.#take(this.#looks.take(killed), { readsCgroup: killed === undefined }));
  }

  present(): ProcessRow[] {
    const { marks } = this.#sources;
    const look = this.#looks.takeLoose();
    if (this.#measured++ % EACH === 0 || marks === undefined) return this.#take(look);
    return this.#take(look, { readsCgroup: false, searches: marks.hasNews(look) });
  }

  #take(look: Look, { readsCgroup = true, searches = true } = {}): ProcessRow[] {
    const { marks, inCgroup } = this.#sources;
    const members = this.#present(look.rows);
    this.#addRelated(members, look, [...members.values()]);
    if (readsCgroup && inCgroup) {
      // Read after the table, so that each of its pids is a current one, and again when the process is held.
      const rows = [...inCgroup()].map((pid) => look.rows.get(pid) ?? this.#table.read(pid));
      let pids: ReadonlySet<number> | undefined;
      this.#addFound(members, look, rows, ({ pid }) => {
        pids ??= inCgroup();
        return pids.has(pid);
      });
    }
    if (marks && searches) {
      // They left the tree by a new session and the death of their parent.
      const rows = marks.find(look, members).map(({ row }) => row);
      this.#addFound(members, look, rows, (now) => now.dead || marks.matchNow(now) !== false);
    }
    this.#forgetEmpty(members);
    return this.#settle(members);
  }

  /** Adds processes that only a mark or the cgroup shows, as long as `isFound` holds, and what is related to them. */
  #addFound(
    members: Map<number, ProcessRow>,
    look: Look,
    found: readonly (ProcessRow | undefined)[],
    isFound: (now: ProcessRow) => boolean,
  ): void {
    const added: ProcessRow[] = [];
    for (const row of found) {
      if (row === undefined || members.has(row.pid) || !this.#mayBeOurs(row)) continue;
      // What was held was read when the look was taken; a number that was free in between belongs to another process.
      const ours = this.#holdOurs([row], look, () => (this.#table.hold ? isFound : () => true));
      for (const now of ours) added.push(this.#join(members, now, false));
    }
    this.#addRelated(members, look, added);
  }

  /** Adds what descends from `begin`, or is in a group or session of it that belongs to the server, and so on. */
  #addRelated(members: Map<number, ProcessRow>, look: Look, begin: readonly ProcessRow[]): void {
    const shown = new Set<number>();
    const queue = [...begin];
    const add = (found: readonly ProcessRow[], kinship: () => Kinship) => {
      const rows = found.filter((row) => !members.has(row.pid) && this.#mayBeOurs(row));
      // If the relative is still there when all are held, its number was not given to another process meanwhile.
      const ours = this.#holdOurs(rows, look, () => (this.#table.hold ? kinship() : () => true));
      for (const now of ours) queue.push(this.#join(members, now, true));
    };
    for (const relative of queue) {
      const { pid, group, session } = relative;
      // An older process had another parent of that pid.
      const children = look.childrenOf(pid).filter((row) => !isOlder(row, relative));
      add(children, () => this.#isChildOf(relative));
      for (const led of [group, session]) {
        if (shown.has(led) || !this.#led.has(led)) continue;
        shown.add(led);
        add([...new Set([...look.inGroup(led), ...look.inSession(led)])], () => this.#isLedBy(led));
      }
    }
  }

  /** Still its child; or an orphan now, if the parent has ended. */
  #isChildOf({ pid, startTime }: ProcessRow): Kinship {
    const parent = this.#table.read(pid);
    const isThere = parent?.startTime === startTime;
    return (now) => (isThere && now.parent === pid) || (now.parent !== pid && !(isThere && !parent.dead));
  }

  /** In a group or session with that number, or, a moment later, in one of its own. */
  #isLedBy(led: number): Kinship {
    if (!this.#isLeaderOurs(led)) return () => false;
    return (now, found) => now.group === led || now.session === led || now.parent === found.parent;
  }

  /** The number of a group is not given again while a process is in it. So it is free, or its leader is a member. */
  #isLeaderOurs(led: number): boolean {
    const leader = this.#table.read(led);
    if (leader === undefined || this.#members.get(led)?.startTime === leader.startTime) return true;
    this.#led.delete(led);
    return false;
  }

  #holdOurs(rows: readonly ProcessRow[], look: Look, kinship: () => Kinship): ProcessRow[] {
    return holdKin({ table: this.#table, look, isMember: (pid) => this.#members.has(pid) }, rows, kinship);
  }

  living(): ProcessRow[] {
    const rows = new Map<number, ProcessRow>();
    for (const pid of this.#members.keys()) {
      const row = this.#table.read(pid);
      if (row !== undefined) rows.set(pid, row);
    }
    return livingAmong(this.#settle(this.#present(rows)));
  }

  allDead(): boolean {
    for (const [pid, { startTime }] of this.#members) if (isAlive(this.#table, pid, startTime)) return false;
    return true;
  }

  hasChildren(pid: number): boolean {
    return this.#looks.last.childrenOf(pid).length > 0;
  }

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    const groups = new Set<number>();
    for (const { group } of members) {
      if (!groups.has(group) && this.#led.has(group) && this.#isLeaderOurs(group)) groups.add(group);
    }
    return groups;
  }

  get hasLeaderGroup(): boolean {
    return this.#led.has(this.#leader.pid);
  }

  forget(): void {
    for (const pid of this.#members.keys()) this.#drop(pid);
  }

  #adoptOrphans(look: Look): void {
    const { pid } = this.#leader;
    // Node has collected it: what has its number from now on is another process, even if it was started in the same tick.
    this.#drop(pid);
    // The pid is in use again. That is impossible while a member is left in the group, so no member is left.
    if (look.rows.has(pid)) return void this.#led.delete(pid);
    // Windows has no groups, but a process keeps the pid of its parent.
    const left = new Set([...look.childrenOf(pid), ...look.inGroup(pid), ...look.inSession(pid)]);
    const rows = [...left].filter((row) => !isOlder(row, this.#leader) && !this.#members.has(row.pid));
    const ours = this.#holdOurs(rows, look, () => (this.#isLeaderOurs(pid) ? () => true : () => false));
    for (const row of ours) this.#add(row, true);
  }

  /** Nothing that is older than the leader descends from it. Kernel threads have neither group nor session. */
  #mayBeOurs(row: ProcessRow): boolean {
    const { group, session } = row;
    return !isOlder(row, this.#leader) && !(this.#sources.marks && group === 0 && session === 0);
  }

  /** @param row of a held process */
  #join(members: Map<number, ProcessRow>, row: ProcessRow, isDescendant: boolean): ProcessRow {
    members.set(row.pid, row);
    this.#add(row, isDescendant);
    return row;
  }

  #add(row: ProcessRow, isDescendant: boolean): void {
    this.#looks.watch(row);
    this.#drop(row.pid);
    this.#members.set(row.pid, { startTime: row.startTime, isDescendant });
    if (isDescendant) this.#noteLeader(row);
  }

  #drop(pid: number): void {
    const member = this.#members.get(pid);
    if (member === undefined) return;
    this.#members.delete(pid);
    this.#table.release?.({ pid, startTime: member.startTime });
  }

  /** A member may make a group or session of its own at any time. */
  #noteLeader({ pid, group, session }: ProcessRow): void {
    if (group === pid || session === pid) this.#led.add(pid);
  }

  /** The members that `table` shows, dead ones too: a zombie still holds the number of its group. */
  #present(table: ReadonlyMap<number, ProcessRow>): Map<number, ProcessRow> {
    const present = new Map<number, ProcessRow>();
    for (const [pid, { startTime, isDescendant }] of this.#members) {
      const row = table.get(pid);
      if (row?.startTime === startTime) {
        present.set(pid, row);
        if (isDescendant) this.#noteLeader(row);
      } else if (row !== undefined) this.#led.delete(pid);
    }
    return present;
  }

  /** The number of a group or session without a member may be given to a stranger. */
  #forgetEmpty(members: ReadonlyMap<number, ProcessRow>): void {
    // Until its exit is reported, the number of the leader says which orphans are its own.
    if (!this.#exited && this.#led.size === 1) return;
    const used = new Set<number>(this.#exited ? [] : [this.#leader.pid]);
    for (const { group, session } of members.values()) used.add(group).add(session);
    for (const number of this.#led) if (!used.has(number)) this.#led.delete(number);
  }

  #settle(members: Map<number, ProcessRow>): ProcessRow[] {
    for (const pid of this.#members.keys()) if (!members.has(pid)) this.#drop(pid);
    return inOrder(members.values());
  }
}
