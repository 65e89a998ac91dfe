import type { Channel } from 'node:diagnostics_channel';
import type { PoolError, PoolErrorCode } from '../../errors.js';
import { channelOf } from '../event-channels.js';
import type { LeaseEvent, PoolEmitter, PoolEvents, QueueEvent } from '../events.js';
import type { PoolCounts } from '../metrics.js';
import type { Lease } from './lease.js';

/** Learns of callers that do not find a free instance. Must not throw, and must be cheap. */
export interface CallerObserver {
  callerWaits(): void;
  /** @param waited ms, without the start of the instance that it got */
  callerServed(name: string, waited: number): void;
  callerRejected(name: string, code: PoolErrorCode): void;
}

const WAITING = channelOf('queue:waiting');
const SERVED = channelOf('queue:served');
const ACQUIRED = channelOf('lease:acquired');
const MOVED = channelOf('lease:moved');
const RELEASED = channelOf('lease:released');

/**
 * Emits and counts the events of leases and of waiting callers. Times are ms, rounded. A payload is made only if the event has
 * a listener or a subscriber: it would cost more than a warm lease.
 */
export class LeaseEvents {
  readonly #emitter: PoolEmitter;
  readonly #counts: PoolCounts;
  #observer: CallerObserver | undefined;

  constructor(emitter: PoolEmitter, counts: PoolCounts) {
    this.#emitter = emitter;
    this.#counts = counts;
  }

  /** Has the observer called, whether a host listens or not. */
  observe(observer: CallerObserver): void {
    this.#observer = observer;
  }

  waiting(caller: QueueEvent, waiting: number): void {
    this.#observer?.callerWaits();
    if (this.#isHeard('queue:waiting', WAITING))
      this.#emitter.emit('queue:waiting', { ...queueEvent(caller), waiting });
  }

  limitReached(reached: PoolEvents['limit:reached']): void {
    this.#emitter.emit('limit:reached', reached);
  }

  /** @param forStart how much of it the instance was started, ms */
  served(caller: QueueEvent, waited: number, forStart: number): void {
    this.#observer?.callerServed(caller.name, Math.max(0, waited - forStart));
    if (this.#isHeard('queue:served', SERVED)) this.#emitter.emit('queue:served', { ...queueEvent(caller), waited });
  }

  rejected(caller: QueueEvent, waited: number, { code }: PoolError): void {
    this.#counts.rejected += 1;
    this.#observer?.callerRejected(caller.name, code);
    // Always: it is rare, and not only listeners of the host hear it.
    this.#emitter.emit('queue:rejected', { ...queueEvent(caller), waited, code });
  }

  acquired(lease: Lease, waited: number): void {
    this.#counts.acquired += 1;
    if (this.#isHeard('lease:acquired', ACQUIRED))
      this.#emitter.emit('lease:acquired', { ...leaseEvent(lease), waited });
  }

  moved(lease: Lease, previousInstanceId: string): void {
    if (this.#isHeard('lease:moved', MOVED))
      this.#emitter.emit('lease:moved', { ...leaseEvent(lease), previousInstanceId });
  }

  released(lease: Lease, now: number): void {
    this.#counts.released += 1;
    const leaked = lease.isLeakReported;
    // What was reported as leaked ends here, whether a host listens or not.
    if (!leaked && !this.#isHeard('lease:released', RELEASED)) return;
    this.#emitter.emit('lease:released', { ...leaseEvent(lease), held: Math.round(now - lease.acquiredAt), leaked });
  }

  reclaimed(lease: Lease, now: number): void {
    this.#counts.reclaimed += 1;
    const held = Math.round(now - lease.acquiredAt);
    const silent = Math.round(now - lease.lastActivity);
    this.#emitter.emit('lease:reclaimed', { ...leaseEvent(lease), held, silent });
  }

  leaked(lease: Lease, now: number): void {
    this.#counts.leaked += 1;
    const held = Math.round(now - lease.acquiredAt);
    this.#emitter.emit('lease:leaked', { ...leaseEvent(lease), held, stack: lease.stack });
  }

  #isHeard(event: keyof PoolEvents, channel: Channel): boolean {
    return channel.hasSubscribers || this.#emitter.listenerCount(event) > 0;
  }
}

function leaseEvent({ id, name, instanceId, tenant, owner }: Lease): LeaseEvent {
  return { leaseId: id, name, instanceId, tenant, owner };
}

function queueEvent({ name, tenant, owner }: QueueEvent): QueueEvent {
  return { name, tenant, owner };
}
