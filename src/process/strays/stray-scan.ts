import { GUARDIAN_NAME } from '../guardian/guardian-script.js';
import type { MarkedHost } from '../marks/marker.js';
import { isOlder, type ProcessIdentity, type ProcessRow, type ProcessTable } from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';
import type { Inspector } from './inspector.js';

/** What the search for strays needs of a system. */
export interface StraySystem {
  readonly table: ProcessTable;
  /** Makes the inspector for one scan. */
  inspect(rows: ReadonlyMap<number, ProcessRow>): Inspector;
  /** Whether the host of a mark lives; undefined when that is not known. */
  hostLives(host: MarkedHost): boolean | undefined;
  /** The leaders of the servers that the pools of this host run. */
  registered(): readonly ProcessIdentity[];
  /** The pid of this process. */
  readonly self: number;
  /** Names this boot of the machine, and the container: an identity of another one means nothing here. */
  readonly scope: string;
  /** A missing process is not an error (ESRCH). */
  signal(pid: number, signal: NodeJS.Signals): void;
}

/**
 * One scan of all processes, and the decision which are abandoned. Pure, except for the reads of the inspector.
 *
 * That the parent is gone proves little: in a container all servers may be children of process 1, which is their living
 * host; and a wrapper (npx, a script) may have exited while the host still writes to the server behind it. But an MCP
 * server is of no use without a process at the other end of its stdin.
 */
export class StrayScan {
  readonly rows: ReadonlyMap<number, ProcessRow>;
  readonly inspector: Inspector;
  readonly #system: StraySystem;
  readonly #ancestors: ReadonlySet<number>;
  readonly #leaders: ReadonlyMap<number, number>;
  /** What was found out of a pid: asked again for each process below it. */
  readonly #marked = new Map<number, boolean>();
  readonly #guardians = new Map<number, boolean>();
  readonly #candidates = new Map<number, boolean>();
  readonly #children = new Map<number, ProcessRow[]>();

  constructor(system: StraySystem) {
    system.table.forget?.();
    this.rows = system.table.scan();
    this.inspector = system.inspect(this.rows);
    this.#system = system;
    this.#leaders = new Map(system.registered().map(({ pid, startTime }) => [pid, startTime]));
    for (const row of this.rows.values()) {
      const siblings = this.#children.get(row.parent);
      if (siblings) siblings.push(row);
      else this.#children.set(row.parent, [row]);
    }
    this.#ancestors = new Set([system.self, ...this.#above(system.self)]);
  }

  /** Why a process is abandoned; undefined when it is not, or that cannot be decided. */
  abandonment(row: ProcessRow): string[] | undefined {
    const { pid } = row;
    const adoption = this.adoption(row);
    if (adoption === undefined || !this.isCandidate(row)) return undefined;
    const { inspector } = this;
    const host = inspector.markedBy(pid);
    if (host === 'ours') return undefined;
    const lives = host && this.#system.hostLives(host);
    const stdin = inspector.stdin(pid);
    if (lives === true || stdin === 'held') return undefined;
    // A helper that has left its server has another stdin. Then it is abandoned only if its host is known to be dead.
    if (stdin === 'unknown' && lives !== false) return undefined;
    if (host === undefined && inspector.serviceOf(row) !== undefined) return undefined;
    const reasons = [adoption];
    if (stdin === 'closed')
      reasons.push('no process holds the other end of its stdin: no client can speak to it any more');
    if (host) reasons.push(`it has the mark of another pool host${lives === false ? ', which is gone' : ''}`);
    return reasons;
  }

