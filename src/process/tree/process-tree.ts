import type { MarkSearch } from '../marks/mark-search.js';
import { isAlive, type ProcessIdentity, type ProcessRow, type ProcessTable } from '../process-table.js';
import type { ProcessSet } from './process-set.js';

/** Where members are found that have left the tree. */
export interface MemberSources {
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
  readonly #sources: MemberSources;
  #adopting = false;
  /** Each member that was not seen dead yet. `kin`: it descends from our leader, or from a member. */
  readonly #members = new Map<number, { readonly startTime: number; readonly kin: boolean }>();
  /**
   * Groups and sessions that a member leads or led. The number belongs to this server as long as a member lives in
   * them.
   */
  readonly #led = new Set<number>();

  constructor(table: ProcessTable, leader: ProcessIdentity, sources: MemberSources = {}) {
    this.#table = table;
    this.#leader = leader;
    this.#sources = sources;
    this.#members.set(leader.pid, { startTime: leader.startTime, kin: true });
    // The leader is spawned as leader of a new session and a new group, both of its own number.
    this.#led.add(leader.pid);
  }

  leaderExited(): ProcessRow[] {
    this.#adopting = true;
    this.#table.forget?.();
    try {
      return this.refresh();
    } finally {
      // Only in this tick, even if the table could not be read now: later the pid may belong to another process.
      this.#adopting = false;
    }
  }

  refresh(killed?: ReadonlyMap<number, ProcessIdentity>): ProcessRow[] {
    const table = this.#sources.marks?.scan(killed) ?? this.#table.scan();
    if (this.#adopting) this.#adoptOrphans(table);
    const members = this.#present(table);
    const undecided = new Set<ProcessRow>();
    for (const row of table.values()) {
      if (!members.has(row.pid) && this.#mayBeOurs(row)) undecided.add(row);
    }
    this.#addRelated(members, undecided);
    // After SIGKILL to all members, the kernel shows at the end whether a process is left in the cgroup.
    if (!killed && this.#addFromCgroup(members, undecided)) this.#addRelated(members, undecided);
    // Marks are read last, and only of processes that are not members yet: reading a mark costs more than comparing a
    // row.
    this.#sources.marks?.learnFrom(this.#mayNameInnerHosts(members.values()));
    do {
      if (this.#addMarked(members, undecided)) this.#addRelated(members, undecided);
    } while (this.#sources.marks?.reconsider());
    return this.#settle(members);
  }

  /**
   * The members that may have the name of an inner host in their environment: each server of an inner host leads a session,
   * and no process moves from there to the session of our leader.
   */
  #mayNameInnerHosts(members: Iterable<ProcessRow>): ProcessRow[] {
    const { pid: leader } = this.#leader;
    return [...members].filter(({ pid, session }) => pid === leader || session !== leader);
  }

  /** Adds the descendants of `members`, and what is in a group or session that belongs to the server. */
  #addRelated(members: Map<number, ProcessRow>, undecided: Set<ProcessRow>): void {
    // Each pass finds the next generation; the pass that finds nothing is the last.
    for (let found = true; found; ) {
      found = false;
      const groups = new Set<number>();
      for (const { group, session } of members.values()) {
        if (this.#led.has(group)) groups.add(group);
        if (this.#led.has(session)) groups.add(session);
      }
      for (const row of undecided) {
        const parent = members.get(row.parent);
        // An older process had another parent of that pid.
        const isChild = parent !== undefined && parent.startTime <= row.startTime;
        if (!isChild && !groups.has(row.group) && !groups.has(row.session)) continue;
        undecided.delete(row);
        members.set(row.pid, row);
        this.#add(row, true);
        found = true;
      }
    }
  }

  /**
   * Adds the processes in the cgroup. The cgroup is read after the table, so that each of its pids is a current one; a
   * process that was started in between is read from the table now.
   */
  #addFromCgroup(members: Map<number, ProcessRow>, undecided: Set<ProcessRow>): boolean {
    const pids = new Set(this.#sources.inCgroup?.());
    for (const pid of members.keys()) pids.delete(pid);
    const seen = [...undecided].filter(({ pid }) => pids.delete(pid));
    const younger = [...pids]
      .map((pid) => this.#table.read(pid))
      .filter((row) => row !== undefined)
      .filter((row) => this.#mayBeOurs(row));
    for (const row of [...seen, ...younger]) {
      undecided.delete(row);
      members.set(row.pid, row);
      this.#add(row, false);
    }
    return seen.length + younger.length > 0;
  }

  /**
   * Adds processes that have the mark of this server: they left the tree by a new session and the death of their
   * parent.
   */
  #addMarked(members: Map<number, ProcessRow>, undecided: Set<ProcessRow>): boolean {
    let found = false;
    for (const row of undecided) {
      if (!this.#sources.marks?.match(row)) continue;
      undecided.delete(row);
      members.set(row.pid, row);
      this.#add(row, false);
      found = true;
    }
    return found;
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

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    const groups = new Set<number>();
    for (const { group } of members) if (this.#led.has(group)) groups.add(group);
    return groups;
  }

  #adoptOrphans(table: ReadonlyMap<number, ProcessRow>): void {
    const { pid, startTime } = this.#leader;
    // The pid is in use again. That is impossible while a member is left in the group, so no member is left.
    if (table.has(pid)) return;
    for (const row of table.values()) {
      // Windows has no groups, but a process keeps the pid of its parent.
      const left = row.parent === pid || row.group === pid || row.session === pid;
      if (left && row.startTime >= startTime) this.#add(row, true);
    }
  }

  /** Nothing that is older than the leader descends from it. Kernel threads have neither group nor session. */
  #mayBeOurs({ group, session, startTime }: ProcessRow): boolean {
    return startTime >= this.#leader.startTime && !(this.#sources.marks && group === 0 && session === 0);
  }

  #add(row: ProcessRow, kin: boolean): void {
    this.#members.set(row.pid, { startTime: row.startTime, kin });
    if (kin) this.#noteLeader(row);
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
    for (const [pid, { startTime, kin }] of this.#members) {
      const row = table.get(pid);
      if (row?.startTime === startTime) {
        present.set(pid, row);
        if (kin) this.#noteLeader(row);
      } else if (row !== undefined) this.#led.delete(pid);
    }
    return present;
  }

  #settle(members: Map<number, ProcessRow>): ProcessRow[] {
    for (const pid of this.#members.keys()) if (!members.has(pid)) this.#members.delete(pid);
    return [...members.values()].filter((row) => !row.dead);
  }
}
