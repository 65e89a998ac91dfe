import type { PoolError } from '../../errors.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { SessionEnd } from '../../protocol/session.js';
import type { Clock } from '../../runtime/clock.js';
import { DueTimer, type DueTimes } from '../../runtime/due-times.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { Outbox } from '../../runtime/outbox.js';
import type { Operations } from '../../server/instance-context.js';
import type { Fleet } from '../instances/fleet.js';
import type { IdleWatch } from '../instances/idle-watch.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { whyNotAgain } from '../instances/reuse.js';
import type { LeaseClass, OpenEntry } from '../instances/server-entry.js';
import type { Lease, LeaseCallbacks, LeaseDeps } from '../leases/lease.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { aborted, acquireTimeout, poolClosed, queueFull } from '../refusals.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import type { AcquireQueue } from './acquire-queue.js';
import { InstanceChanges, type InstanceChangesDeps } from './instance-changes.js';
import type { Match, Matcher } from './matcher.js';
import { silentLeasesFor, whySilent } from './silent-leases.js';
import type { Starts } from './starts.js';
import type { GiveUpReason, LeaseRequest, Waiter } from './waiter.js';

export interface SchedulerDeps extends InstanceChangesDeps {
  readonly maxWaiting: number;
  readonly clock: Clock;
  readonly hold: KeepAlive;
  readonly outbox: Outbox;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly idleWatch: IdleWatch;
  readonly leases: LeaseManager;
  readonly leaseEvents: LeaseEvents;
  readonly queue: AcquireQueue;
  readonly matcher: Matcher;
  readonly starts: Starts;
  readonly recovery: CrashRecovery;
}

/**
 * Decides who is next. Every change goes through it: a call, the end of a lease, what happens to an instance, time that has
 * passed. Each is an operation: the change is worked through, then callers get what has come free, and only then events and
 * handlers of clients are called. So no listener sees a half-done transition; one that calls back starts the next operation.
 */
