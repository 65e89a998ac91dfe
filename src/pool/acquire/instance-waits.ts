import { callVariant } from '../../config/call-variant.js';
import type { Variant } from '../../config/variant.js';
import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { AcquireQueue } from './acquire-queue.js';
import { endIdleFirst } from './idle-ends.js';
import type { Starts } from './starts.js';
import type { LeaseRequest, OnGiveUp, Waiter } from './waiter.js';

export interface InstanceWaitsDeps {
  readonly clock: Clock;
  readonly queue: AcquireQueue;
  readonly starts: Starts;
}

type InstanceRequest = Omit<LeaseRequest, keyof LeaseScope> & {
  readonly tenant: string | undefined;
  /** Of whom the instance is to be, with which values; undefined: of any owner, with those of its tenant. */
  readonly scope: LeaseScope | undefined;
  readonly onInstance: (instance: PooledInstance) => void;
  readonly onFailed: (error: PoolError) => void;
};

/** The pool itself waits, as a caller does, for instances that others depend on. No lease is given out on them. */
export class InstanceWaits {
  readonly #deps: InstanceWaitsDeps;
  readonly #onGiveUp: OnGiveUp;

  constructor(deps: InstanceWaitsDeps, onGiveUp: OnGiveUp) {
    this.#deps = deps;
    this.#onGiveUp = onGiveUp;
  }

  /**
   * To be called within an operation. Returns the caller that stands for the pool in the queue; undefined when the definition has
   * a function for tenants that fails.
   */
  add(entry: OpenEntry, { scope, tenant, ...request }: InstanceRequest): Waiter | undefined {
    let variant: Variant | undefined;
    try {
      variant = scope ? scope.variant : callVariant(entry.definition, tenant, 'start()');
    } catch (error) {
      request.onFailed(error as PoolError);
      return undefined;
    }
    const owner = scope?.owner;
    return this.#deps.queue.add(entry, { ...request, tenant, owner, variant }, undefined, this.#onGiveUp);
  }

  /** It is not waited for any more. */
  withdraw(waiter: Waiter): void {
    const { queue, starts } = this.#deps;
    const leaseClass = waiter.queuedIn?.leaseClass;
    queue.withdraw(waiter);
    if (leaseClass) starts.endUnneeded(leaseClass);
  }

  /** Shows an instance that could be leased. It stays free for callers. */
  serve(waiter: Waiter): void {
    const now = this.#deps.clock.now();
    const leaseClass = waiter.queuedIn?.leaseClass;
    if (leaseClass === undefined || !endIdleFirst(leaseClass, waiter, now)) return;
    const instance = leaseClass.nextIdle(waiter) ?? leaseClass.leastLoaded(now);
    if (instance === undefined) return;
    this.#deps.queue.withdraw(waiter);
    waiter.request.onInstance?.(instance);
    this.#deps.starts.endUnneeded(leaseClass);
  }
}
