import type { PoolError } from '../../errors.js';
import type { SessionEnd } from '../../protocol/session.js';
import { DueTimer } from '../../runtime/due-times.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { Outbox } from '../../runtime/outbox.js';
import type { Operations } from '../../server/instance-context.js';
import { evictionReason } from '../instances/eviction.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass, OpenEntry } from '../instances/server-entry.js';
import type { Lease, LeaseCallbacks, LeaseDeps } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { aborted, poolClosed, queueFull } from '../refusals.js';
import type { CrashRecovery } from '../supervision/crash-recovery.js';
import { endIdleFirst } from './idle-ends.js';
import { InstanceChanges, type InstanceChangesDeps } from './instance-changes.js';
import { InstanceWaits } from './instance-waits.js';
import { LeaseEnd, type LeaseEndDeps } from './lease-end.js';
import type { Match } from './matcher.js';
import { PreflightLooks, type PreflightLooksDeps } from './preflight-looks.js';
import { WaitReasons } from './wait-reasons.js';
import { type GiveUpReason, type LeaseRequest, Waiter } from './waiter.js';

export interface SchedulerDeps extends InstanceChangesDeps, LeaseEndDeps, PreflightLooksDeps {
  readonly maxWaiting: number;
  readonly keepAlive: KeepAlive;
  readonly outbox: Outbox;
  readonly leases: LeaseManager;
  readonly recovery: CrashRecovery;
}

/**
 * Decides which caller is next. Every change goes through it as an operation: a call, the end of a lease, a change of an
 * instance, a time that is due. First the change is made, then callers get what has come free, then listeners and handlers
 * of clients are called: they see no half-done transition. One that calls the pool starts the next operation.
 */
