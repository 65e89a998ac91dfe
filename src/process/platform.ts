import type { CgroupFinder } from './cgroup/cgroup-probe.js';
import type { MarkReader } from './marks/mark-reader.js';
import type { ProcessControl, ProcessRow } from './process-table.js';

/** Everything in which operating systems differ, as far as processes are concerned. */
export interface Platform extends ProcessControl {
  /** Whether a child is spawned as leader of a session and a group of its own, so that its tree can be signalled at once. */
  readonly detached: boolean;
  /** Whether a process can be asked to end. If not, the ladder goes from the end of stdin to killing. */
  readonly hasSigterm: boolean;
  readonly pace: Pace;
  /** Whether orphans are collected by nobody: then trees are signalled from their leaves upward. */
  readonly withoutInit?: boolean;
  /** How the marks of processes are read, where servers can be marked. */
  readonly marks?: MarkReader | undefined;
  /** How a shell knows a leader again, where a guardian can kill groups when the host is dead. */
  readonly identity?: ShellIdentity | undefined;
  /** Where servers get cgroups of their own. */
  readonly cgroups?: CgroupFinder | undefined;
  /**
   * Where there are no groups: kills a process that is ours and all below it, also what was started since the last look.
   * Takes its time, so it is not for the last tick of the host.
   */
  killTree?(root: ProcessRow): void;
}

/** How often the ladder may look at the table, ms. */
export interface Pace {
  /** Until the first look; the next come after twice the time each. */
  readonly firstPoll: number;
  readonly longestPoll: number;
  /** How long SIGKILL may take, looks included. */
  readonly killGrace: number;
}

/**
 * How a shell knows that a pid still belongs to the leader that it was told of, before it signals its group: a number is
 * given again as soon as its group is empty, and the host may have been stopped for long when it dies.
 */
export interface ShellIdentity {
  /**
   * Fixed text that defines the function `leads PID START`: true when that process lives, or waits to be collected, was
   * started at START, and leads a group of its own number; also when nobody has the number. Then it is that of the group
   * alone, which keeps it from being given again: the leader ended with its stdin, faster than the guardian looked.
   */
  readonly script: string;
  /** START of a start time as the process table shows it: without blanks. */
  format(startTime: number): string;
}
