import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { Lease, PooledServer } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { aborted, queueFull } from '../refusals.js';
import type { Scheduler } from './scheduler.js';
import { WaitReasons, type WaitReasonsDeps } from './wait-reasons.js';
import { type LeaseRequest, Waiter } from './waiter.js';

/** Most calls that wait for one lease. */
const MOST_CALLS = 1_000;

export interface JointCallsDeps extends WaitReasonsDeps {
  readonly clock: Clock;
  readonly leases: LeaseManager;
  readonly scheduler: Scheduler;
}

/** The calls with `reuseLease`: those of one owner, server and tenant have one lease, and wait for it together. */
export class JointCalls {
  readonly #deps: JointCallsDeps;
  readonly #waitReasons: WaitReasons;
  readonly #waits = new Map<string, SharedWait>();

  constructor(deps: JointCallsDeps) {
    this.#deps = deps;
    this.#waitReasons = new WaitReasons(deps);
  }

  /**
   * A holder of the lease that the owner has, or waits for; else of a new one.
   * @throws PoolError `QUEUE_FULL`
   */
  acquire(entry: OpenEntry, request: LeaseRequest, stack: string | undefined): PooledServer | Promise<PooledServer> {
    const { leases, scheduler } = this.#deps;
    const held = leases.heldBy(entry.name, request);
    if (held) return leases.share(held);
    const key = keyOf(entry, request);
    const wait = this.#waits.get(key);
    if (wait?.waiter.queuedIn) return this.#join(entry, wait, request);
    // Each call has a deadline and a signal of its own; the caller in the queue waits until all have left.
    const first = scheduler.acquireOrWait(entry, { ...request, timeout: Infinity, signal: undefined }, stack);
    if (!(first instanceof Waiter)) return first;
    const made: SharedWait = { waiter: first, calls: new Set() };
    this.#waits.set(key, made);
    void this.#follow(key, made);
    return this.#join(entry, made, request);
  }

  /** Passes on what the caller in the queue gets. */
  async #follow(key: string, wait: SharedWait): Promise<void> {
    const { leases, queue } = this.#deps;
    const { waiter, calls } = wait;
    try {
      const lease: Lease = await waiter.lease;
      const [first, ...others] = calls;
      for (const call of others) call.resolve(leases.share(lease));
      if (first) first.resolve(lease);
      else lease.release();
    } catch (error) {
      for (const call of calls) call.resolve(queue.answers.error(error as PoolError));
    } finally {
      if (this.#waits.get(key) === wait) this.#waits.delete(key);
    }
  }

  /** Adds a call to those that wait; it leaves when it is answered, at its deadline, or when its signal is aborted. */
  #join(entry: OpenEntry, wait: SharedWait, { timeout, signal }: LeaseRequest): Promise<PooledServer> {
    const { clock, leaseEvents } = this.#deps;
    const { waiter, calls } = wait;
    if (calls.size >= MOST_CALLS) {
      const error = queueFull(entry, MOST_CALLS, 'for the same lease');
      leaseEvents.rejected(waiter, 0, error);
      throw error;
    }
    const since = clock.now();
    const waited = () => Math.round(clock.now() - since);
    return new Promise((resolve) => {
      const call: Call = {
        since,
        resolve: (answer) => {
          timer.cancel();
          signal?.removeEventListener('abort', onAbort);
          calls.delete(call);
          resolve(answer);
        },
      };
      const onAbort = () =>
        this.#giveUp(wait, call, aborted(entry, waited(), 'its signal was aborted', signal?.reason));
      const timer = clock.after(timeout, () =>
        this.#giveUp(wait, call, this.#waitReasons.timeout(waiter, entry, waited())),
      );
      signal?.addEventListener('abort', onAbort);
      calls.add(call);
    });
  }

  #giveUp({ waiter, calls }: SharedWait, call: Call, error: PoolError): void {
    const { clock, leaseEvents, queue, scheduler } = this.#deps;
    call.resolve(queue.answers.error(error));
    scheduler.run(() => {
      // The last one takes the caller of the queue with it, for which the same event is emitted.
      if (calls.size === 0 && waiter.queuedIn) scheduler.reject(waiter, error);
      else leaseEvents.rejected(waiter, Math.round(clock.now() - call.since), error);
    });
  }
}

/** Calls that wait for one lease together, as one caller of the queue. */
interface SharedWait {
  readonly waiter: Waiter;
  readonly calls: Set<Call>;
}

interface Call {
  /** Clock time of the call. */
  readonly since: number;
  resolve(answer: PooledServer | Promise<never>): void;
}

/** No part contains NUL, and no tenant is empty. */
function keyOf({ name }: OpenEntry, { tenant, owner }: LeaseRequest): string {
  return `${name}\0${tenant ?? ''}\0${owner}`;
}
