import { readFunction } from '../config/arguments.js';
import {
  type PlanMode,
  type PlanOptions,
  resolvePlanOptions,
  resolveWaitOptions,
  type WaitOptions,
} from '../config/call-options.js';
import { rethrow } from '../errors.js';
import { SafeEmitter } from '../events.js';
import type { ServiceLevelReport } from '../health/service-levels/service-level.js';
import { isPublished, publishEvent } from './event-channels.js';
import { POOL_EVENTS } from './event-names.js';
import type { AnyPoolEvent, PoolEvents } from './events.js';
import type { PoolMetrics } from './metrics.js';
import { metricsOf } from './monitoring/figures.js';
import { partsOf } from './parts-of.js';
import { type PoolPlan, planOf } from './shutdown/plan.js';
import { type PoolStatus, statusOf, summaryOf } from './status.js';
import { waitFor } from './wait-for.js';

/** What a host can see of a pool. Nothing here changes it. */
export abstract class ObservedPool extends SafeEmitter<PoolEvents> {
  /**
   * Waits for an event, and keeps the host alive until then; a listener alone does not.
   * @param event its name
   * @param options `filter`: which payloads count (default: all); `timeout` in ms (default: `Infinity`); `signal`
   * @returns the payload
   * @throws PoolError `WAIT_TIMEOUT`, `WAIT_ABORTED`, `INVALID_OPTIONS`; `POOL_CLOSED` when the pool is closed before that;
   *   or what `filter` throws
   */
  async waitFor<K extends keyof PoolEvents>(
    event: K,
    options: WaitOptions<PoolEvents[K]> = {},
  ): Promise<PoolEvents[K]> {
    const { clock, keepAlive, life } = partsOf(this);
    const isClosed = life.state === 'closed';
    const waiting = waitFor(this, event, resolveWaitOptions(options), { clock, isClosed });
    return rethrow(keepAlive.during(waiting));
  }

  /**
   * Calls `listener` with the name and the payload of each event, for a log. What it throws or rejects with is reported as that
   * of any listener: `listener:error`. {@link POOL_EVENTS} lists the names.
   * @returns a function that removes the listener
   * @throws PoolError `INVALID_OPTIONS` when it is no function
   */
  onAny(listener: (...event: AnyPoolEvent) => unknown): () => void;
  /** For a listener of names alone. */
  onAny(listener: (event: keyof PoolEvents) => unknown): () => void;
  onAny(listener: (event: never, payload: never) => unknown): () => void {
    readFunction(listener, 'the listener', 'onAny()');
    const removals = POOL_EVENTS.map((event) => {
      const listen = ((payload: never) => listener(event as never, payload)) as never;
      this.on(event, listen);
      return () => this.off(event, listen);
    });
    return () => {
      for (const remove of removals) remove();
    };
  }

  /** The servers, instances, leases and callers of the pool now: a copy. */
  status(): PoolStatus {
    const parts = partsOf(this);
    const pids = new Set(parts.registry.list().map(({ pid }) => pid));
    return statusOf(parts, parts.host.containment(pids));
  }

  override toJSON(): object {
    return summaryOf(partsOf(this));
  }

  /** Counts since the pool was made, and figures of the last sample: a copy, which does not change. */
  metrics(): PoolMetrics {
    return metricsOf(partsOf(this));
  }

  /**
   * What is expected of the pool and of each server, what it was, and what is left of the budget: a copy. It has no samples where
   * `serviceLevels.enabled` is false. It costs about 0.1 ms for each server.
   */
  serviceLevels(): ServiceLevelReport {
    return partsOf(this).serviceLevels.report();
  }

  /**
   * A dry run: what the pool would end now, why, in which order, by which steps, and the processes concerned. It sends no
   * signal, changes no state and emits no event. It reads the process table of the machine once for each tree.
   * @param mode `shutdown`: a graceful `shutdown()`; `emergency`: one that kills at once; `reclaim`: all that could make room;
   *   `level`: what a level would end, by the last sample; `restart`: what `restartAll()` would replace or end
   * @param options `level`: which (default `critical`)
   * @throws PoolError `INVALID_OPTIONS`; the error of the system when processes cannot be listed (EMFILE)
   */
  plan(mode: PlanMode, options: PlanOptions = {}): PoolPlan {
    const parts = partsOf(this);
    return planOf(resolvePlanOptions(mode, options), { ...parts, now: parts.clock.now() });
  }

  protected override isTapped(event: PropertyKey): boolean {
    return isPublished(event) || super.isTapped(event);
  }

  protected override tell(event: PropertyKey, payload: unknown): void {
    publishEvent(this, event, payload);
    super.tell(event, payload);
  }
}
