import type { MarkedHost } from '../marks/marker.js';
import type { ProcessRow, ProcessTable } from '../process-table.js';
import type { Inspector } from './inspector.js';

/** What strays are judged by. */
export interface StraySystem {
  readonly table: ProcessTable;
  /** Begins a look at all processes. */
  inspect(rows: ReadonlyMap<number, ProcessRow>): Inspector;
  /** Whether the host of a mark lives; undefined when that is not known. */
  hostLives(host: MarkedHost): boolean | undefined;
  /** The pid of this process. */
  readonly self: number;
  /** Nobody there is no error. */
  signal(pid: number, signal: NodeJS.Signals): void;
}

/**
 * One look at all processes: who of them is abandoned. Pure, apart from what it asks the inspector.
 *
 * A parent that is gone proves little: in a container all servers may be children of process 1, which is their living host,
 * and a wrapper (npx, a script) may have exited while the host goes on speaking to the server behind it. What an MCP server
 * cannot live without is somebody at the other end of its stdin.
 */
export class Look {
  readonly rows: ReadonlyMap<number, ProcessRow>;
  readonly inspector: Inspector;
  readonly #system: StraySystem;
  readonly #ancestors: ReadonlySet<number>;
  readonly #children = new Map<number, ProcessRow[]>();

  constructor(system: StraySystem) {
    system.table.forget?.();
    this.rows = system.table.scan();
    this.inspector = system.inspect(this.rows);
    this.#system = system;
    for (const row of this.rows.values()) {
      const siblings = this.#children.get(row.parent);
      if (siblings) siblings.push(row);
      else this.#children.set(row.parent, [row]);
    }
    this.#ancestors = new Set([system.self, ...this.#above(system.self)]);
  }

  /** Why a process is abandoned, or undefined when it is not, or nobody can tell. */
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
    // A helper that left its server has no such stdin: then only a host that is known to be gone says that it is abandoned.
    if (stdin === 'unknown' && lives !== false) return undefined;
    if (host === undefined && inspector.serviceOf(row) !== undefined) return undefined;
    const reasons = [adoption];
    if (stdin === 'closed') reasons.push('nobody holds the other end of its stdin: no client can speak to it any more');
    if (host) reasons.push(`it bears the mark of another pool host${lives === false ? ', which is gone' : ''}`);
    return reasons;
  }

  /** Whether it may be a stray at all: a living process of our user, and none that this one descends from. */
  isCandidate({ pid, parent, dead }: ProcessRow): boolean {
    // 2 is the parent of the threads of the kernel.
    if (dead || pid <= 2 || parent === 2 || this.#ancestors.has(pid)) return false;
    return this.inspector.isOurUsers(pid);
  }

  /** Everybody below a process, nearest first: of our user, not dead, and no server of ours. */
  below(root: ProcessRow): ProcessRow[] {
    const found = new Map([[root.pid, root]]);
    for (const { pid, startTime } of found.values()) {
      for (const row of this.#children.get(pid) ?? []) {
        // Older than its parent: that one got the number after the look at this row.
        if (row.startTime < startTime || found.has(row.pid)) continue;
        if (this.isCandidate(row) && this.inspector.markedBy(row.pid) !== 'ours') found.set(row.pid, row);
      }
    }
    found.delete(root.pid);
    return [...found.values()];
  }

  /** Whether a process is abandoned, or below one that is. */
  isStray(row: ProcessRow): boolean {
    if (!this.isCandidate(row) || this.inspector.markedBy(row.pid) === 'ours') return false;
    const line = [row.pid, ...this.#above(row.pid)].map((pid) => this.rows.get(pid));
    return line.some((one) => one !== undefined && this.abandonment(one) !== undefined);
  }

  /** How it can be seen that its parent is not the one that started it. */
  adoption({ pid, parent, session }: ProcessRow): string | undefined {
    const taker = this.rows.get(parent);
    if (taker === undefined) return undefined;
    const named = `${taker.command} (${parent})`;
    if (parent === 1) return `its parent is ${named}, which takes in whose own parent is gone`;
    if (taker.command === 'systemd') return `its parent is ${named}, the service manager of the user`;
    // A child begins in the session of its parent, and can only leave it for one that it leads itself. So this parent took
    // it in (PR_SET_CHILD_SUBREAPER).
    const foreign = session !== pid && session !== taker.session && session !== 0;
    return foreign ? `its parent is ${named}, which took it in: it belongs to session ${session}` : undefined;
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
