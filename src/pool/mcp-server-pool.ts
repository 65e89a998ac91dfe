import { readLabel } from '../config/arguments.js';
import {
  type AcquireOptions,
  resolveAcquireOptions,
  resolveEndAllOptions,
  resolveShutdownOptions,
  resolveWarmOptions,
  type ShutdownOptions,
  type WarmOptions,
} from '../config/call-options.js';
import { callVariant } from '../config/call-variant.js';
import type { PoolOptions, ResolvedPoolOptions, SingleServerOptions } from '../config/options.js';
import { tap } from '../events.js';
import type { AlertEvents } from '../health/alerts/alert-events.js';
import type { AlertManager } from '../health/alerts/alert-manager.js';
import type { HealthEvents } from '../health/health-events.js';
import type { HealthMonitor } from '../health/health-monitor.js';
import type { AuditTrail } from '../monitor/audit/audit-trail.js';
import type { MonitorEvents } from '../monitor/monitor-events.js';
import type { ResourceMonitor } from '../monitor/resource-monitor.js';
import type { CleanupEvents, CleanupQueue } from '../process/cleanup-queue.js';
import type { ProcessRegistry } from '../process/process-registry.js';
import { deferred } from '../runtime/deferred.js';
import { Outbox } from '../runtime/outbox.js';
import { assertSignalsArrive, handleSignals, ignoreSignals } from '../runtime/signals.js';
import { stackAbove } from '../runtime/stack-above.js';
import { releaseScope } from './acquire/release-scope.js';
import type { LeaseRequest } from './acquire/waiter.js';
import { assemble, type PoolParts } from './assemble.js';
import { auditEvents } from './audit.js';
import { checkedOptions } from './checked-options.js';
import { DefinedServers } from './defined-servers.js';
import { type PoolDependencies, resolveDependencies } from './dependencies.js';
import {
  ALERT_EVENTS,
  CLEANUP_EVENTS,
  type EndReport,
  HEALTH_EVENTS,
  MONITOR_EVENTS,
  type PoolEvents,
  type ShutdownReport,
} from './events.js';
import { forgetGlobalPool, globalPool } from './global-pool.js';
import { alertsOfEvents } from './health/pool-alerts.js';
import { SPARE } from './instances/lease-scope.js';
import type { OpenEntry } from './instances/server-entry.js';
import type { PooledServer } from './leases/lease.js';
import { setParts } from './parts-of.js';
import { aborted, poolClosed } from './refusals.js';
import { END_ALL, SHUTDOWN, Shutdown } from './shutdown/shutdown.js';
import { traceEvents } from './trace.js';
import { warmScope } from './warm-scope.js';

/**
 * A pool of stdio MCP servers: gives out leases on running servers within hard budgets, and ends every process that it
 * started. Its events are {@link PoolEvents}.
 */
export class MCPServerPool extends DefinedServers {
  /** The processes that this pool has started and that are not proven dead. */
  readonly registry: ProcessRegistry;
  /** Ends process trees, a few at a time. */
  readonly cleanup: CleanupQueue;
  /** Measures what the servers of this pool and its host cost. */
  readonly monitor: ResourceMonitor;
  /** Finds out whether the servers of this pool answer. */
  readonly health: HealthMonitor;
  /** Alerts of what happens in this pool, or of what the host reports. */
  readonly alerts: AlertManager;
  readonly #options: ResolvedPoolOptions;
  readonly #parts: PoolParts;
  /** The request of a call without options: made once, since most calls have none. */
  readonly #plainRequest: LeaseRequest;
  readonly #audit: AuditTrail | undefined;
  #shutdown: { readonly procedure: Shutdown; readonly report: Promise<ShutdownReport> } | undefined;

  /**
   * The one pool of this process, or of this worker thread. Several copies of this package share it: the result may be the
   * pool of another copy, perhaps of another version, and then is no `instanceof` this class. Other defaults than for
   * `new MCPServerPool()`: `limits.maxProcesses` is `Infinity`, `cleanup.concurrency` is 50. After `shutdown()` the next call
   * makes a new one.
   * @param options only for the first call, which makes the pool. Default: none
   * @throws PoolError `INVALID_OPTIONS`, also when the pool exists already, since the options would be ignored;
   *   `NOT_SUPPORTED`
   */
  static global(options?: PoolOptions | SingleServerOptions): MCPServerPool {
    return globalPool(options, newPool);
  }

