import type { ResolvedServiceLevels } from '../../config/service-level-options.js';
import type { PoolErrorCode } from '../../errors.js';
import { type SafeEmitter, tap } from '../../events.js';
import type { HealthStatus } from '../../health/health-status.js';
import type { ServiceLevelReport } from '../../health/service-levels/service-level.js';
import { type RequestResult, ServiceLevels } from '../../health/service-levels/service-levels.js';
import { isAtLeast } from '../../monitor/level.js';
import type { MonitorEvents } from '../../monitor/monitor-events.js';
import type { MonitorLoop } from '../../monitor/monitor-loop.js';
import type { RequestOutcome } from '../../protocol/request-observer.js';
import { BoundedMap } from '../../runtime/bounded-map.js';
import type { Clock, Timer } from '../../runtime/clock.js';
import { wasEndedForFailure } from '../../server/end-reason.js';
import type { PoolEvents, ServerEvent } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { ServerEntry } from '../instances/server-entry.js';
import type { CallerObserver, LeaseEvents } from '../leases/lease-events.js';
import type { PoolCounts } from '../metrics.js';
import { AnswerBatch } from './answer-batch.js';
import type { RequestTally, RequestWatch } from './request-watch.js';

export interface ServiceLevelFeedDeps {
  readonly clock: Clock;
  readonly counts: Readonly<PoolCounts>;
  readonly fleet: Fleet;
  readonly leases: { readonly size: number };
  readonly queue: { readonly size: number };
  readonly leaseEvents: LeaseEvents;
  readonly requests: RequestWatch;
  readonly monitor: SafeEmitter<MonitorEvents>;
  readonly monitorLoop: MonitorLoop;
}

type Handlers = { readonly [K in keyof PoolEvents]?: (payload: PoolEvents[K]) => void };

/** Time between two looks at what no event tells, ms; also between two decisions on what is breached. */
const LOOK_EVERY = 10_000;
/** Instances that have failed, that a drill has broken, and that live. */
const MOST_REMEMBERED = 10_000;

/** What the host has asked for, or done wrong: such a call of `getServer()` counts for nothing. */
const OF_THE_HOST = new Set<PoolErrorCode>([
  'ACQUIRE_ABORTED',
  'INVALID_OPTIONS',
  'NOT_SUPPORTED',
  'POOL_CLOSED',
  'SERVER_STOPPED',
  'UNKNOWN_SERVER',
]);

/**
 * Errors that say that the request was wrong: the server works. −32002: there is no such resource; −32042: the user must open a
 * URL first.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/server/resources#error-handling
 */
const FAULTS_OF_REQUESTS = new Set<number | undefined>([-32_700, -32_600, -32_601, -32_602, -32_002, -32_042]);

/**
 * Tells the service levels of a pool what happens in it. The path of a call that finds a free instance has no line for it: such
 * calls are counted from time to time, by the counts that there are anyway.
 */
