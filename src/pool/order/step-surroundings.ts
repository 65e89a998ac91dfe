import type { StopContext } from '../../config/sequence-options.js';
import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { Deferred } from '../../runtime/deferred.js';
import type { AcquireQueue } from '../acquire/acquire-queue.js';
import type { Scheduler } from '../acquire/scheduler.js';
import type { Waiter } from '../acquire/waiter.js';
import type { Fleet } from '../instances/fleet.js';
import type { IdleWatch } from '../instances/idle-watch.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import type { Prover } from './proof.js';

/** What ends with a step. */
export interface EndingStep {
  readonly name: string;
  readonly instances: readonly PooledInstance[];
  readonly isReleasing: boolean;
  readonly isRestarting: boolean;
  readonly wasUp: boolean;
  comesBack: boolean;
}

export interface NeedsDeps {
  readonly fleet: Fleet;
  /** How long those that can do without a server wait for a slot for it, ms. */
  readonly acquireTimeout: number;
}

export interface PoolStepDeps extends Prover, NeedsDeps {
  readonly clock: Clock;
  readonly idleWatch: IdleWatch;
  readonly queue: AcquireQueue;
  readonly recovery: CrashRecovery;
  readonly scheduler: Scheduler;
}

/** Who needs a server. */
export interface StepNeeds {
  /** Whether something that depends on it is there, or comes. */
  isNeeded(name: string): boolean;
  /** How long a slot for it is waited for, ms. */
  patience(name: string): number;
  /** Whether there is a slot for a server on which nothing depends: those of the others come first. */
  hasSlotFor(entry: OpenEntry): boolean;
}

/** A call that wants a step to have an instance. */
export interface Wish {
  /** For whom; undefined: for any caller of its tenant. */
  readonly scope: LeaseScope | undefined;
}

/** What a step knows of the others of its tenant. */
export interface StepSurroundings {
  readonly tenant: string | undefined;
  readonly needs: StepNeeds;
  /** Whether an instance can be used, and serves this tenant still. */
  isOurs(instance: PooledInstance): boolean;
  /** The instance that shows that it is up has ended by itself, or cannot be replaced, and something depends on it. */
  exited(name: string, cause: PoolError): void;
  /** It has an instance again: what depends on it may be started. */
  arrived(name: string): void;
  /** Nothing is left that shows that it is up, and nothing depends on it. */
  idle(): void;
  /** Ends its instances, as far as that is asked for. */
  end(step: EndingStep, how: StopContext): Promise<void>;
  /** Ends those that nobody uses. */
  clear(step: EndingStep): Promise<void>;
}

/** The wait for an instance. */
export interface Arrival {
  /** A process was spawned; an instance can be used. */
  readonly spawned: Deferred<void>;
  readonly ready: Deferred<void>;
  /** Stands for it in the queue; undefined while callers wait themselves. */
  caller: Waiter | undefined;
  /** Why the last start has failed. */
  failure: PoolError | undefined;
  /** Whether the step is up, and goes on with another instance. */
  readonly isRenewal: boolean;
}
