/** `graceful` climbs the whole ladder; `emergency` begins with SIGKILL. */
export type EndMode = 'graceful' | 'emergency';

/** A rung of the ladder. `eof` closes stdin, which is how MCP asks a server to end. */
export type EndStep = 'eof' | 'SIGTERM' | 'SIGKILL';

/** A process that could not be proven dead. */
export interface Survivor {
  /** Of the process that lives. */
  readonly pid: number;
  /** The name of its program. */
  readonly command: string;
  /** Why it lives, where that is known: this user may not signal it. */
  readonly reason?: string;
}

/** What was done to end a tree, and the result. */
export interface TerminationReport {
  /** The leader. */
  readonly pid: number;
  /** The last step that was needed; `exit` when the tree was dead before anything was done. */
  readonly endedBy: EndStep | 'exit';
  /** Each step: `at` ms since the beginning, with that many living processes. */
  readonly steps: readonly { readonly step: EndStep; readonly at: number; readonly processes: number }[];
  /** Ms until the tree was proven dead, or given up. */
  readonly duration: number;
  /** The processes that could not be proven dead; empty after a full end. */
  readonly survivors: readonly Survivor[];
}

/** How long the steps of the ladder may take. */
export interface Graces {
  /** After stdin was closed, ms. */
  readonly eofGrace: number;
  /** After SIGTERM, ms. */
  readonly termGrace: number;
}

/** A step that is taken while a process of the tree lives, and how long it may take, ms. */
export interface Rung {
  readonly step: EndStep;
  readonly grace: number;
}

/** The targets of a signal: all members of these process groups, and these processes. */
export interface SignalTargets {
  readonly groups: readonly number[];
  readonly pids: readonly number[];
}

/** What would be done now to end a tree. */
export interface TreePlan {
  /** In order; each step is taken only if a process still lives after the step before it. `eof` goes to the leader. */
  readonly steps: readonly (Rung & SignalTargets)[];
  /** All processes of the tree now. */
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}
