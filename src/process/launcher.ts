import type { Readable, Writable } from 'node:stream';
import type { Containment } from '../config/containment-options.js';
import type { ResolvedDefinition } from '../config/options.js';
import type { EndMode, Graces, TerminationReport, TreePlan } from './termination-report.js';

/** `tree`: neither marks nor cgroups are to be had; who leaves the tree is not found. */
export type ContainmentLevel = Exclude<Containment, 'auto'> | 'tree';

/** What the kernel says of an end. Only what is so is there. */
export interface KernelVerdict {
  /** A process was killed for lack of memory. */
  readonly outOfMemory?: true;
  /** A process could not be started since there were as many as are allowed. */
  readonly processLimitHit?: true;
}

/** How a process ended, and what the kernel says of it where the server has a cgroup. */
export interface ExitInfo extends KernelVerdict {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** What a running server tells the one that started it. Each is called at most once, but for `onStderrLine`. */
export interface ProcessHandlers {
  /** The process runs. */
  onSpawn(): void;
  /** The operating system refused to start it; nothing runs, and nothing else is called. */
  onSpawnError(error: Error): void;
  /** The leader exited. Its streams may still hold what it wrote last; the rest of its tree was told to die. */
  onExit(exit: ExitInfo): void;
  /** A line of stderr. Only called while `wantsStderr` says so. */
  onStderrLine(line: string): void;
  wantsStderr(): boolean;
}

/** How a process tree shall end. */
export interface EndOptions {
  readonly mode: EndMode;
  /** When aborted, the ladder goes to SIGKILL at once. */
  readonly signal?: AbortSignal;
  /** How long each step may take. Default: those of the definition it was started with. */
  readonly graces?: Graces;
}

/** Why a process ended before it became the server. */
export interface StartRefusal {
  readonly code: 'SPAWN_FAILED' | 'CONTAINMENT_UNAVAILABLE';
  /** The end of a sentence that begins with the server. */
  readonly reason: string;
}

/**
 * A running server as everything above `process/` sees it: its streams, its identity, its end. The local child process
 * is one kind; nothing above may assume that the pid is one of this machine.
 */
export interface ServerProcess {
  readonly pid: number | undefined;
  /** With the pid the identity of the process: its start time, in the unit of its platform. */
  readonly startTime: number | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Raw stderr, which is read in any case: whoever listens as well sees what comes from then on, and may pause it. */
  readonly stderr?: Readable | undefined;
  /** What holds its processes together. */
  readonly containment?: ContainmentLevel | undefined;
  /** The last that it wrote to stderr. */
  readonly stderrTail: string;
  /** Why its command was never run although a process was there; known when it is drained. */
  readonly refusal?: StartRefusal | undefined;
  /** Resolves when both output streams have given all they had after the exit, or were cut off because a helper holds them. */
  drained(): Promise<void>;
  /** Ends the whole tree and proves it. Can be called again while something survives. */
  end(options: EndOptions): Promise<TerminationReport>;
  /** What `end()` would do now. Signals nobody. Left out where that is not known: then a plan of the pool shows no steps. */
  plan?(mode: EndMode, graces: Graces): TreePlan;
  /** Kills at once what can be killed without waiting, for the last moment of the host. */
  killNow(): void;
}

/** Starts processes: the door through which other kinds than local ones come later. */
export interface Launcher {
  /**
   * Starts the server of `definition`. The process exists when this returns, so it can be registered in the same tick.
   * @throws PoolError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `CWD_NOT_FOUND`, `CONTAINMENT_UNAVAILABLE`, `SPAWN_FAILED`
   */
  launch(definition: ResolvedDefinition, handlers: ProcessHandlers): ServerProcess;
}
