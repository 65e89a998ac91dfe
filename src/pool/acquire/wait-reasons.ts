import type { PoolError } from '../../errors.js';
import type { Fleet } from '../instances/fleet.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import { acquireTimeout } from '../refusals.js';
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
    const { fleet, leaseEvents, matcher, queue } = this.#deps;
    const { name } = waiter;
    waiter.announced = true;
    leaseEvents.waiting(waiter, queue.size);
    const limit = matcher.limitOf(waiter);
    if (limit === undefined) return;
    const maxInstances = fleet.entries.get(name)?.definition?.maxInstances ?? 0;
    leaseEvents.limitReached({ name, limit, value: limit === 'maxInstances' ? maxInstances : fleet.slots.limit });
  }

  /** The error of a caller that has waited for too long. */
  timeout(waiter: Waiter, entry: OpenEntry, after: number): PoolError {
    const { matcher, turns } = this.#deps;
    const limit = matcher.limitOf(waiter);
    const starts = limit === undefined ? waiter.queuedIn?.leaseClass.starts : undefined;
    const start = starts?.find(({ state }) => state === 'starting');
    const turnLimit = start !== undefined && turns.isWaiting(start) ? turns.limit : undefined;
    return acquireTimeout(waiter, entry, after, { starting: start?.errorData(), turnLimit, limit });
  }
}