export class Scheduler implements Operations, LeaseCallbacks {
  readonly #deps: SchedulerDeps;
  /** Hears what happens to the instances that are started here. */
  readonly #changes: InstanceChanges;
  readonly #leaseDeps: LeaseDeps;
  readonly #onGiveUp = (waiter: Waiter, why: GiveUpReason) => this.run(() => this.#gaveUp(waiter, why));
  /** Callers of this operation that wait, as far as is known yet. */
  readonly #newcomers: Waiter[] = [];
  #isRunning = false;
  readonly #timer: DueTimer;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
    this.#changes = new InstanceChanges(this, deps);
    const { clock, dueTimes } = deps;
    this.#timer = new DueTimer(clock, dueTimes, () => this.run(() => dueTimes.run(clock.now())));
    this.#leaseDeps = { hold: deps.hold, clock, callbacks: this };
  }

  // Callers.

  /**
   * A lease, at once where an instance is free: that is the warm path, without a promise, a queue or an operation.
   * @throws PoolError `QUEUE_FULL`
   */
  acquire(entry: OpenEntry, request: LeaseRequest, stack: string | undefined): Lease | Promise<Lease> {
    const leaseClass = entry.find(request);
    // To end an instance that is too old is a change: the whole call is an operation then.
    if (!this.#isRunning && leaseClass?.outdated(this.#deps.clock.now()))
      return this.run(() => this.acquire(entry, request, stack));
    const { leaseEvents } = this.#deps;
    // Callers that wait for a seat on a shared server come first.
    const lease = leaseClass?.waiting === 0 ? this.#lend(leaseClass, request, stack) : undefined;
    if (lease === undefined) return this.#wait(entry, leaseClass, request, stack);
    // The event comes last: a listener may change anything. A spare instance may have to take the place of this one.
    if (entry.definition.minIdle > 0) this.run(() => leaseEvents.acquired(lease, 0));
    else {
      this.#timer.set();
      leaseEvents.acquired(lease, 0);
    }
    return lease;
  }

  /** Gives up the calls, and releases the leases, of one owner or tenant. Returns how many leases. */
  releaseScope(by: 'owner' | 'tenant', label: string, why: string): number {
    const { leases, queue } = this.#deps;
    for (const waiter of queue.of(by, label)) this.reject(waiter, aborted(waiter, queue.waited(waiter), why));
    return leases.ofScope(by, label).filter((lease) => lease.release()).length;
  }

  /** Starts an instance that no caller asked for; undefined when it was refused at once. */
  startSpare(entry: OpenEntry, scope: LeaseScope): PooledInstance | undefined {
    return this.run(() => this.#deps.starts.startSpare(entry, scope, this.#changes));
  }

  reject(waiter: Waiter, error: PoolError): void {
    const leaseClass = waiter.queuedIn?.leaseClass;
    this.#deps.queue.reject(waiter, error);
    if (leaseClass) this.#deps.starts.endUnwanted(leaseClass);
  }

  /** Serves no caller any more, and rejects those that wait; returns how many. */
  close(): number {
    const { fleet, queue } = this.#deps;
    fleet.close();
    const waiters = queue.list();
    for (const waiter of waiters) queue.reject(waiter, poolClosed());
    return waiters.length;
  }

  #wait(
    entry: OpenEntry,
    leaseClass: LeaseClass | undefined,
    request: LeaseRequest,
    stack: string | undefined,
  ): Promise<Lease> {
    const { fleet, leaseEvents, maxWaiting, queue } = this.#deps;
    if (queue.uncovered >= maxWaiting) {
      // A caller that gets a start does not wait for others.
      const hasSeat = leaseClass !== undefined && leaseClass.startingSeats > leaseClass.waiting;
      if (!hasSeat && !fleet.hasRoom(entry)) {
        const error = queueFull(entry.name, maxWaiting);
        leaseEvents.rejected({ name: entry.name, tenant: request.tenant, owner: request.owner }, 0, error);
        throw error;
      }
    }
    const isOutermost = this.#begin();
    try {
      const waiter = queue.add(entry, request, stack, this.#onGiveUp);
      this.#newcomers.push(waiter);
      return waiter.lease;
    } finally {
      if (isOutermost) this.#complete();
    }
  }

  #gaveUp(waiter: Waiter, why: GiveUpReason): void {
    const { fleet, matcher, queue } = this.#deps;
    const entry = fleet.openEntry(waiter);
    if (waiter.queuedIn === undefined || entry === undefined) return;
    const after = queue.waited(waiter);
    if (why !== 'timeout') {
      return this.reject(waiter, aborted(waiter, after, 'its signal was aborted', why.abortedBy));
    }
    const limit = matcher.limitOf(waiter);
    const starting = limit === undefined ? waiter.queuedIn.leaseClass.starts[0]?.errorData() : undefined;
    this.reject(waiter, acquireTimeout(waiter, entry, after, { starting, limit }));
  }

  // Leases.

  leaseEnded(lease: Lease, end: SessionEnd): Promise<CleanupReport | undefined> | undefined {
    const isOutermost = this.#begin();
    try {
      return this.#endLease(lease, end);
    } finally {
      if (isOutermost) this.#complete();
    }
  }

  #lend(leaseClass: LeaseClass, scope: LeaseScope, stack: string | undefined): Lease | undefined {
    const { clock, leases } = this.#deps;
    const now = clock.now();
    for (let old = leaseClass.outdated(now); old; old = leaseClass.outdated(now)) void old.stop('max-lifetime');
    return leases.lend(leaseClass, scope, now, stack, this.#leaseDeps);
  }

  /** The end of a lease. Returns the end of its process, if that ends with it. */
  #endLease(lease: Lease, end: SessionEnd): Promise<CleanupReport | undefined> | undefined {
    const { clock, fleet, idleWatch, leaseEvents, leases, outbox, starts } = this.#deps;
    const { instance } = lease;
    const now = clock.now();
    // On a shared server they are cancelled.
    const isUnfinished = instance.sharing !== 'shared' && lease.openRequests > 0;
    leases.remove(lease);
    const closeClient = lease.closeSession(end);
    if (closeClient) outbox.push(closeClient);
    leaseEvents.released(lease, now);
    const isLast = instance.leases === 0;
    if (instance.state === 'starting') {
      const leaseClass = fleet.classOf(instance);
      if (isLast && leaseClass) starts.endUnwanted(leaseClass);
      return undefined;
    }
    // A shutdown ends the instances itself, when it has taken the leases: in its own way, and as the reason.
    if (instance.state !== 'ready' || !fleet.isOpen) return instance.ended;
    if (!isLast) return undefined;
    const reason = isUnfinished ? 'unfinished' : whyNotAgain(instance, now);
    if (reason !== undefined) return instance.stop(reason);
    idleWatch.park(instance, now);
    return undefined;
  }

  // Operations.

  run<T>(operation: () => T): T {
    const isOutermost = this.#begin();
    try {
      return operation();
    } finally {
      if (isOutermost) this.#complete();
    }
  }

  afterwards(task: () => void): void {
    this.#deps.outbox.push(task);
  }

  /** The pool is closed: no time matters any more. */
  stop(): void {
    this.#timer.stop();
  }

  /** False within an operation: the outermost one is completed. */
  #begin(): boolean {
    if (this.#isRunning) return false;
    this.#isRunning = true;
    this.#deps.outbox.hold();
    return true;
  }

  /** The change is made: callers get what has come free. Then, after the operation, what happened is delivered. */
  #complete(): void {
    try {
      this.#settle();
      this.#timer.set();
    } finally {
      this.#isRunning = false;
      this.#deps.outbox.release();
    }
  }

  #settle(): void {
    const { fleet, queue, recovery } = this.#deps;
    if (queue.size > 0 || recovery.isPending || this.#newcomers.length > 0) this.#serveAll();
    if (queue.size > 0 || !fleet.isOpen) return;
    // No caller waits, so what changed matters to none.
    while (fleet.takeChange()) {}
    if (fleet.withMinimum.size > 0) this.#deps.starts.fillMinimum(this.#changes);
  }

  #serveAll(): void {
    const { clock, fleet, leases, matcher, queue, recovery, starts } = this.#deps;
    for (;;) {
      if (recovery.isPending) for (const successor of recovery.takeLaunchable()) starts.launchSuccessor(successor);
      if (queue.size === 0 || !fleet.isOpen) break;
      matcher.begin();
      for (let match = matcher.next(); match !== undefined; match = matcher.next()) this.#act(match);
      if (!leases.hasSilent) break;
      const now = clock.now();
      const silent = silentLeasesFor(queue, matcher, leases, fleet, now);
      if (silent.length === 0) break;
      for (const lease of silent) leases.reclaim(lease, now, whySilent(lease, now));
    }
    for (const waiter of this.#newcomers) if (waiter.queuedIn) this.#announce(waiter);
    this.#newcomers.length = 0;
  }

  #act({ waiter, entry, decision }: Match): void {
    const { matcher, queue, starts } = this.#deps;
    switch (decision.action) {
      case 'reuse': {
        const leaseClass = waiter.queuedIn?.leaseClass;
        const lease = leaseClass && this.#lend(leaseClass, waiter, waiter.stack);
        if (lease) queue.serve(waiter, lease);
        return;
      }
      case 'spawn':
        try {
          return starts.start(entry, waiter, this.#changes);
        } catch (error) {
          return this.reject(waiter, error as PoolError);
        }
      case 'evict':
        return void matcher.victim(decision.from === 'server' ? entry : undefined)?.stop('evicted');
      case 'refuse':
        return this.reject(waiter, decision.error);
    }
  }

  /** A caller has to wait. */
  #announce(waiter: Waiter): void {
    const { fleet, leaseEvents, matcher, queue } = this.#deps;
    const { name } = waiter;
    waiter.announced = true;
    leaseEvents.waiting(waiter, queue.size);
    const limit = matcher.limitOf(waiter);
    if (limit === undefined) return;
    const maxInstances = fleet.entries.get(name)?.definition?.maxInstances ?? 0;
    leaseEvents.limitReached({ name, limit, value: limit === 'maxInstances' ? maxInstances : fleet.slots.limit });
  }
}
