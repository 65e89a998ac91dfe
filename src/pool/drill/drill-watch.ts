import type { Alert } from '../../config/alert.js';
import type { HealthChange } from '../../health/health-events.js';
import { deferred } from '../../runtime/deferred.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import type { PoolEvents } from '../events.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { MCPServerPool } from '../mcp-server-pool.js';

/** Most alerts of a drill that a report has. */
const MOST_ALERTS = 20;

/** How the pool found the fault. */
export type DetectedBy = 'server:exited' | 'health:changed';

/** An alert that was raised during a drill. */
export type DrillAlert = Pick<Alert, 'kind' | 'severity' | 'subject'>;

/** What happens to an instance from the fault on, and when: by the events of the pool. */
export class DrillWatch {
  /** Resolves when the pool has found the fault. */
  readonly detected = deferred<void>();
  /** Resolves with the id of the instance that has taken over its leases. */
  readonly replaced = deferred<string>();
  /** Resolves with the reason when the pool ends it before it has found the fault, for another reason. */
  readonly endedBefore = deferred<EndReason>();
  /** The verdicts of the health monitor about it. */
  readonly health: Pick<HealthChange, 'to' | 'reason'>[] = [];
  readonly alerts: DrillAlert[] = [];
  /** How long the detection took, ms; undefined before. */
  detection: number | undefined;
  detectedBy: DetectedBy | undefined;
  /** Read anew each time: the clock of the pool stands still during a turn of the event loop, and some exits are seen in one. */
  readonly #begin = performance.now();
  /** When the pool began to end it. */
  #stoppingAt: number | undefined;
  readonly #ends: (() => void)[] = [];

  constructor(pool: MCPServerPool, { id }: PooledInstance) {
    const on = <K extends keyof PoolEvents>(event: K, listener: (payload: PoolEvents[K]) => void) => {
      pool.on(event, listener as never);
      this.#ends.push(() => pool.off(event, listener as never));
    };
    on('server:exited', ({ instanceId, unexpected }) => {
      if (instanceId === id && unexpected) this.#found('server:exited');
    });
    on('health:changed', (change) => {
      if (change.id !== id) return;
      this.health.push({ to: change.to, reason: change.reason });
      if (change.to === 'degraded' || change.to === 'unhealthy') this.#found('health:changed');
    });
    on('server:stopping', ({ instanceId, reason }) => {
      if (instanceId !== id) return;
      this.#stoppingAt ??= performance.now();
      if (this.detectedBy === undefined && END_MEANING[reason].asked) this.endedBefore.resolve(reason);
    });
    on('server:restarted', ({ previousInstanceId, instanceId }) => {
      if (previousInstanceId === id) this.replaced.resolve(instanceId);
    });
    on('alert:raised', ({ kind, severity, subject }) => {
      if (this.alerts.length < MOST_ALERTS) this.alerts.push({ kind, severity, subject });
    });
  }

  /** Since the fault, ms. */
  get elapsed(): number {
    return performance.now() - this.#begin;
  }

  /** Since the pool began to end the instance, ms. */
  get sinceStopping(): number {
    return performance.now() - (this.#stoppingAt ?? this.#begin);
  }

  /** Removes its listeners. */
  stop(): void {
    for (const end of this.#ends) end();
  }

  #found(by: DetectedBy): void {
    if (this.detectedBy !== undefined) return;
    this.detectedBy = by;
    this.detection = this.elapsed;
    this.detected.resolve();
  }
}