export class Scheduler implements Operations, LeaseCallbacks {
  readonly #deps: SchedulerDeps;
  /** Observes the instances that are started here. */
  readonly #changes: InstanceChanges;
  readonly #leaseDeps: LeaseDeps;
  readonly #waitReasons: WaitReasons;
  readonly #leaseEnd: LeaseEnd;
  /** Looks at the host before starts. */
  readonly looks: PreflightLooks;
  /** Callers that stand for the pool itself. */
  readonly instanceWaits: InstanceWaits;
  readonly #onGiveUp = (waiter: Waiter, why: GiveUpReason) => this.run(() => this.#gaveUp(waiter, why));
  readonly #settleAgain = () => this.#settle();
  /** Callers that came in this operation. Those that still wait at its end are announced. */
  readonly #newcomers: Waiter[] = [];
  #isRunning = false;
  readonly #timer: DueTimer;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
    this.#changes = new InstanceChanges(this, deps);
    this.#waitReasons = new WaitReasons(deps);
    this.#leaseEnd = new LeaseEnd(deps);
    this.instanceWaits = new InstanceWaits(deps, this.#onGiveUp);
    this.looks = new PreflightLooks(this, deps, (fault) => this.#changes.onDueFault(fault, undefined));
    const { clock, dueTimes } = deps;
    this.#timer = new DueTimer(clock, dueTimes, () => this.#runDue());
    this.#leaseDeps = { outbox: deps.outbox, keepAlive: deps.keepAlive, clock, callbacks: this };
  }

  /**
   * A lease; at once if an instance is free: the path of most calls has no promise, no queue, no operation.
   * @throws PoolError `QUEUE_FULL`
   */
  acquire(entry: OpenEntry, request: LeaseRequest, stack: string | undefined): Lease | Promise<Lease> {
    const got = this.acquireOrWait(entry, request, stack);
    if (got instanceof Waiter) return got.lease;
    const { answers } = this.#deps.queue;
    return answers.isRejecting ? new Promise((resolve) => resolve(answers.lease(got))) : got;
  }

  /**
   * A lease, or the caller that waits for it.
   * @throws PoolError `QUEUE_FULL`
   */
  acquireOrWait(entry: OpenEntry, request: LeaseRequest, stack: string | undefined): Lease | Waiter {
    const leaseClass = entry.find(request);
    // More than the lease changes then: an instance ends, or a spare one is started.
    const endsFirst = leaseClass?.endsFirst(request, this.#deps.clock.now());
    const isOperation = entry.definition.minIdle > 0 || endsFirst !== undefined;
    const isOutermost = isOperation && this.#begin();
    try {
      // Not when others of its class wait: they came first. Nor when no idle one of its class is for it: a spare one may be.
      const mayLend = leaseClass?.waiting === 0 && endsFirst?.reason !== 'unfinished';
      const lease = mayLend ? this.#lend(leaseClass, request, stack) : undefined;
      if (lease === undefined) return this.#wait(entry, leaseClass, request, stack);
      this.#deps.leaseEvents.acquired(lease, 0);
      this.#timer.set();
      return lease;
    } finally {
      if (isOutermost) this.#complete();
    }
  }

  /** Starts an instance that no caller asked for; undefined when it was refused at once. */
  startSpare(entry: OpenEntry, scope: LeaseScope): PooledInstance | undefined {
    return this.run(() => this.#deps.starts.startSpare(entry, scope, this.#changes));
  }

  reject(waiter: Waiter, error: PoolError): void {
    const leaseClass = waiter.queuedIn?.leaseClass;
    this.#deps.queue.reject(waiter, error);
    if (leaseClass) this.#deps.starts.endUnneeded(leaseClass);
  }

  /** Rejects all callers, now and later. Returns the number of those that waited. */
  close(): number {
    const { fleet, queue } = this.#deps;
    fleet.close();
    const { callers } = queue;
    for (const waiter of queue.list()) queue.reject(waiter, poolClosed());
    return callers;
  }

  #wait(
    entry: OpenEntry,
    leaseClass: LeaseClass | undefined,
    request: LeaseRequest,
    stack: string | undefined,
  ): Waiter {
    const { leaseEvents, matcher, maxWaiting, queue } = this.#deps;
    if (queue.withoutStart >= maxWaiting) {
      // A caller with a start of its own does not wait for a release, so it does not count against `maxWaiting`.
      const hasSeat = leaseClass !== undefined && leaseClass.startingSeats > leaseClass.waiting;
      if (!hasSeat && !matcher.hasRoomFor(entry, request.tenant)) {
        const error = queueFull(entry, maxWaiting);
        leaseEvents.rejected({ name: entry.name, tenant: request.tenant, owner: request.owner }, 0, error);
        throw error;
      }
    }
    const isOutermost = this.#begin();
    try {
      const waiter = queue.add(entry, request, stack, this.#onGiveUp);
      this.#newcomers.push(waiter);
      return waiter;
    } finally {
      if (isOutermost) this.#complete();
    }
  }

  #gaveUp(waiter: Waiter, why: GiveUpReason): void {
    const { fleet, queue } = this.#deps;
    const entry = fleet.openEntry(waiter);
    if (waiter.queuedIn === undefined || entry === undefined) return;
    const after = queue.waited(waiter);
    const error = this.explain(waiter, () =>
      why === 'timeout'
        ? this.#waitReasons.timeout(waiter, entry, after)
        : aborted(waiter, after, 'its signal was aborted', why.abortedBy),
    );
    this.reject(waiter, error);
  }

  /** The error for a caller that gives up. After a fault of this library it is that: the caller must not wait for ever. */
  explain(waiter: Waiter, why: () => PoolError): PoolError {
    try {
      return why();
    } catch (fault) {
      return this.#changes.onCallFault(fault, waiter);
    }
  }

  leaseEnded(lease: Lease, end: SessionEnd): void {
    const isOutermost = this.#begin();
    try {
      this.#leaseEnd.end(lease, end);
    } finally {
      if (isOutermost) this.#complete();
    }
  }

  #lend(leaseClass: LeaseClass, scope: LeaseScope, stack: string | undefined): Lease | undefined {
    const { clock, leases } = this.#deps;
    const now = clock.now();
    if (!endIdleFirst(leaseClass, scope, now)) return undefined;
    return leases.lend(leaseClass, scope, now, stack, this.#leaseDeps);
  }

  /** A fault in what is due ends what it concerns. It keeps nothing else from being handled, and does not end the host. */
  #runDue(): void {
    const { clock, dueTimes } = this.#deps;
    try {
      this.run(() => dueTimes.run(clock.now(), (fault, { about }) => this.#changes.onDueFault(fault, about)));
    } catch (fault) {
      this.#changes.onDueFault(fault, undefined);
    }
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

  /** Stops the timer: to be called when the pool is closed. */
  stop(): void {
    this.#timer.stop();
  }

  /** False when an operation is running already: only the outermost one is completed. */
  #begin(): boolean {
    if (this.#isRunning) return false;
    this.#isRunning = true;
    this.#deps.outbox.hold();
    return true;
  }

  /** The change is made. Callers get what has come free, then the outbox delivers events. */
  #complete(): void {
    try {
      this.#settle();
      this.#deps.fleet.gate.dependencies.settle(this.#settleAgain);
    } finally {
      this.looks.lookIfAsked();
      // After a fault, too: what is due later must be handled.
      this.#timer.set();
      this.#isRunning = false;
      this.#deps.outbox.release();
    }
  }

  #settle(): void {
    const { fleet, queue, recovery, starts, turns } = this.#deps;
    for (;;) {
      if (queue.size > 0 || recovery.hasChanged || turns.isFree || this.#newcomers.length > 0) this.#serveAll();
      if (!fleet.isOpen) return;
      if (queue.size === 0) {
        // No caller waits, so the changes need no search.
        while (fleet.takeChange()) {}
        if (fleet.mayLackSpares.length > 0) starts.fillMinimum(this.#changes);
        // A launcher may have called getServer().
        if (queue.size > 0) continue;
        while (fleet.takeChange()) {}
      }
      // A start that was ended for a caller, or refused, has given its turn back.
      if (!turns.isFree) return;
    }
  }

  #serveAll(): void {
    const { clock, fleet, leases, matcher, queue, recovery, starts } = this.#deps;
    for (;;) {
      if (recovery.hasChanged) for (const successor of recovery.takeLaunchable()) starts.launchSuccessor(successor);
      if (fleet.isOpen) starts.spawnInTurn();
      if (queue.size === 0 || !fleet.isOpen) break;
      matcher.begin();
      for (let match = matcher.next(); match !== undefined; match = matcher.next()) this.#act(match);
      if (!leases.hasSilent) break;
      const now = clock.now();
      const silent = matcher.silentLeases(leases, now);
      if (silent.length === 0) break;
      for (const lease of silent) {
        const silence = `silent for ${Math.round(lease.silence(now))} ms (leaseIdleTimeout)`;
        leases.reclaim(lease, now, `${silence} while a caller waited; get another with getServer()`);
      }
    }
    for (const waiter of this.#newcomers) if (waiter.queuedIn) this.#waitReasons.announce(waiter);
    // pop() keeps the memory of the array, `length = 0` gives it up: with thousands of callers, a call costs what it allocates.
    while (this.#newcomers.pop()) {}
  }

  #act({ waiter, entry, decision }: Match): void {
    const { matcher, queue, starts } = this.#deps;
    switch (decision.action) {
      case 'reuse': {
        const leaseClass = waiter.queuedIn?.leaseClass;
        if (waiter.request.onInstance) return this.instanceWaits.serve(waiter);
        const lease = leaseClass && this.#lend(leaseClass, waiter, waiter.stack);
        if (leaseClass === undefined || lease === undefined) return;
        queue.serve(waiter, lease);
        return starts.endUnneeded(leaseClass);
      }
      case 'spawn':
        try {
          return starts.start(entry, waiter, this.#changes);
        } catch (error) {
          return this.reject(waiter, error as PoolError);
        }
      case 'evict': {
        const victim = matcher.victim(entry, decision.from);
        return victim && void victim.stop(evictionReason(victim));
      }
      case 'end':
        return void decision.instance.stop(decision.reason);
      case 'refuse':
        return this.reject(waiter, decision.error);
    }
  }
}
