import { readArgument, readFunction, readLabel } from '../config/arguments.js';
import { oneOf } from '../config/fields.js';
import { typed } from '../config/snapshot.js';
import type { ListenerError } from '../events.js';
import type { EndOptions } from './launcher.js';
import type { EndMode, EndStep, TerminationReport } from './termination-report.js';

/** A process tree that is to be ended. */
export interface CleanupJob {
  /** Unique among the waiting and running jobs: a second job with the same id joins the first. */
  readonly id: string;
  /** For events and reports. */
  readonly name: string;
  /** Of the leader, for events and reports. Default: undefined. */
  readonly pid?: number | undefined;
  /** How long the graces of one attempt take, ms; the deadline of an attempt is never shorter. Default 0. */
  readonly leastTime?: number;
  /** One attempt. Called again while a process survives. Goes on with SIGKILL when `signal` is aborted. */
  end(options: EndOptions): Promise<TerminationReport>;
}

/** Why a job goes on with SIGKILL at once. */
export type EscalationReason = 'timeout' | 'survivors' | 'asked';

/** The result of a job. */
export interface CleanupReport {
  /** As that of the job; in a pool the id of the instance. */
  readonly id: string;
  /** As that of the job; in a pool the name of the server. */
  readonly name: string;
  /** Of the leader; undefined when it was not given. */
  readonly pid: number | undefined;
  /** Whether all processes of the tree were proven dead. */
  readonly confirmed: boolean;
  /** How often `end()` was called. */
  readonly attempts: number;
  /** Why it went to SIGKILL early; undefined if it did not. */
  readonly escalated: EscalationReason | undefined;
  /** Ms from `enqueue` to the first attempt. */
  readonly waited: number;
  /** Ms from `enqueue` to the end of the last attempt. */
  readonly duration: number;
  /** The report of the last attempt. Undefined when that threw, or did not return in time. */
  readonly termination: TerminationReport | undefined;
  /** The processes that could not be proven dead. */
  readonly survivors: TerminationReport['survivors'];
  /** Why the last attempt failed; undefined if it did not. */
  readonly error: string | undefined;
}

/** The state of a job. */
export interface CleanupStatus {
  readonly id: string;
  readonly name: string;
  readonly pid: number | undefined;
  readonly state: 'waiting' | 'running' | 'finished' | 'failed';
  readonly mode: EndMode;
  readonly attempts: number;
  /** Undefined until the job is finished or failed. */
  readonly report: CleanupReport | undefined;
}

/** The events of a `CleanupQueue` with the payload of each. */
export interface CleanupEvents {
  /** An attempt begins. */
  'cleanup:started': { id: string; name: string; pid: number | undefined; mode: EndMode; attempt: number };
  /**
   * A step by which the tree ends was taken: `eof` (its stdin was closed), SIGTERM or SIGKILL, while `processes` of it lived.
   * After the attempt for jobs that tell their steps in their report alone.
   */
  'signal:sent': {
    id: string;
    name: string;
    pid: number | undefined;
    attempt: number;
    signal: EndStep;
    processes: number;
  };
  /** The job goes on with SIGKILL at once. */
  'cleanup:escalated': { id: string; name: string; pid: number | undefined; reason: EscalationReason };
  /** All processes were proven dead. */
  'cleanup:finished': CleanupReport;
  /** A process survives all attempts. */
  'cleanup:failed': CleanupReport;
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}

const endMode = oneOf('graceful', 'graceful', 'emergency');

/**
 * Checks what a `CleanupQueue` is to end. Without an id, a second tree would be taken for the first, and never end.
 * @throws PoolError `INVALID_OPTIONS`
 */
export function assertCleanupJob(target: unknown, mode: unknown): void {
  const call = 'enqueue()';
  const { id, end } = typed(() => {
    const { id, end } = (target ?? {}) as { readonly id?: unknown; readonly end?: unknown };
    return { id, end };
  }, 'the job');
  readLabel(id, 'id', call);
  readFunction(end, 'end', call);
  readArgument(endMode, mode, 'mode', call);
}
