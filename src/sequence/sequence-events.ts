import type { StopMode } from '../config/sequence-options.js';
import type { PoolError } from '../errors.js';
import type { ListenerError } from '../events.js';
import type { SequenceReport } from './sequence-report.js';
import type { StepReason, StepReport, StepWait } from './step-report.js';

interface OfStep {
  readonly id: string;
}

/** The events of a {@link SequenceManager}, with the payload of each (issue 13). Durations are in ms. */
export interface SequenceEvents {
  /** It is asked for, or is to be started again, and cannot begin at once. */
  'step:waiting': OfStep & { readonly waitsFor: readonly StepWait[] };
  /** Its `start()` is called. `attempt`: 1 for the first since it was asked for. */
  'step:starting': OfStep & { readonly attempt: number; readonly waitedFor: readonly StepWait[] };
  /** That has resolved. */
  'step:started': OfStep & { readonly attempt: number; readonly duration: number };
  /** It can be used. */
  'step:ready': StepReport;
  /** It could not be started, or has ended by itself and could not be started again; or it could not be ended (`stop-failed`). */
  'step:failed': StepReport;
  /** It is not begun. */
  'step:skipped': StepReport;
  /** An attempt has failed, or it has ended by itself: it is begun again after `delay`. */
  'step:retrying': OfStep & {
    readonly attempt: number;
    readonly delay: number;
    readonly reason: StepReason;
    readonly error: PoolError | undefined;
  };
  /** Its end begins. `reason`: undefined when it is started again. */
  'step:stopping': OfStep & { readonly mode: StopMode; readonly reason: StepReason | undefined };
  /** Nothing of it is left. Not emitted when it is started again. */
  'step:stopped': StepReport;
  /** It has ended by itself. `restarted`, `held`, `stopped`: what that means for the steps that depend on it. */
  'step:exited': OfStep & {
    readonly error: PoolError | undefined;
    readonly restarted: readonly string[];
    readonly held: readonly string[];
    readonly stopped: readonly string[];
  };
  /** A step that it depends on is not there any more (`onDependencyExit: 'hold'`). */
  'step:held': OfStep;
  /** That step is there again. */
  'step:resumed': OfStep;
  /** A start begins. */
  'sequence:started': { readonly waves: readonly (readonly string[])[] };
  /** All steps that were asked for are ready: at the end of a start, or again. */
  'sequence:ready': SequenceReport;
  /** Some are not: at the end of a start, or because one has ended by itself. */
  'sequence:degraded': SequenceReport;
  /** A start has failed. What was to be stopped for that is gone, apart from `survivors`. */
  'sequence:failed': SequenceReport;
  /** A `stop()` of all steps is complete. */
  'sequence:stopped': SequenceReport;
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}
