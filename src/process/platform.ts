import type { CgroupFinder } from './cgroup/cgroup-probe.js';
import type { MarkReader } from './marks/mark-reader.js';
import type { ProcessControl, ProcessRow } from './process-table.js';
import type { UsageSource } from './usage/process-usage.js';

/** All that differs between operating systems, as far as processes are concerned. */
export interface Platform extends ProcessControl {
  /**
   * Whether a child is spawned as leader of a new session and process group, so that its tree can be signalled at once.
   */
  readonly detached: boolean;
  /** Whether there is SIGTERM. Without it the ladder goes from the end of stdin to SIGKILL. */
  readonly hasSigterm: boolean;
  readonly pace: Pace;
  /** Whether a process lives that this user may not signal (EPERM). Left out where that is not known. */
  mayNotSignal?(pid: number): boolean;
  /** Whether a process is in that group, as the kernel knows it: zombies and hidden ones count. */
  hasGroup?(group: number): boolean;
  /** Whether no process collects orphans: then trees are signalled from their leaves upward. */
  readonly withoutInit?: boolean;
  /** Reads the marks of processes. Undefined where servers cannot be marked. */
  readonly marks?: MarkReader | undefined;
  /**
   * How a shell recognizes a leader, so that a guardian can kill its group when the host is dead. Undefined: no
   * guardian.
   */
  readonly identity?: ShellIdentity | undefined;
  /** Finds where servers get cgroups. Undefined where there are none. */
  readonly cgroups?: CgroupFinder | undefined;
  /** Measures what processes use. Undefined where that is not known. */
  readonly usage?: UsageSource | undefined;
  /**
   * For systems without process groups: kills a process of ours and all below it, also what was started since the last
   * scan. It works asynchronously, so it is not for the last tick of the host.
   */
  killTree?(root: ProcessRow): void;
}

/** How often the ladder may read the table, ms. */
export interface Pace {
  /** Until the first read; each following interval is twice as long. */
  readonly firstPoll: number;
  readonly longestPoll: number;
  /** How long SIGKILL may take, reads included. */
  readonly killGrace: number;
}

/**
 * How a shell checks that a pid still belongs to a given leader, before it signals the group. The kernel can reuse a
 * pid as soon as its group is empty, and the host may have been stopped for a long time when it dies.
 */
export interface ShellIdentity {
  /**
   * Fixed script text that defines the function `leads PID START`. It is true when that process lives or is a zombie,
   * was started at START, and leads a group of its own number. It is also true when no process has the pid: then the
   * leader has already ended with its stdin, and only its group can hold the number.
   */
  readonly script: string;
  /** START for a start time of the process table; contains no blanks. */
  format(startTime: number): string;
}
