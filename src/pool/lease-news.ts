import type { PoolError } from '../errors.js';
import type { Lease } from './lease.js';
import type { LeaseEvent, News, PoolEvents, QueueEvent } from './pool-events.js';
import type { PoolMetrics } from './status.js';
import type { Waiter } from './wait-queue.js';

/** Tells of leases and of those who wait for one, and counts them. Times are ms, rounded. */
export class LeaseNews {
  readonly #news: News;
  readonly #metrics: PoolMetrics;

  constructor(news: News, metrics: PoolMetrics) {
    this.#news = news;
    this.#metrics = metrics;
  }

  waiting(waiter: Waiter, waiting: number): void {
    this.#news.emit('queue:waiting', { ...queueEvent(waiter), waiting });
  }

  limitReached(reached: PoolEvents['limit:reached']): void {
    this.#news.emit('limit:reached', reached);
  }

  served(waiter: Waiter, waited: number): void {
    if (waiter.announced) this.#news.emit('queue:served', { ...queueEvent(waiter), waited: Math.round(waited) });
  }

  rejected(waiter: QueueEvent, waited: number, { code }: PoolError): void {
    this.#metrics.rejected += 1;
    this.#news.emit('queue:rejected', { ...queueEvent(waiter), waited: Math.round(waited), code });
  }

  acquired(lease: Lease, waited: number): void {
    this.#metrics.acquired += 1;
    // On the warm path an event that nobody hears would cost more than the lease.
    if (!this.#news.hasListener('lease:acquired')) return;
    this.#news.emit('lease:acquired', { ...leaseEvent(lease), waited: Math.round(waited) });
  }

  moved(lease: Lease, previousInstanceId: string): void {
    if (!this.#news.hasListener('lease:moved')) return;
    this.#news.emit('lease:moved', { ...leaseEvent(lease), previousInstanceId });
  }

  released(lease: Lease, now: number): void {
    this.#metrics.released += 1;
    if (!this.#news.hasListener('lease:released')) return;
    this.#news.emit('lease:released', { ...leaseEvent(lease), held: Math.round(now - lease.acquiredAt) });
  }

  reclaimed(lease: Lease, now: number): void {
    this.#metrics.reclaimed += 1;
    const held = Math.round(now - lease.acquiredAt);
    const silent = Math.round(now - lease.lastActivity);
    this.#news.emit('lease:reclaimed', { ...leaseEvent(lease), held, silent });
  }

  leaked(lease: Lease, held: number): void {
    this.#metrics.leaked += 1;
    this.#news.emit('lease:leaked', { ...leaseEvent(lease), held: Math.round(held), stack: lease.stack });
  }
}

function leaseEvent({ id, name, instanceId, tenant, owner }: Lease): LeaseEvent {
  return { leaseId: id, name, instanceId, tenant, owner };
}

function queueEvent({ name, tenant, owner }: QueueEvent): QueueEvent {
  return { name, tenant, owner };
}