  /** Whether it can be a stray: a living process of our user that is no ancestor of this process. */
  isCandidate({ pid, parent, dead }: ProcessRow): boolean {
    // Process 2 is the parent of kernel threads.
    if (dead || pid <= 2 || parent === 2 || this.#ancestors.has(pid)) return false;
    return known(this.#candidates, pid, () => this.inspector.isOurUsers(pid));
  }

  /**
   * Whether a living pool looks after it: one of this host or of another one. A host that no ledger names may live: it may have
   * another `/tmp`, or none of its ledgers could be written. `registered` is for servers without a mark; a guardian, and the
   * reaper below it, belong to every pool of their host. A server without a mark of another host is not recognized.
   */
  isPooled(row: ProcessRow): boolean {
    // What has left its environment behind may be below a process that has a mark.
    return this.isRegistered(row) || this.#lineOf(row).some((pid) => this.#isMarked(pid) || this.#isGuardian(pid));
  }

  /** Whether a pool of this host has it, by the rows alone: also of what is hidden. */
  isRegistered(row: ProcessRow): boolean {
    return this.#leaders.has(row.group) || this.#lineOf(row).some((pid) => this.#isLeader(pid));
  }

  /** Whether a part of what shows to which pool it belongs cannot be read now: it, or a process above it, is uninterruptible. */
  isHidden(row: ProcessRow): boolean {
    return this.#lineOf(row).some((one) => isUninterruptible(this.rows.get(one) ?? {}));
  }

  /**
   * All descendants, nearest first, that live and belong to our user; without those that `isSpared`, and what is below these.
   * Default: servers of ours.
   */
  below(root: ProcessRow, isSpared = (row: ProcessRow) => this.inspector.markedBy(row.pid) === 'ours'): ProcessRow[] {
    const found = new Map([[root.pid, root]]);
    for (const parent of found.values()) {
      for (const row of this.#children.get(parent.pid) ?? []) {
        // It is older than its parent, so that pid was reused after its row was read.
        if (isOlder(row, parent) || found.has(row.pid)) continue;
        if (this.isCandidate(row) && !isSpared(row)) found.set(row.pid, row);
      }
    }
    found.delete(root.pid);
    return [...found.values()];
  }

  /** Whether a process is abandoned, or a descendant of one that is. */
  isStray(row: ProcessRow): boolean {
    if (!this.isCandidate(row) || this.inspector.markedBy(row.pid) === 'ours') return false;
    const line = this.#lineOf(row).map((pid) => this.rows.get(pid));
    return line.some((one) => one !== undefined && this.abandonment(one) !== undefined);
  }

  /** Why its parent is not the process that has started it; undefined if nothing shows that. */
  adoption({ pid, parent, session }: ProcessRow): string | undefined {
    const adopter = this.rows.get(parent);
    if (adopter === undefined) return undefined;
    const named = `${adopter.command} (${parent})`;
    if (parent === 1) return `its parent is ${named}, which adopts processes without a parent`;
    if (adopter.command === 'systemd') return `its parent is ${named}, the service manager of the user`;
    // A child begins in the session of its parent, and can only move to a session that it leads itself. So this parent
    // has adopted it (PR_SET_CHILD_SUBREAPER).
    const foreign = session !== pid && session !== adopter.session && session !== 0;
    return foreign ? `its parent is ${named}, which has adopted it: it belongs to session ${session}` : undefined;
  }

  #isLeader(pid: number): boolean {
    const startTime = this.#leaders.get(pid);
    return startTime !== undefined && startTime === this.rows.get(pid)?.startTime;
  }

  #isMarked(pid: number): boolean {
    return known(this.#marked, pid, () => {
      const host = this.inspector.markedBy(pid);
      return host === 'ours' || (host !== undefined && this.#system.hostLives(host) !== false);
    });
  }

  #isGuardian(pid: number): boolean {
    return known(this.#guardians, pid, () => this.inspector.commandLine(pid).includes(GUARDIAN_NAME));
  }

  /** It, and the processes above it. */
  #lineOf({ pid }: ProcessRow): number[] {
    return [pid, ...this.#above(pid)];
  }

  #above(pid: number): number[] {
    const pids: number[] = [];
    for (let row = this.rows.get(pid); row !== undefined && row.parent > 1; row = this.rows.get(row.parent)) {
      if (pids.includes(row.parent)) break;
      pids.push(row.parent);
    }
    return pids;
  }
}

function known(answers: Map<number, boolean>, pid: number, find: () => boolean): boolean {
  const answer = answers.get(pid) ?? find();
  answers.set(pid, answer);
  return answer;
}
