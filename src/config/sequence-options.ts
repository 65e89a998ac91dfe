import { dependsOn } from './depends-on.js';
import {
  abortSignal,
  callback,
  type Field,
  flag,
  type Given,
  nested,
  oneOf,
  optional,
  requiredString,
  strings,
} from './fields.js';
import { count, deadline, duration, numeric } from './number-fields.js';

/** How a step is ended. `graceful`: it may finish what it does. `emergency`: at once. */
export type StopMode = 'graceful' | 'emergency';

/** What `stop` of a step gets. */
export interface StopContext {
  readonly mode: StopMode;
  /** Aborted when its time is over: it must end at once. */
  readonly signal: AbortSignal;
}

/** What `start` of a step may resolve with. Anything else that it resolves with is not looked at. */
export interface StepResult {
  /** Settled when the step has ended by itself: see `onDependencyExit`. */
  readonly exited?: PromiseLike<unknown> | undefined;
  /** Set when it was not started, with the reason why: it is skipped then. */
  readonly skipped?: string | undefined;
}

const untilAborted = (fallback: number) =>
  numeric(fallback, 'a number of milliseconds above 0, or Infinity', { exclusiveMinimum: 0 }, (value) => value > 0);

export const backoffFields = {
  /** The pause after the first attempt that failed, in milliseconds; doubled after each further one. Default: 100. */
  minDelay: duration(100),
  /** The longest pause, in milliseconds. Default: 5,000. */
  maxDelay: duration(5_000),
};

export const stepFields = {
  /** Its name, which no other step of the same manager has. Required. */
  id: requiredString(),
  /** The steps that start before it, and stop after it. Default: `[]`. */
  dependsOn: dependsOn(),
  /**
   * Whether all is in vain without it: then a start of which it is a part fails when it fails. Otherwise that start ends as
   * `degraded`. Default: true.
   */
  required: flag(true),
  /**
   * Starts it. May resolve with a {@link StepResult}. When it rejects, nothing of it may be left: `stop` is not called. When
   * `signal` is aborted it should reject soon; if it resolves all the same, it is stopped. That is not aborted any more when it has
   * resolved. Required.
   */
  start: { ...callback<(signal: AbortSignal) => unknown>(), required: true } as Field<
    (signal: AbortSignal) => unknown
  > & { required: true },
  /** Resolves when it can be used, after `start`; when it rejects, the attempt has failed. Default: it can at once. */
  ready: callback<(signal: AbortSignal) => unknown>(),
  /**
   * Resolves when it is proven to work, after `ready`; when it rejects, the attempt has failed. Called only when a step waits for it
   * with the condition `healthy`. Default: none.
   */
  healthy: callback<(signal: AbortSignal) => unknown>(),
  /**
   * Ends it, and resolves when nothing of it is left. When it rejects it is called once more, with the mode `emergency`. Default:
   * there is nothing to be ended.
   */
  stop: callback<(context: StopContext) => unknown>(),
  /** Longest time of one attempt from `start` until it is ready, and of `healthy`, in milliseconds. Default: `Infinity`. */
  timeout: untilAborted(Infinity),
  /** Attempts after the first, within the time of the whole start. An end by itself counts like one. Default: 0. */
  retries: count(0, 0, 'unlimited'),
  /** The pauses between attempts. */
  backoff: nested(backoffFields),
  /**
   * Whether what depends on it can go on while it is started again after it has ended by itself. Then the default of their
   * `onDependencyExit` is `ignore`. Default: false.
   */
  recovers: flag(false),
  /**
   * What becomes of it when a step that it depends on has ended by itself, which is then started again. `restart`: it is
   * stopped before that, and started after it. `hold`: it goes on, but counts as `held` until then. `ignore`: it goes on.
   * `stop`: it is stopped. Default: `restart`; `ignore` for a dependency with `required: false`, or one that `recovers`.
   */
  onDependencyExit: optional(oneOf('restart', 'restart', 'hold', 'ignore', 'stop')),
};

/** A step of a {@link SequenceManager}. */
export type SequenceStep = Given<typeof stepFields>;

/** What becomes of a step when one that it depends on has ended by itself. */
export type DependencyExitPolicy = 'restart' | 'hold' | 'ignore' | 'stop';

export const sequenceFields = {
  /** Most steps that start at the same time. One counts until it is ready. Default: `Infinity`. */
  concurrency: count(Infinity, 1, 'unlimited'),
  /**
   * What becomes of the steps that are up when a start fails. `rollback`: those that it has started are stopped, in reverse.
   * `keep`: they stay. Default: `rollback`.
   */
  onFailure: oneOf('rollback', 'rollback', 'keep'),
  /**
   * Longest time of a `stop()`, and of what is stopped after a failure, in milliseconds. It is divided among the steps that stop
   * one after the other. Default: 30,000.
   */
  shutdownTimeout: deadline(30_000),
};

/** Options of a {@link SequenceManager}. */
export type SequenceOptions = Given<typeof sequenceFields>;

/** Names of steps. */
const only = optional(strings());

export const startFields = {
  /** The steps to be started; with what they depend on. Default: all. */
  only,
  /** Longest time until all is ready, retries included, in milliseconds. Default: 60,000. */
  timeout: untilAborted(60_000),
  /** Makes the start fail when it is aborted. Default: undefined. */
  signal: abortSignal(),
  /** As that of the manager, for this start. Default: that of the manager. */
  onFailure: optional(oneOf('rollback', 'rollback', 'keep')),
  /** The steps without which this start is in vain. Default: those that are `required`. */
  required: optional(strings()),
};

/** Options of `start()` of a {@link SequenceManager}. */
export type SequenceStartOptions = Given<typeof startFields>;

export const stopFields = {
  /** The steps to be stopped; with what depends on them. Default: all. */
  only,
  /** `graceful`: in reverse order. `emergency`: all at once. Default: `graceful`. */
  mode: oneOf('graceful', 'graceful', 'emergency'),
  /** Longest time, in milliseconds. Default: `shutdownTimeout`. */
  timeout: optional(deadline(30_000)),
};

/** Options of `stop()` of a {@link SequenceManager}. */
export type SequenceStopOptions = Given<typeof stopFields>;

export const planFields = {
  /** The steps to be started or stopped; with what follows from that. Default: all. */
  only,
};

/** Options of `plan()` of a {@link SequenceManager}. */
export type SequencePlanOptions = Given<typeof planFields>;
