import type { MarkSearch } from '../marks/mark-search.js';
import type { Platform } from '../platform.js';
import type { ProcessIdentity, ProcessRow, ProcessTable } from '../process-table.js';
import type { KillReport } from './kill-escaped.js';

/** Those who end with a server, as far as they were ever seen. */
export interface ProcessSet {
  /**
   * The leader was collected: takes in everything that is left in its group. To be called in the tick of the exit, when
   * its row is gone, but its number cannot be anybody else's yet. Returns the living.
   */
  leaderExited(): ProcessRow[];
  /** Looks at the whole table: finds new members, forgets dead ones. Returns the living. */
  refresh(): ProcessRow[];
  /** Looks only at the members that are known: cheap, but blind for new ones. Returns the living. */
  living(): ProcessRow[];
  /** The last look, where it can do better than those at the table. */
  killRest?(platform: Platform): Promise<KillReport>;
  /** The groups in which `members` live and whose number is ours. A signal to them reaches no stranger. */
  groupsOf(members: Iterable<ProcessRow>): Set<number>;
}

/** By what those are found whom their kinship does not give away. */
export interface MemberSources {
  readonly marks?: MarkSearch | undefined;
  /** The pids of those who live in the cgroup of the server. */
  readonly inCgroup?: (() => ReadonlySet<number>) | undefined;
}

/**
 * The members of one server's process tree, as far as they were ever seen: its leader, all that descend from it, all in a
 * group or session that one of them leads, and, where they have these, all in its cgroup and all that bear its mark. A
 * member stays one after its parent died, because its identity is remembered, so that a tree that falls apart while it is
 * ended is still known whole.
 */
export class ProcessTree implements ProcessSet {
  readonly #table: ProcessTable;
  readonly #leader: ProcessIdentity;
  readonly #sources: MemberSources;
  #adopting = false;
  /** pid → start time of everything that was seen as a member and not yet as dead. */
  readonly #members = new Map<number, number>();
  /** Groups and sessions led by a member: their number belongs to us for as long as a member lives in them. */
  readonly #led = new Set<number>();

  constructor(table: ProcessTable, leader: ProcessIdentity, sources: MemberSources = {}) {
    this.#table = table;
    this.#leader = leader;
    this.#sources = sources;
    this.#members.set(leader.pid, leader.startTime);
    // The leader is spawned as leader of a new session and a new group, both of its own number.
    this.#led.add(leader.pid);
  }

  leaderExited(): ProcessRow[] {
    this.#adopting = true;
    this.#table.forget?.();
    try {
      return this.refresh();
    } finally {
      // Never later, not even if the table could not be read now: the number may have been given again.
      this.#adopting = false;
    }
  }

  refresh(): ProcessRow[] {
    const table = this.#table.scan();
    if (this.#adopting) this.#adoptOrphans(table);
    const members = this.#present(table);
    const undecided = new Set(table.values());
    for (const row of members.values()) undecided.delete(row);
    this.#addRelated(members, undecided);
    if (this.#addFromCgroup(members, undecided)) this.#addRelated(members, undecided);
    // Only of those whom their kinship does not give away: a mark costs more to read than a row to compare.
    this.#sources.marks?.begin(table);
    this.#sources.marks?.learnFrom(members.values());
    do {
      if (this.#addMarked(members, undecided, table)) this.#addRelated(members, undecided);
    } while (this.#sources.marks?.reconsider());
    return this.#settle(members);
  }

  /** Takes those who descend from `members`, or share a group or session that is ours. */
  #addRelated(members: Map<number, ProcessRow>, undecided: Set<ProcessRow>): void {
    // Each pass finds the next generation; a pass that finds nobody is the last.
    for (let found = true; found; ) {
      found = false;
      const groups = new Set<number>();
      for (const { group, session } of members.values()) {
        if (this.#led.has(group)) groups.add(group);
        if (this.#led.has(session)) groups.add(session);
      }
      for (const row of undecided) {
        if (!members.has(row.parent) && !groups.has(row.group) && !groups.has(row.session)) continue;
        undecided.delete(row);
        members.set(row.pid, row);
        this.#add(row);
        found = true;
      }
    }
  }

  /**
   * Takes those who live in the cgroup. Asked for after the table, so that a number in it is of one who is there now; whoever
   * was started meanwhile has a row by now. Their groups are not ours by that: each gets its own signal.
   */
  #addFromCgroup(members: Map<number, ProcessRow>, undecided: Set<ProcessRow>): boolean {
    const pids = new Set(this.#sources.inCgroup?.());
    for (const pid of members.keys()) pids.delete(pid);
    const seen = [...undecided].filter(({ pid }) => pids.delete(pid));
    const younger = [...pids].map((pid) => this.#table.read(pid)).filter((row) => row !== undefined);
    for (const row of [...seen, ...younger]) {
      undecided.delete(row);
      members.set(row.pid, row);
      this.#add(row);
    }
    return seen.length + younger.length > 0;
  }

  /** Takes those who bear the mark of this tree: they left it by a session of their own and a parent that died. */
  #addMarked(
    members: Map<number, ProcessRow>,
    undecided: Set<ProcessRow>,
    table: ReadonlyMap<number, ProcessRow>,
  ): boolean {
    let found = false;
    for (const row of undecided) {
      const bearing = this.#sources.marks?.bears(row);
      if (!bearing) continue;
      undecided.delete(row);
      members.set(row.pid, row);
      this.#add(row);
      found = true;
      // Whoever led its session may be dead, but descended from our leader, which began one: so it is all ours. One who
      // lives is asked himself: somebody may have run a command with our environment in a terminal of his own. What is only
      // said to be inside of us says nothing of those beside it.
      if (bearing === 'inner') continue;
      for (const led of [row.group, row.session]) if (!table.has(led)) this.#led.add(led);
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

  groupsOf(members: Iterable<ProcessRow>): Set<number> {
    const groups = new Set<number>();
    for (const { group } of members) if (this.#led.has(group)) groups.add(group);
    return groups;
  }

  #adoptOrphans(table: Map<number, ProcessRow>): void {
    const { pid, startTime } = this.#leader;
    // Somebody has the number already: then no member of ours was left in the group, or it could not have been given.
    if (table.has(pid)) return;
    for (const row of table.values()) {
      // Windows: no groups, but a process keeps the number of its parent. An older one had another parent of that number.
      const child = row.parent === pid && row.startTime >= startTime;
      if (child || row.group === pid || row.session === pid) this.#add(row);
    }
  }

  #add(row: ProcessRow): void {
    this.#members.set(row.pid, row.startTime);
    this.#noteLeader(row);
  }

  /** A member may make a group of its own at any time. */
  #noteLeader({ pid, group, session }: ProcessRow): void {
    if (group === pid || session === pid) this.#led.add(pid);
  }

  /** Members that are in `table` under the identity they had, dead ones included: a zombie still holds its group. */
  #present(table: Map<number, ProcessRow>): Map<number, ProcessRow> {
    const present = new Map<number, ProcessRow>();
    for (const [pid, startTime] of this.#members) {
      const row = table.get(pid);
      if (row?.startTime === startTime) {
        present.set(pid, row);
        this.#noteLeader(row);
      } else if (row !== undefined) this.#led.delete(pid);
    }
    return present;
  }

  #settle(members: Map<number, ProcessRow>): ProcessRow[] {
    for (const pid of this.#members.keys()) if (!members.has(pid)) this.#members.delete(pid);
    return [...members.values()].filter((row) => !row.dead);
  }
}
