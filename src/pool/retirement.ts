import type { Clock } from '../runtime/clock.js';
import type { KeepAlive } from '../runtime/keep-alive.js';
import type { EndReason } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { Failover } from './failover.js';
import type { LeaseDesk } from './lease-desk.js';
import type { WaitingCallers } from './waiting-callers.js';

/** How long a shared instance that is replaced may take to finish what it has, unless the host says less, ms. */
const REPLACEMENT_TIMEOUT = 30_000;

export interface RetirementParts {
  readonly clock: Clock;
  readonly hold: KeepAlive;
  readonly desk: LeaseDesk;
  readonly waiting: WaitingCallers;
  readonly failover: Failover;
}

/**
 * Takes instances out of service: those that nobody uses end, shared ones are replaced under their leases, the others end
 * with their leases, which are taken back after a time.
 */
export class Retirement {
  readonly #parts: RetirementParts;

  constructor(parts: RetirementParts) {
    this.#parts = parts;
  }

  /** Resolves when all have ended. Holds the host open for what ends in bounded time, not for a lease that may last for ever. */
  async retire(instances: readonly ServerInstance[], reason: EndReason, timeout: number): Promise<void> {
    const { clock, desk, waiting, failover } = this.#parts;
    // What was spawned to take the place of another is fresh.
    const isFresh = (instance: ServerInstance) => instance.pid !== undefined && failover.isNext(instance);
    const old = instances.filter((instance) => reason !== 'restart' || !isFresh(instance));
    // All are marked before the first one ends: a listener to that end must not be given an old one.
    for (const instance of old) instance.retired ??= reason;
    const ends = old.map((instance) => this.#end(instance, reason, timeout));
    const why = `its server was ${reason}, and the drain timeout of ${timeout} ms is over`;
    const takeBack = () => {
      const staying = old.filter((instance) => !failover.canMove(instance));
      for (const lease of staying.flatMap((instance) => desk.leasesOf(instance))) desk.reclaim(lease, why);
    };
    const timer = timeout < Infinity ? clock.after(timeout, takeBack) : undefined;
    waiting.settle();
    // One that fails does not keep the others from being waited for.
    const outcomes = await Promise.allSettled(ends);
    timer?.cancel();
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  #end(instance: ServerInstance, reason: EndReason, timeout: number): Promise<unknown> {
    const { hold, failover } = this.#parts;
    const moves = instance.leases > 0 && reason !== 'removed' && failover.canMove(instance);
    if (moves || failover.isReplaced(instance)) {
      return hold.during(failover.replace(instance, reason, Math.min(timeout, REPLACEMENT_TIMEOUT)));
    }
    const isFree = instance.leases === 0;
    const end = isFree ? instance.stop(reason) : instance.ended;
    return isFree || timeout < Infinity ? hold.during(end) : end;
  }
}
