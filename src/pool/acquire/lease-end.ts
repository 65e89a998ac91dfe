import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { SessionEnd } from '../../protocol/session.js';
import type { Clock } from '../../runtime/clock.js';
import { deferred } from '../../runtime/deferred.js';
import type { Fleet } from '../instances/fleet.js';
import type { IdleWatch } from '../instances/idle-watch.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { whyNotAgain } from '../instances/reuse.js';
import type { LeaseClass } from '../instances/server-entry.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import type { Starts } from './starts.js';

export interface LeaseEndDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly idleWatch: IdleWatch;
  readonly leaseEvents: LeaseEvents;
  readonly leases: LeaseManager;
  readonly starts: Starts;
}

type ProcessEnd = Promise<CleanupReport | undefined> | undefined;

/** Ends leases, and decides what becomes of their instances: idle for the next lease, tested before that, or ended. */
export class LeaseEnd {
  readonly #deps: LeaseEndDeps;

  constructor(deps: LeaseEndDeps) {
    this.#deps = deps;
  }

  /** Ends a lease, and sets its outcome. */
  end(lease: Lease, end: SessionEnd): void {
    let outcome: ProcessEnd;
    try {
      outcome = this.#end(lease, end);
    } finally {
      // After a fault, too: its `ended` must settle.
      lease.setOutcome(outcome);
    }
  }

  /** Returns the end of the process, if that ends with the lease. */
  #end(lease: Lease, end: SessionEnd): ProcessEnd {
    const { clock, fleet, leaseEvents, leases, starts } = this.#deps;
    const { instance } = lease;
    const now = clock.now();
    // A shared server stays usable: the multiplexer cancels the open requests of the session.
    const isUnfinished = instance.sharing !== 'shared' && lease.openRequests > 0;
    leases.remove(lease);
    lease.closeSession(end);
    const isLast = instance.leases === 0;
    leaseEvents.released(lease, now);
    if (instance.state === 'starting') {
      const leaseClass = fleet.classOf(instance);
      if (!isLast || leaseClass === undefined) return undefined;
      // Callers of other classes may have its slot, if none of its own waits.
      fleet.changed(leaseClass);
      starts.endUnneeded(leaseClass);
      return undefined;
    }
    // A shutdown ends the instances itself after their leases, with its own mode and reason.
    if (isLast && !fleet.isOpen) instance.remember(lease);
    if (instance.state !== 'ready' || !fleet.isOpen) return instance.ended;
    if (!isLast) return undefined;
    const reason = isUnfinished ? 'unfinished' : whyNotAgain(instance, now);
    if (reason !== undefined) {
      instance.remember(lease);
      return instance.stop(reason);
    }
    return this.#handOn(instance, lease, now);
  }

  /** The instance may serve the next lease, but not any: see `giveUpGrace`. */
  #handOn(instance: PooledInstance, lease: Lease, now: number): ProcessEnd {
    const { fleet, idleWatch } = this.#deps;
    const { tenant, owner } = lease;
    const isReserved = instance.sharing !== 'shared' && instance.givenUp?.any === true;
    instance.reservedFor = isReserved ? { tenant, owner } : undefined;
    const leaseClass = isReserved && instance.mustBeTested ? fleet.classOf(instance) : undefined;
    if (leaseClass) return this.#test(instance, lease, leaseClass);
    if (isReserved) instance.givenUp?.expireOwn();
    idleWatch.park(instance, now);
    return undefined;
  }

  /** Keeps an instance from callers until it has shown that it is not stuck, and has a place for each request. */
  #test(instance: PooledInstance, lease: Lease, leaseClass: LeaseClass): ProcessEnd {
    const { clock, fleet, idleWatch } = this.#deps;
    const ended = deferred<CleanupReport | undefined>();
    fleet.addSeat(leaseClass, instance);
    instance.test((isFit) => {
      if (!isFit || instance.state !== 'ready') {
        // When it ends meanwhile, this is its end.
        instance.remember(lease);
        return ended.resolve(instance.stop('unfinished'));
      }
      instance.givenUp?.expireOwn();
      fleet.removeStart(instance);
      idleWatch.park(instance, clock.now());
      ended.resolve(undefined);
    });
    return ended.promise;
  }
}
