import type { PoolError } from '../../errors.js';
import type { Limit } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { LeaseClass, OpenEntry } from '../instances/server-entry.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import { acquireTimeout, type WaitedFor } from '../refusals.js';
import type { StartTurns } from '../supervision/start-turns.js';
import type { AcquireQueue } from './acquire-queue.js';
import type { Matcher } from './matcher.js';
import type { Waiter } from './waiter.js';

export interface WaitReasonsDeps {
  readonly fleet: Fleet;
  readonly leaseEvents: LeaseEvents;
  readonly matcher: Matcher;
  readonly queue: AcquireQueue;
  readonly turns: StartTurns;
}

/** Why callers wait: for the events when a caller begins to wait, and for its error when its time is over. */
export class WaitReasons {
  readonly #deps: WaitReasonsDeps;

  constructor(deps: WaitReasonsDeps) {
    this.#deps = deps;
  }

  /** Emits the events of a caller that has to wait. */
  announce(waiter: Waiter): void {
    const { leaseEvents, matcher, queue } = this.#deps;
    const { name } = waiter;
    waiter.announced = true;
    leaseEvents.waiting(waiter, queue.callers);
    const limit = matcher.limitOf(waiter);
    if (limit === undefined) return;
    leaseEvents.limitReached({ name, limit, value: this.#valueOf(limit, name) });
  }

  #valueOf(limit: Limit, name: string): number {
    const { entries, gate, slots } = this.#deps.fleet;
    if (limit === 'memory') return gate.shortage?.limitMB ?? 0;
    if (limit === 'requires') return gate.preflight.unmet[0]?.required ?? 0;
    if (limit === 'maxInstancesPerTenant') return entries.get(name)?.definition?.maxInstancesPerTenant ?? 0;
    return limit === 'maxProcesses' ? slots.limit : (entries.get(name)?.definition?.maxInstances ?? 0);
  }

  /** The error of a caller that has waited for too long. */
  timeout(waiter: Waiter, entry: OpenEntry, after: number): PoolError {
    const { fleet, matcher, turns } = this.#deps;
    const limit = matcher.limitOf(waiter);
    const starts = limit === undefined ? waiter.queuedIn?.leaseClass.starts : undefined;
    const start = starts?.find(({ state }) => state === 'starting');
    const turnLimit = start !== undefined && turns.isWaiting(start) ? turns.limit : undefined;
    return acquireTimeout(waiter, entry, after, {
      starting: start?.errorData(),
      turnLimit,
      limit,
      shortage: fleet.gate.shortage,
      unmet: fleet.gate.preflight.unmet,
      isLooking: fleet.gate.preflight.isLooking,
      keptIdle: fleet.essential.idle,
      missing: waiter.queuedIn?.isBlocked ? fleet.gate.dependencies.missing(entry.name, waiter.tenant) : [],
      replaced: limit === undefined ? undefined : replacedIn(waiter.queuedIn?.leaseClass),
    });
  }
}

/** An instance that would have room for a caller of this class, and does not take it since it is being replaced. */
function replacedIn(leaseClass: LeaseClass | undefined): WaitedFor['replaced'] {
  for (const { sharing, state, retired, leasesStay, openRequests, leases } of leaseClass?.instances ?? [])
    if (sharing === 'shared' && state === 'ready' && retired !== undefined)
      return { reason: retired, left: leasesStay ? openRequests : leases, waitsFor: leasesStay ? 'request' : 'lease' };
  return undefined;
}
