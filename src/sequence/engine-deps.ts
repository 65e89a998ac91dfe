import type { SafeEmitter } from '../events.js';
import type { DueTimes } from '../runtime/due-times.js';
import type { Outbox } from '../runtime/outbox.js';
import type { SequenceEvents } from './sequence-events.js';
import type { Cause, TrackedStep } from './tracked-step.js';

/** What brings steps up and down needs of its manager. */
export interface EngineDeps {
  readonly dueTimes: DueTimes;
  /** Calls the functions of steps, too: when an operation is complete, after the events of it. */
  readonly outbox: Outbox;
  readonly emit: SafeEmitter<SequenceEvents>['emit'];
  readonly concurrency: number;
  /** For what is stopped because something has failed, ms. */
  readonly shutdownTimeout: number;
  /** Runs a task as an operation, with all that follows from it. */
  run(task: (now: number) => void): void;
  /** A step may be in another state. */
  onChange(step: TrackedStep): void;
  /** A step cannot be started, and is not tried again. */
  onFailed(step: TrackedStep, cause: Cause, now: number): void;
  /** Clock time after which no attempt of a step may begin. */
  until(step: TrackedStep): number;
}