export class ServiceLevelFeed implements CallerObserver, RequestTally {
  readonly #deps: ServiceLevelFeedDeps;
  readonly #levels: ServiceLevels;
  /** Undefined while it is not connected: then nothing is counted. */
  #pool: SafeEmitter<PoolEvents> | undefined;
  /** Instance → clock time at which it failed. */
  readonly #failed = new BoundedMap<number>(MOST_REMEMBERED);
  /** Instances that a drill has broken. */
  readonly #drilled = new BoundedMap<true>(MOST_REMEMBERED);
  /** Instances that were ready, and are not dead yet. */
  readonly #living = new BoundedMap<true>(MOST_REMEMBERED);
  /** Leases that were given out when it was looked last: all, and those of each server. */
  #acquired = 0;
  readonly #uses = new WeakMap<ServerEntry, number>();
  /** Those that callers have waited for since then, by server. */
  readonly #waited = new Map<string, number>();
  readonly #answers = new AnswerBatch((now, name, duration, times) =>
    this.#levels.requestDone(now, name, 'answered', duration, times),
  );
  /** The least number of callers that waited since then. */
  #leastWaiting = Infinity;
  #timer: Timer | undefined;
  #isStopped = false;

  readonly #handlers: Handlers = {
    'server:starting': () => this.#wake(),
    'server:ready': ({ name, instanceId, duration }) => {
      this.#living.set(instanceId, true);
      this.#levels.took(this.#now, name, 'startup', duration);
    },
    'drill:started': ({ instanceId }) => void this.#drilled.set(instanceId, true),
    'server:exited': (event) => {
      if (event.unexpected) this.#fails(event);
    },
    'server:stopping': (event) => {
      if (wasEndedForFailure(event.reason)) this.#fails(event);
    },
    'server:restarted': ({ name, previousInstanceId }) => {
      const since = this.#failed.get(previousInstanceId);
      // Unknown where the host, a drill or a limit has asked for it.
      if (since !== undefined) this.#levels.took(this.#now, name, 'restart', this.#now - since);
    },
    'server:stopped': ({ instanceId }) => void this.#living.delete(instanceId),
    'health:changed': ({ id, name, from, to, silent }) => {
      // What the host has added to the monitor is no server of the pool.
      if (!this.#has(id)) return;
      const wasWell = from === undefined || isWell(from);
      if (wasWell && !isWell(to)) this.#levels.took(this.#now, name, 'detection', silent);
    },
    'cleanup:finished': ({ name, duration }) => this.#levels.took(this.#now, name, 'shutdown', duration),
    'cleanup:failed': ({ name, duration }) => this.#levels.took(this.#now, name, 'shutdown', duration),
    'pool:closed': ({ duration }) => this.#levels.took(this.#now, undefined, 'shutdown', duration),
    'limit:exceeded': ({ kind, name, instanceId }) => {
      // A tree that the host has added to the monitor is no server of the pool.
      if (instanceId !== undefined && !this.#has(instanceId)) return;
      const isPressure = kind === 'total-memory' || kind === 'host-memory';
      this.#levels.happened(this.#now, name, isPressure ? 'pressure' : 'violations');
    },
    'level:changed': ({ from, to, by }) => {
      if (isAtLeast(from, to)) return;
      if (by === 'memory') this.#levels.happened(this.#now, undefined, 'pressure');
      else if (isAtLeast(to, 'critical')) this.#levels.happened(this.#now, undefined, 'violations');
    },
    'alert:raised': ({ severity }) => {
      // No tier is told of the others.
      if (severity !== 'info') this.#levels.happened(this.#now, undefined, 'alerts');
    },
  };

  constructor({ targets }: Pick<ResolvedServiceLevels, 'targets'>, deps: ServiceLevelFeedDeps) {
    this.#deps = deps;
    this.#levels = new ServiceLevels(targets, (name) => deps.fleet.entries.has(name));
  }

  /** Counts what happens in the pool from now on. A host cannot switch it off by `removeAllListeners()`. */
  connect(pool: SafeEmitter<PoolEvents>): void {
    const { leaseEvents, monitor, requests } = this.#deps;
    this.#pool = pool;
    tap(pool, Object.keys(this.#handlers) as (keyof PoolEvents)[], (event, payload) =>
      this.#handlers[event]?.(payload as never),
    );
    tap<MonitorEvents>(monitor, ['sample:taken'], () => this.#sampled());
    leaseEvents.observe(this);
    requests.count(this);
  }

  report(): ServiceLevelReport {
    this.#collect();
    return this.#levels.report(this.#now);
  }

  /** Looks no more. What comes after it is counted, for a last report. */
  stop(): void {
    this.#collect();
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  // As CallerObserver.

  callerWaits(): void {
    this.#wake();
  }

  callerServed(name: string, waited: number): void {
    this.#waited.set(name, (this.#waited.get(name) ?? 0) + 1);
    this.#levels.called(this.#now, name, waited);
    this.#leastWaiting = Math.min(this.#leastWaiting, this.#deps.queue.size);
  }

  callerRejected(name: string, code: PoolErrorCode): void {
    if (!OF_THE_HOST.has(code)) this.#levels.refused(this.#now, name);
    this.#leastWaiting = Math.min(this.#leastWaiting, this.#deps.queue.size);
    this.#wake();
  }

  // As RequestTally.

  answered(name: string, since: number, now: number): void {
    this.#answers.add(name, since, now);
  }

  ended(name: string, since: number, now: number, outcome: RequestOutcome, error: number | undefined): void {
    const result = resultOf(outcome, error);
    if (result) this.#levels.requestDone(now, name, result, now - since);
  }

  /** One that was ready: a start that fails is no restart. */
  #fails({ name, instanceId }: ServerEvent): void {
    if (!this.#living.has(instanceId) || this.#drilled.has(instanceId) || this.#failed.has(instanceId)) return;
    this.#failed.set(instanceId, this.#now);
    this.#levels.happened(this.#now, name, 'restarts');
  }

  /** What each tree of the pool uses, by the sample that was taken just now. */
  #sampled(): void {
    for (const { name, memoryMB } of this.#deps.monitorLoop.counted) this.#levels.memory(this.#now, name, memoryMB);
  }

  get #now(): number {
    return this.#deps.clock.now();
  }

  /** From now on it looks again and again, until no server lives, no caller waits and nothing is breached. */
  #wake(): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    this.#timer = this.#deps.clock.after(LOOK_EVERY, () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    const { fleet, leases, queue } = this.#deps;
    this.#collect();
    this.#levels.load(this.#now, leases.size, Math.min(this.#leastWaiting, queue.size));
    this.#leastWaiting = queue.size;
    for (const { to, event } of this.#levels.evaluate(this.#now)) this.#pool?.emit(`service-level:${to}`, event);
    const isIdle = fleet.instances().next().done === true && queue.size === 0;
    if (!isIdle || this.#levels.isBreached) this.#wake();
  }

  /**
   * Counts the requests that were answered last, and the leases that no caller has waited for. Those of a server that was removed
   * meanwhile count for the pool only.
   */
  #collect(): void {
    this.#answers.flush();
    if (this.#pool === undefined) return;
    const { counts, fleet } = this.#deps;
    const now = this.#now;
    let left = counts.acquired - this.#acquired;
    this.#acquired = counts.acquired;
    for (const waited of this.#waited.values()) left -= waited;
    for (const entry of fleet.entries.values()) {
      const { name, uses } = entry;
      const atOnce = uses - (this.#uses.get(entry) ?? 0) - (this.#waited.get(name) ?? 0);
      this.#uses.set(entry, uses);
      if (atOnce <= 0) continue;
      this.#levels.called(now, name, 0, atOnce);
      left -= atOnce;
    }
    this.#waited.clear();
    if (left > 0) this.#levels.called(now, undefined, 0, left);
  }

  #has(instanceId: string): boolean {
    for (const { id } of this.#deps.fleet.instances()) if (id === instanceId) return true;
    return false;
  }
}

/** Undefined for what counts for nothing. */
export function resultOf(outcome: RequestOutcome, errorCode: number | undefined): RequestResult | undefined {
  switch (outcome) {
    case 'ok':
    // The tool says it to the model, which may go on: the server works.
    case 'tool-error':
      return 'answered';
    case 'error':
      return FAULTS_OF_REQUESTS.has(errorCode) ? 'answered' : 'failed';
    case 'lost':
    case 'timeout':
      return 'lost';
    case 'cancelled':
      return undefined;
  }
}

function isWell(status: HealthStatus): boolean {
  return status === 'healthy' || status === 'busy';
}
