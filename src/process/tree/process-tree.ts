import type { Look } from '../marks/look.js';
import { Looks } from '../marks/looks.js';
import type { MarkSearch } from '../marks/mark-search.js';
import { isAlive, type ProcessIdentity, type ProcessRow, type ProcessTable } from '../process-table.js';
import type { ProcessSet } from './process-set.js';

/** Where members are found, also those that have left the tree. */
export interface MemberSources {
  /** The looks of other trees at the same table. Default: those of `marks`, or its own. */
  readonly looks?: Looks | undefined;
  readonly marks?: MarkSearch | undefined;
  /** The pids of the processes in the cgroup of the server. */
  readonly inCgroup?: (() => ReadonlySet<number>) | undefined;
}

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

  constructor(table: ProcessTable, leader: ProcessIdentity, sources: MemberSources = {}) {
    this.#table = table;
    this.#leader = leader;
    this.#sources = sources;
    this.#looks = sources.marks?.looks ?? sources.looks ?? new Looks(table);
    this.#looks.watch(leader);
    this.#members.set(leader.pid, { startTime: leader.startTime, isDescendant: true });
    // The leader is spawned as leader of a new session and a new group, both of its own number.
    this.#led.add(leader.pid);
  }

  leaderExited(): ProcessRow[] {
    // Only in this tick, also if the table cannot be read now: later the pid may belong to another process.
    const look = this.#looks.takeAtExit();
    this.#adoptOrphans(look);
    return this.#take(look, true);
  }

  refresh(killed?: ReadonlyMap<number, ProcessIdentity>): ProcessRow[] {
    return this.#take(this.#looks.take(killed), killed === undefined);
  }

  /** @param readsCgroup after SIGKILL to all members, the kernel shows at the end whether a process is left in the cgroup */
  #take(look: Look, readsCgroup: boolean): ProcessRow[] {
    const { marks } = this.#sources;
    const members = this.#present(look.rows);
    this.#addRelated(members, look, [...members.values()]);
    if (readsCgroup) this.#addRelated(members, look, this.#addFromCgroup(members, look));
    if (marks) {
      // They left the tree by a new session and the death of their parent.
      const found = marks.find(look, members).filter(({ row }) => this.#mayBeOurs(row));
      const rows = found.map(({ row }) => row);
      for (const row of rows) this.#join(members, row, false);
      this.#addRelated(members, look, rows);
    }
    return this.#settle(members);
  }

  /** Adds what descends from `begin`, or is in a group or session of it that belongs to the server, and so on. */
  #addRelated(members: Map<number, ProcessRow>, look: Look, begin: readonly ProcessRow[]): void {
    const shown = new Set<number>();
    const queue = [...begin];
    const add = (found: ProcessRow) => {
      if (members.has(found.pid) || !this.#mayBeOurs(found)) return;
      const row = look.isWhole ? found : this.#table.read(found.pid);
      if (row === undefined || row.startTime !== found.startTime) return;
      this.#join(members, row, true);
      queue.push(row);
    };
    for (const { pid, group, session, startTime } of queue) {
      // An older process had another parent of that pid.
      for (const row of look.childrenOf(pid)) if (row.startTime >= startTime) add(row);
      for (const led of [group, session]) {
        if (shown.has(led) || !this.#led.has(led)) continue;
        shown.add(led);
        for (const row of look.inGroup(led)) add(row);
        for (const row of look.inSession(led)) add(row);
      }
    }
  }

  /**
   * Adds the processes in the cgroup. The cgroup is read after the table, so that each of its pids is a current one; a
   * process that was started in between is read from the table now.
   */
  #addFromCgroup(members: Map<number, ProcessRow>, look: Look): ProcessRow[] {
    const pids = new Set(this.#sources.inCgroup?.());
    const rows = [...pids]
      .filter((pid) => !members.has(pid))
      .map((pid) => look.rows.get(pid) ?? this.#table.read(pid))
      .filter((row) => row !== undefined)
      .filter((row) => this.#mayBeOurs(row));
    for (const row of rows) this.#join(members, row, false);
    return rows;
  }

  living(): ProcessRow[] {
    const rows = new Map<number, ProcessRow>();
    for (const pid of this.#members.keys()) {
      const row = this.#table.read(pid);
      if (row !== undefined) rows.set(pid, row);
    }
    return this.#settle(this.#present(rows));
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
    for (const { group } of members) if (this.#led.has(group)) groups.add(group);
    return groups;
  }

  #adoptOrphans(look: Look): void {
    const { pid, startTime } = this.#leader;
    // Node has collected it: what has its number from now on is another process, even if it was started in the same tick.
    this.#members.delete(pid);
    // The pid is in use again. That is impossible while a member is left in the group, so no member is left.
    if (look.rows.has(pid)) return void this.#led.delete(pid);
    // Windows has no groups, but a process keeps the pid of its parent.
    const left = [...look.childrenOf(pid), ...look.inGroup(pid), ...look.inSession(pid)];
    for (const row of left) if (row.startTime >= startTime) this.#add(row, true);
  }

  /** Nothing that is older than the leader descends from it. Kernel threads have neither group nor session. */
  #mayBeOurs({ group, session, startTime }: ProcessRow): boolean {
    return startTime >= this.#leader.startTime && !(this.#sources.marks && group === 0 && session === 0);
  }

  #join(members: Map<number, ProcessRow>, row: ProcessRow, isDescendant: boolean): void {
    members.set(row.pid, row);
    this.#add(row, isDescendant);
  }

  #add(row: ProcessRow, isDescendant: boolean): void {
    this.#looks.watch(row);
    this.#members.set(row.pid, { startTime: row.startTime, isDescendant });
    if (isDescendant) this.#noteLeader(row);
  }

  /** A member may make a group or session of its own at any time. */
  #noteLeader({ pid, group, session }: ProcessRow): void {
    if (group === pid || session === pid) this.#led.add(pid);
  }

  /**
   * The members that `table` shows under the same identity. Dead ones too: a zombie still holds the number of its
   * group.
   */
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

  #settle(members: Map<number, ProcessRow>): ProcessRow[] {
    for (const pid of this.#members.keys()) if (!members.has(pid)) this.#members.delete(pid);
    // The leader first, and parents before their children.
    return [...members.values()].filter((row) => !row.dead).sort((a, b) => a.startTime - b.startTime || a.pid - b.pid);
  }
}
