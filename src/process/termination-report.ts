/** `graceful` climbs the whole ladder; `emergency` starts at SIGKILL. */
export type EndMode = 'graceful' | 'emergency';

/** A rung of the ladder. `eof` closes stdin, which is how MCP asks a server to end. */
export type EndStep = 'eof' | 'SIGTERM' | 'SIGKILL';

/** What was done to end a tree, and what came of it. */
export interface TerminationReport {
  /** The leader. */
  readonly pid: number;
  /** The last step that was needed; `exit` when the tree was dead before anything was done. */
  readonly endedBy: EndStep | 'exit';
  /** Each step: when it was taken, in ms since the start, and how many processes lived then. */
  readonly steps: readonly { readonly step: EndStep; readonly at: number; readonly processes: number }[];
  /** Milliseconds until the tree was proven dead, or given up. */
  readonly duration: number;
  /** Processes that could not be proven dead. Empty when all is well. */
  readonly survivors: readonly { readonly pid: number; readonly command: string }[];
}

/** How long the steps of the ladder may take. */
export interface Graces {
  /** After stdin was closed, ms. */
  readonly eofGrace: number;
  /** After SIGTERM, ms. */
  readonly termGrace: number;
}

/** A step that is to be taken while anybody lives, and how long it may take, ms. */
export interface Rung {
  readonly step: EndStep;
  readonly grace: number;
}

/** Whom a signal goes to: all members of these groups, and these processes. */
export interface SignalTargets {
  readonly groups: readonly number[];
  readonly pids: readonly number[];
}

/** What would be done to end a tree, as it looks now. */
export interface TreePlan {
  /** In order; each is taken only if somebody lives after those before it. `eof` goes to the leader. */
  readonly steps: readonly (Rung & SignalTargets)[];
  /** Everybody in the tree now. */
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}