  /**
   * Starts no server, apart from those that `minIdle` asks for.
   * @param options the servers, limits and policies of the pool, or one server alone. Default: no server
   * @param dependencies for tests, and for servers that are not child processes. Default: none
   * @throws PoolError `INVALID_OPTIONS` with every problem in `data.problems`, also for wrong dependencies; `NOT_SUPPORTED` for
   *   an option that this version, this platform or a worker thread does not support
   */
  constructor(options: PoolOptions | SingleServerOptions = {}, dependencies: PoolDependencies = {}) {
    const outbox = new Outbox();
    super(outbox);
    this.#options = checkedOptions(options);
    if (this.#options.handleSignals) assertSignalsArrive();
    this.#parts = assemble(this.#options, resolveDependencies(dependencies), this, outbox);
    setParts(this, this.#parts);
    ({ registry: this.registry, cleanup: this.cleanup, monitor: this.monitor, alerts: this.alerts } = this.#parts);
    tap<CleanupEvents>(this.cleanup, CLEANUP_EVENTS, (event, payload) => this.forward(event, payload as never));
    tap<MonitorEvents>(this.monitor, MONITOR_EVENTS, (event, payload) =>
      this.forward(event as (typeof MONITOR_EVENTS)[number], payload as never),
    );
    this.health = this.#parts.poolHealth.monitor;
    tap<HealthEvents>(this.health, HEALTH_EVENTS, (event, payload) => this.forward(event, payload as never));
    tap<AlertEvents>(this.alerts, ALERT_EVENTS, (event, payload) => this.forward(event, payload as never));
    this.#plainRequest = { ...SPARE, timeout: this.#options.acquireTimeout, signal: undefined, reuseLease: false };
    if (this.#options.handleSignals) handleSignals(this);
    traceEvents(this);
    this.#audit = auditEvents(this, this.#options.audit, this.#parts.clock);
    if (this.#options.serviceLevels.enabled) this.#parts.serviceLevels.connect(this);
    if (this.#options.alerts.enabled) alertsOfEvents(this, this.#parts.alerts);
    this.#parts.scheduler.run(() => {});
  }

  /**
   * Leases a server: a free instance, an instance that is started for the call, or the next one that comes free. Callers
   * are served in the order of their calls. A pending call keeps the host alive; a lease does not.
   * @param name of the server. Default: the only server of the pool
   * @param options tenant and owner (not undefined: leave the key out), timeout in ms (default: `acquireTimeout` of the
   *   pool), signal, reuseLease; `env`, `args` and `cwd` where they differ from those of the definition
   * @returns the lease; always give it back with `release()`, `releaseServer()` or `await using`
   * @throws PoolError `ACQUIRE_TIMEOUT`, `ACQUIRE_ABORTED`, `QUEUE_FULL`, `POOL_CLOSED`, `UNKNOWN_SERVER`,
   *   `BREAKER_OPEN`, `INVALID_OPTIONS`, or the error because of which the server could not be started
   */
  getServer(name?: string, options?: AcquireOptions): Promise<PooledServer> {
    try {
      const entry = this.#parts.servers.find(name);
      const isPlain = options === undefined && entry.definition.perTenant === undefined;
      const request = isPlain ? this.#plainRequest : this.#request(entry, options);
      if (request.signal?.aborted) throw aborted(entry, 0, 'its signal was already aborted', request.signal.reason);
      const stack = this.#options.leakDetection > 0 ? stackAbove(this.getServer) : undefined;
      // Not an async function: its extra promise would let a caller learn of its lease after callers that were served later.
      if (request.reuseLease) return Promise.resolve(this.#parts.jointCalls.acquire(entry, request, stack));
      const lease = this.#parts.scheduler.acquire(entry, request, stack);
      return lease instanceof Promise ? lease : Promise.resolve(lease);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Releases a lease at once, for all of its holders.
   * @returns false when no lease has this id, for example because it has ended
   * @throws PoolError `INVALID_OPTIONS` when the id is no string
   */
  releaseServer(leaseId: string): boolean {
    const lease = this.#parts.leases.find(readLabel(leaseId, 'leaseId', 'releaseServer()'));
    return lease?.end(lease) ?? false;
  }

  /**
   * Releases all leases of an owner at once, rejects its waiting calls with `ACQUIRE_ABORTED`, and ends the idle instances
   * that only this owner could use (`reuse: 'owner'`). A first start goes on, since it serves any caller.
   * @returns the number of leases that were released
   * @throws PoolError `INVALID_OPTIONS` when the owner is missing: that would concern leases of callers that named none
   */
  releaseOwner(owner: string): number {
    readLabel(owner, 'owner', 'releaseOwner()');
    return this.#parts.scheduler.run(() => releaseScope('owner', owner, this.#parts));
  }

  /**
   * Releases all leases of a tenant at once, rejects its waiting calls with `ACQUIRE_ABORTED`, and ends its instances. A
   * first start goes on, since it serves any caller.
   * @returns the number of leases that were released
   * @throws PoolError `INVALID_OPTIONS` when the tenant is missing: that would concern what calls without a tenant share
   */
  releaseTenant(tenant: string): number {
    readLabel(tenant, 'tenant', 'releaseTenant()');
    const { breakers, order, scheduler } = this.#parts;
    return scheduler.run(() => {
      order.forget(tenant);
      const released = releaseScope('tenant', tenant, this.#parts);
      breakers.forgetTenant(tenant);
      return released;
    });
  }

  /**
   * Starts instances ahead of the first call, until `count` are idle or a limit is reached.
   * @param name of the server. Default: the only server of the pool
   * @param options `count` (default 1), and the tenant and owner for which the instances are started: the next caller may be
   *   another, and gets them, too; with `env`, `args` or `cwd` only calls with the same values do
   * @returns the number of idle instances that such a caller could get, when these starts are over
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, `INVALID_OPTIONS`; or, when no instance is idle, the error of the starts
   */
  async warm(name?: string, options: WarmOptions = {}): Promise<number> {
    const entry = this.#parts.servers.find(name);
    const { count, tenant, owner, ...values } = resolveWarmOptions(options);
    const scope = { tenant, owner, variant: callVariant(entry.definition, tenant, 'warm()', values) };
    return warmScope(entry, scope, count, this.#parts);
  }

  /**
   * Ends everything: waiting callers are rejected with `POOL_CLOSED`, requests in flight may finish, then every process tree
   * is ended and proven dead. A later call returns the report of the first one; with `mode: 'emergency'` it turns a graceful
   * shutdown into an emergency. A pending shutdown keeps the host alive.
   * @param options mode (default `graceful`), timeout and drainTimeout in ms (default `shutdownTimeout` and 5,000)
   * @returns the report, when every tree is proven dead or given up
   * @throws PoolError `INVALID_OPTIONS`
   */
  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownReport> {
    const resolved = this.#withTimeout(resolveShutdownOptions(options));
    const { keepAlive, scheduler } = this.#parts;
    if (this.#shutdown === undefined) {
      this.#parts.life.state = 'draining';
      forgetGlobalPool(this);
      const procedure = new Shutdown(this.#parts, SHUTDOWN);
      // Set before it begins, since a client that is closed may call shutdown() again.
      const { promise, resolve } = deferred<ShutdownReport>();
      this.#shutdown = { procedure, report: keepAlive.during(promise) };
      resolve(scheduler.run(() => this.#close(procedure, resolved)));
    } else if (resolved.mode === 'emergency') {
      const { procedure } = this.#shutdown;
      scheduler.run(() => procedure.hurry());
      void this.#parts.resolver.stop(poolClosed(), 'emergency');
    }
    return this.#shutdown.report;
  }

  /**
   * Ends every process tree that the pool has now, with its leases (`SERVER_STOPPED`), as `shutdown()` does; but the pool stays
   * open: waiting callers wait on, and they and later callers get servers that are started anew. It keeps the host alive.
   * @param options as those of `shutdown()`
   * @returns the report, when every tree is proven dead or given up
   * @throws PoolError `INVALID_OPTIONS`
   */
  async endAll(options: ShutdownOptions = {}): Promise<EndReport> {
    const { keepAlive, scheduler } = this.#parts;
    const resolved = this.#withTimeout(resolveEndAllOptions(options));
    return (
      this.#shutdown?.report ?? keepAlive.during(scheduler.run(() => new Shutdown(this.#parts, END_ALL).run(resolved)))
    );
  }

  /** For `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #request({ definition }: OpenEntry, options: AcquireOptions = {}): LeaseRequest {
    const resolved = resolveAcquireOptions(options);
    const { tenant, owner, timeout = this.#options.acquireTimeout, signal, reuseLease } = resolved;
    const variant = callVariant(definition, tenant, 'getServer()', resolved);
    return { tenant, owner, variant, timeout, signal, reuseLease };
  }

  #withTimeout<O extends { readonly timeout: number | undefined }>(options: O) {
    return { ...options, timeout: options.timeout ?? this.#options.shutdownTimeout };
  }

  async #close(procedure: Shutdown, options: Parameters<Shutdown['run']>[0]): Promise<ShutdownReport> {
    const { alerts, host, keepAlive, monitor, poolHealth, resolver, scheduler, serviceLevels } = this.#parts;
    this.emit('pool:draining', { mode: options.mode });
    const rejected = scheduler.close();
    const npm = resolver.stop(poolClosed(), options.mode);
    const report = { ...(await procedure.run(options)), rejected };
    await npm;
    await host.end();
    this.#parts.life.state = 'closed';
    ignoreSignals(this);
    monitor.stop();
    poolHealth.stop();
    serviceLevels.stop();
    alerts.close();
    scheduler.stop();
    keepAlive.dispose();
    this.emit('pool:closed', report);
    if (this.#audit) await this.#audit.close();
    return report;
  }
}

/** Not in the class: the built package renames a class that names itself. */
const newPool = (options: PoolOptions | SingleServerOptions) => new MCPServerPool(options);
