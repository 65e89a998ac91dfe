import type { Readable, Writable } from 'node:stream';
import type { Containment, ResolvedContainment } from '../config/containment-options.js';
import type { InstanceMark } from './marks/marker.js';
import type { ProcessIdentity } from './process-table.js';
import type { EndMode, EndStep, Graces, TerminationReport, TreePlan } from './termination-report.js';
import type { LeaderState, TreeActivity } from './usage/tree-activity.js';
import type { DetailedUsage, TreeUsage } from './usage/tree-usage.js';

/**
 * Starts servers. The local launcher makes child processes; a launcher of another kind (containers, pods) fits the same
 * interface.
 */
export interface Launcher {
  /**
   * Starts a server. Its process exists when this returns, so that it can be registered in the same tick.
   * @throws PoolError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `CWD_NOT_FOUND`, `CONTAINMENT_UNAVAILABLE`,
   * `SPAWN_FAILED`
   */
  launch(spec: LaunchSpec, handlers: ProcessHandlers): ServerProcess;
}

/**
 * All that a launcher has to know of a server: these fields of its `ResolvedDefinition`, and the environment, which is read
 * from the host at each start.
 */
export interface LaunchSpec extends ResolvedContainment, Graces {
  /** Name and label of the definition, for errors. */
  readonly name: string;
  readonly label?: string | undefined;
  /** What is started, for errors. Default: `server`. */
  readonly kind?: 'server' | 'command' | undefined;
  readonly command: string;
  readonly args: readonly string[];
  /** Undefined: that of the host. */
  readonly cwd: string | undefined;
  /** The whole environment of the process. */
  readonly resolvedEnv: Readonly<Record<string, string>>;
  /** `inherit`: its standard streams are those of the host, and what it writes is not seen. Default: `pipe`. */
  readonly stdio?: 'pipe' | 'inherit' | undefined;
  /** The mark of its processes, if the caller has written it down before the start. Default: the next one of this host. */
  readonly mark?: InstanceMark | undefined;
}

/** What a launcher reports of a server. Each is called at most once, except `onStderrLine`. */
export interface ProcessHandlers {
  /** The process runs. */
  onSpawn(): void;
  /** The operating system refused to start it: nothing runs, and no other handler is called. */
  onSpawnError(error: Error): void;
  /** The leader exited. Its streams may still hold its last output; the rest of its tree was asked to end. */
  onExit(exit: ExitInfo): void;
  /** A line of stderr. Only called while `wantsStderr` returns true. */
  onStderrLine(line: string): void;
  wantsStderr(): boolean;
}

/**
 * A running server as the code above `process/` sees it: its streams, its identity, its end. The local child process is
 * one kind; code above `process/` must not assume that the pid is one of this machine.
 */
export interface ServerProcess {
  /** For events and logs. Undefined when nothing was started, or where there are no pids. */
  readonly pid: number | undefined;
  /** Undefined when nothing was started. */
  readonly identity: ServerIdentity | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Raw stderr. The launcher reads it in any case; a second reader sees what comes from then on, and may pause it. */
  readonly stderr?: Readable | undefined;
  /** What holds its processes together. */
  readonly containment?: ContainmentLevel | undefined;
  /** The last that it wrote to stderr. */
  readonly stderrTail: string;
  /** Why its command never ran although a process was started; known when it is drained. */
  readonly refusal?: StartRefusal | undefined;
  /**
   * Resolves after the exit when both output streams were read to their end, or were cut off because a helper holds
   * them open.
   */
  drained(): Promise<void>;
  /** Ends the whole tree and proves its death. Can be called again while a process of it survives. */
  end(options: EndOptions): Promise<TerminationReport>;
  /**
   * What `end()` would do now; sends no signal. Left out where that is not known: then a plan of the pool shows no
   * steps.
   */
  plan?(mode: EndMode, graces: Graces): TreePlan;
  /**
   * What all its processes use now; after the exit of the leader, those that still live. Undefined when nothing was
   * started, or nothing can be measured here. Servers that are asked in the same tick share one look at the process
   * table, so ask all of them before the first answer. Rejects with the error of the system when it does not answer
   * (EMFILE, EACCES).
   */
  usage?(): Promise<TreeUsage | undefined>;
  /** The same, with what is too expensive for every sample. */
  detailedUsage?(): Promise<DetailedUsage | undefined>;
  /** How the process that was spawned is now. It must be cheap. Left out where that is not known: then it runs until its exit. */
  leaderState?(): LeaderState;
  /** What shows that its processes work, for a server that does not answer. Left out, or undefined, where that is not known. */
  activity?(): Promise<TreeActivity | undefined>;
  /** Kills what can be killed without waiting, for the last tick of the host. */
  killNow(): void;
  /**
   * Sends a signal, for a drill. Each process is checked right before: one that got the number of another gets none. Left out
   * where there are no signals.
   * @returns whether its leader got the signal
   */
  signal?(signal: NodeJS.Signals, reach: SignalReach): boolean;
}

/** Which processes of a server get a signal: the one that was spawned, or all. */
export type SignalReach = 'leader' | 'tree';

/**
 * Tells one running server from every other. Each kind of launcher has a kind of identity of its own, and adds to it
 * what it needs; the code above `process/` reads no more than `kind`.
 */
export interface ServerIdentity {
  readonly kind: string;
}

/** A process of this machine. Pids are reused, so a pid alone is no identity. */
export interface LocalIdentity extends ServerIdentity, ProcessIdentity {
  readonly kind: 'local';
}

/** Whether a server is a process of this machine: only these are entries of a `ProcessRegistry`. */
export function isLocal(identity: ServerIdentity | undefined): identity is LocalIdentity {
  return identity?.kind === 'local';
}

/**
 * What holds the processes of a server together. `tree`: there are neither marks nor cgroups here, so that a process
 * which leaves the tree is not found.
 */
export type ContainmentLevel = Exclude<Containment, 'auto'> | 'tree';

/** Why a process ended before it became the server. */
export interface StartRefusal {
  readonly code: 'SPAWN_FAILED' | 'CONTAINMENT_UNAVAILABLE';
  /** The end of a sentence that begins with the server. */
  readonly reason: string;
}

/** How a process ended. */
export interface ExitInfo extends KernelVerdict {
  /** Null when a signal has ended it. */
  readonly exitCode: number | null;
  /** Null when it has exited by itself. */
  readonly signal: string | null;
}

/** What the kernel reports of a server that has a cgroup. A field is present only when it is true. */
export interface KernelVerdict {
  /** A process was killed for lack of memory. */
  readonly outOfMemory?: true;
  /** A process could not be started because the limit of processes was reached. */
  readonly processLimitHit?: true;
}

/** How a process tree is ended. */
export interface EndOptions {
  readonly mode: EndMode;
  /** When aborted, the ladder goes to SIGKILL at once. */
  readonly signal?: AbortSignal;
  /** How long each step may take. Default: those it was started with. */
  readonly graces?: Graces;
  /** Called for each step when it is taken, with the number of living processes: also where no report follows. */
  readonly onStep?: (step: EndStep, processes: number) => void;
}

export type StepListener = NonNullable<EndOptions['onStep']>;
