import type { PoolError } from '../../errors.js';
import { AbortListeners } from '../../runtime/abort-listeners.js';
import type { Clock } from '../../runtime/clock.js';
import type { DueTimes } from '../../runtime/due-times.js';
import { END_MEANING } from '../../server/end-reason.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { Lease, PooledServer } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { aborted, queueFull } from '../refusals.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import { Deadlines, type Expiring } from './deadlines.js';
import type { Scheduler } from './scheduler.js';
import { WaitReasons, type WaitReasonsDeps } from './wait-reasons.js';
import { type LeaseRequest, Waiter } from './waiter.js';

/** Most calls that wait for one lease. */
const MOST_CALLS = 1_000;

export interface JointCallsDeps extends WaitReasonsDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly leases: LeaseManager;
  readonly recovery: CrashRecovery;
  readonly scheduler: Scheduler;
}

/** The calls with `reuseLease`: those of one owner, server, tenant and variant have one lease, and wait for it together. */
export class JointCalls {
  readonly #deps: JointCallsDeps;
  readonly #waitReasons: WaitReasons;
  readonly #waits = new Map<string, SharedWait>();
  readonly #deadlines: Deadlines<Call>;
  readonly #aborts = new AbortListeners<Call>();

  constructor(deps: JointCallsDeps) {
    this.#deps = deps;
    this.#waitReasons = new WaitReasons(deps);
    this.#deadlines = new Deadlines(deps.dueTimes, (call) => this.#timedOut(call));
  }

  /**
   * A holder of the lease that the owner has, or waits for; else of a new one.
   * @throws PoolError `QUEUE_FULL`
   */
  acquire(entry: OpenEntry, request: LeaseRequest, stack: string | undefined): PooledServer | Promise<PooledServer> {
    const { leases, scheduler } = this.#deps;
    const held = leases.heldBy(entry.name, request, this.#isUsable);
    if (held) return leases.share(held);
    // One operation: a listener that calls back finds the call among those that wait.
    return scheduler.run(() => this.#joinOrWait(entry, request, stack));
  }

  #joinOrWait(
    entry: OpenEntry,
    request: LeaseRequest,
    stack: string | undefined,
  ): PooledServer | Promise<PooledServer> {
    const key = keyOf(entry, request);
    const wait = this.#waits.get(key);
    if (wait?.waiter.queuedIn) return this.#join(entry, wait, request);
    // Each call has a deadline and a signal of its own; the caller in the queue waits until all have left.
    const first = this.#deps.scheduler.acquireOrWait(
      entry,
      { ...request, timeout: Infinity, signal: undefined },
      stack,
    );
    if (!(first instanceof Waiter)) return first;
    const made: SharedWait = { waiter: first, calls: new Set() };
    this.#waits.set(key, made);
    void this.#follow(key, made);
    return this.#join(entry, made, request);
  }

  /** Whether a new holder of a lease gets a server: its instance serves on, or the lease moves to the next one. */
  readonly #isUsable = ({ instance }: Lease): boolean => {
    const { state, endReason, retired } = instance;
    const moves = instance.leasesStay && this.#deps.recovery.entryFor(instance) !== undefined;
    if (state !== 'starting' && state !== 'ready')
      return moves && endReason !== undefined && END_MEANING[endReason].recovers;
    return retired === undefined || (moves && instance.sharing === 'shared');
  };

  /** Passes on what the caller in the queue gets. */
  async #follow(key: string, wait: SharedWait): Promise<void> {
    const { leases, queue } = this.#deps;
    const { waiter, calls } = wait;
    try {
      const lease: Lease = await waiter.lease;
      const [first, ...others] = calls;
      for (const call of others) this.#answer(call, leases.share(lease));
      if (first) this.#answer(first, lease);
      else lease.release();
    } catch (error) {
      for (const call of calls) this.#answer(call, queue.answers.error(error as PoolError));
    } finally {
      if (this.#waits.get(key) === wait) this.#waits.delete(key);
    }
  }

  /** Adds a call to those that wait; it leaves when it is answered, at its deadline, or when its signal is aborted. */
  #join(entry: OpenEntry, wait: SharedWait, { timeout, signal }: LeaseRequest): Promise<PooledServer> {
    const { clock, leaseEvents, scheduler } = this.#deps;
    const { waiter, calls } = wait;
    if (calls.size >= MOST_CALLS) {
      const error = queueFull(entry, MOST_CALLS, 'for the same lease');
      leaseEvents.rejected(waiter, 0, error);
      throw error;
    }
    return new Promise((resolve) => {
      const call = new Call(wait, entry, clock.now(), timeout, signal, resolve);
      calls.add(call);
      // An operation sets the timer of the pool to the deadline.
      scheduler.run(() => this.#deadlines.add(call, timeout));
      if (signal) this.#aborts.add(signal, call, (reason) => this.#aborted(call, reason));
    });
  }

  #answer(call: Call, answer: PooledServer | Promise<never>): void {
    const { signal, timeout, wait } = call;
    this.#deadlines.delete(call, timeout);
    if (signal) this.#aborts.delete(signal, call);
    wait.calls.delete(call);
    call.resolve(answer);
  }

  #timedOut(call: Call): void {
    const { entry, wait } = call;
    const { waiter } = wait;
    const why = () => this.#waitReasons.timeout(waiter, entry, this.#waited(call));
    this.#giveUp(call, this.#deps.scheduler.explain(waiter, why));
  }

  #aborted(call: Call, reason: unknown): void {
    this.#giveUp(call, aborted(call.entry, this.#waited(call), 'its signal was aborted', reason));
  }

  /** Does nothing when the call was answered meanwhile. */
  #giveUp(call: Call, error: PoolError): void {
    const { leaseEvents, queue, scheduler } = this.#deps;
    const { waiter, calls } = call.wait;
    if (!calls.has(call)) return;
    this.#answer(call, queue.answers.error(error));
    scheduler.run(() => {
      // The last one takes the caller of the queue with it, for which the same event is emitted.
      if (calls.size === 0 && waiter.queuedIn) scheduler.reject(waiter, error);
      else leaseEvents.rejected(waiter, this.#waited(call), error);
    });
  }

  #waited({ since }: Call): number {
    return Math.round(this.#deps.clock.now() - since);
  }
}

/** Calls that wait for one lease together, as one caller of the queue. */
interface SharedWait {
  readonly waiter: Waiter;
  readonly calls: Set<Call>;
}

class Call implements Expiring {
  readonly wait: SharedWait;
  readonly entry: OpenEntry;
  /** Clock time of the call. */
  readonly since: number;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (answer: PooledServer | Promise<never>) => void;
  sooner: Expiring | undefined;
  later: Expiring | undefined;

  constructor(
    wait: SharedWait,
    entry: OpenEntry,
    since: number,
    timeout: number,
    signal: AbortSignal | undefined,
    resolve: (answer: PooledServer | Promise<never>) => void,
  ) {
    this.wait = wait;
    this.entry = entry;
    this.since = since;
    this.timeout = timeout;
    this.signal = signal;
    this.resolve = resolve;
  }

  get deadline(): number {
    return this.since + this.timeout;
  }
}

/** No part contains NUL, and no tenant is empty. */
function keyOf({ name }: OpenEntry, { tenant, owner, variant }: LeaseRequest): string {
  return `${name}\0${tenant ?? ''}\0${owner}\0${variant?.id ?? ''}`;
}
