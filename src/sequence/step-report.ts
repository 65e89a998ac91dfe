import type { PoolError } from '../errors.js';
import type { StepState } from './step-state.js';

/**
 * Why a step is in its state. `error`: a function of it threw. `timeout`: it was not ready within its `timeout`. `deadline`: nor
 * within the time of the whole start. `exited`: it has ended by itself. `aborted`: the start was aborted, or `stop()` was called
 * meanwhile. `sequence-failed`: another step that is required has failed. `dependency-failed`: one that it needs cannot be
 * started. `dependency-exited`: one that it depends on has ended by itself. `asked`: `stop()` was called. `stop-error`,
 * `stop-timeout`: it could not be ended; was not in its time. Any other: the word with which its `start()` said that it was not
 * started.
 */
export type StepReason =
  | 'error'
  | 'timeout'
  | 'deadline'
  | 'exited'
  | 'aborted'
  | 'sequence-failed'
  | 'dependency-failed'
  | 'dependency-exited'
  | 'asked'
  | 'stop-error'
  | 'stop-timeout'
  | (string & {});

/** What a step waits for, or has waited for. */
export interface StepWait {
  /**
   * `step`: until a dependency had come far enough. `dependents`: until those that depend on it were stopped. `backoff`: until it was
   * tried again. `place`: until fewer than `concurrency` steps were starting.
   */
  readonly on: 'step' | 'dependents' | 'backoff' | 'place';
  /** Of the dependency. */
  readonly id?: string | undefined;
  /** In ms. */
  readonly duration: number;
}

/** One step, in a report. */
export interface StepReport {
  readonly id: string;
  readonly state: StepState;
  /** How often it was begun, since it was asked for last. */
  readonly attempts: number;
  /** From its first attempt until it was ready, or nothing of it was left, in ms; of a stop, how long that took. */
  readonly duration: number;
  /** Since it was asked for, in this order. Waits that took no time are left out. */
  readonly waitedFor: readonly StepWait[];
  /** Undefined while nothing is wrong. */
  readonly reason: StepReason | undefined;
  readonly error: PoolError | undefined;
}

/** One step now. */
export interface StepStatus extends StepReport {
  readonly required: boolean;
  readonly dependsOn: readonly string[];
  /** Empty, unless it is `waiting`, or waits to be stopped. */
  readonly waitsFor: readonly StepWait[];
}
