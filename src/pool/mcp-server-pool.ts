import {
  type AcquireOptions,
  type DrainOptions,
  type PlanMode,
  resolveAcquireOptions,
  resolveDrainOptions,
  resolvePlanOptions,
  resolveShutdownOptions,
  resolveWarmOptions,
  type ShutdownOptions,
  type WarmOptions,
} from '../config/call-options.js';
import type { PoolOptions, ResolvedPoolOptions, ServerDefinition, SingleServerOptions } from '../config/options.js';
import { resolvePoolOptions } from '../config/resolve-options.js';
import { SafeEmitter } from '../events.js';
import type { CleanupQueue } from '../process/cleanup-queue.js';
import type { ProcessRegistry } from '../process/process-registry.js';
import { debug } from '../runtime/debug.js';
import { deferred } from '../runtime/deferred.js';
import { Outbox } from '../runtime/outbox.js';
import type { LeaseRequest } from './acquire/waiter.js';
import { assemble, type PoolDependencies, type PoolParts } from './assemble.js';
import type { PoolEvents, ShutdownReport } from './events.js';
import { forgetGlobalPool, globalPool } from './global-pool.js';
import { reuseKey } from './instances/lease-scope.js';
import { isOpen } from './instances/server-entry.js';
import type { PooledServer } from './leases/lease.js';
import type { PoolMetrics } from './metrics.js';
import { aborted } from './refusals.js';
import { type PoolPlan, planOf } from './shutdown/plan.js';
import { Shutdown } from './shutdown/shutdown.js';
import { assertSignalsArrive, handleSignals, ignoreSignals } from './signals.js';
import { type PoolStatus, statusOf } from './status.js';
import { traceEvents } from './trace.js';

/**
 * A pool of stdio MCP servers: gives out leases on running servers within hard budgets, and ends every process it started.
 *
 * The way of a call: `getServer` → `Scheduler.acquire` → a lease on a free instance, or the `AcquireQueue`. The scheduler asks
 * `admission.decide` for the oldest caller, and starts an instance for it: spawn, registry, handshake. When the instance is
 * ready, the caller gets its lease. The way back: release → idle, or ended; whatever changed, the scheduler looks again.
 */
export class MCPServerPool extends SafeEmitter<PoolEvents> {
  /** The processes of this pool. */
  readonly registry: ProcessRegistry;
  /** What ends them. */
  readonly cleanup: CleanupQueue;
  readonly #options: ResolvedPoolOptions;
  readonly #parts: PoolParts;
  /** What a call without options asks for. */
  readonly #plainRequest: LeaseRequest;
  #state: PoolStatus['state'] = 'open';
  #shutdown: { readonly process: Shutdown; readonly report: Promise<ShutdownReport> } | undefined;

  /**
   * The one pool of this process (of this thread, where there are workers), also when several copies of this package are
   * installed: what is found may then be the pool of another copy, perhaps of another version, and no `instanceof` of this
   * class. Its caps are those that `options` set: `limits.maxProcesses` is `Infinity` by default here, and 50 trees are
   * ended at once. After `shutdown()` the next call makes a new one.
   *
   * @param options only for the call that makes it, so call it with options before anything else uses it
   * @throws PoolError `INVALID_OPTIONS`, also when options are given and the pool exists already: they would be ignored
   */
  static global(options?: PoolOptions | SingleServerOptions): MCPServerPool {
    return globalPool(options, (resolved) => new MCPServerPool(resolved));
  }

  /** @throws PoolError `INVALID_OPTIONS` that lists everything that is wrong, or `NOT_SUPPORTED` */
  constructor(options: PoolOptions | SingleServerOptions = {}, dependencies: PoolDependencies = {}) {
    const outbox = new Outbox();
    super(outbox);
    this.#options = resolvePoolOptions(options);
    if (this.#options.handleSignals) assertSignalsArrive();
    this.#parts = assemble(this.#options, dependencies, this, outbox);
    this.registry = this.#parts.registry;
    this.cleanup = this.#parts.cleanup;
    for (const event of CLEANUP_EVENTS) this.cleanup.on(event, (payload) => this.forward(event, payload as never));
    this.#plainRequest = this.#request({});
    if (this.#options.handleSignals) handleSignals(this);
    if (debug.enabled) traceEvents(this);
    this.#parts.scheduler.run(() => {});
  }

  /**
   * Leases a server: an idle instance, or one that is started for it, or the next that comes free.
   *
   * @param name of the server; may be left out when the pool has just one
   * @throws PoolError `ACQUIRE_TIMEOUT`, `ACQUIRE_ABORTED`, `QUEUE_FULL`, `POOL_CLOSED`, `UNKNOWN_SERVER`,
   *   `BREAKER_OPEN`, `INVALID_OPTIONS`, or why the server could not be started
   */
  getServer(name?: string, options?: AcquireOptions): Promise<PooledServer> {
    try {
      const entry = this.#parts.servers.find(name);
      const request = options === undefined ? this.#plainRequest : this.#request(options);
      if (request.signal?.aborted) throw aborted(entry, 0, 'its signal was aborted before', request.signal.reason);
      const stack = this.#options.leakDetection > 0 ? stackAbove(this.getServer) : undefined;
      const lease = this.#parts.scheduler.acquire(entry, request, stack);
      // Not async: callers must learn of their leases in the order in which these are given out, and each step between that
      // and the caller's own promise could change it.
      return lease instanceof Promise ? lease : Promise.resolve(lease);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Gives a leased server back, at once. False when there is no lease of that id, because it ended already. */
  releaseServer(leaseId: string): boolean {
    return this.#parts.leases.find(leaseId)?.release() ?? false;
  }

  /** Releases all leases of an owner, and gives its waiting calls up (`ACQUIRE_ABORTED`). Returns how many leases. */
  releaseOwner(owner: string): number {
    const { scheduler } = this.#parts;
    return scheduler.run(() => scheduler.releaseScope('owner', owner, 'releaseOwner() was called'));
  }

  /** The same for a tenant; its instances end, too. */
  releaseTenant(tenant: string): number {
    const { breakers, fleet, scheduler } = this.#parts;
    return scheduler.run(() => {
      const instances = [...fleet.instances()].filter((instance) => instance.tenant === tenant);
      for (const instance of instances) fleet.retire(instance, 'tenant-released');
      const released = scheduler.releaseScope('tenant', tenant, 'releaseTenant() was called');
      for (const instance of instances) void instance.stop('tenant-released');
      breakers.forget((_server, ofTenant) => ofTenant === tenant);
      return released;
    });
  }

  /**
   * Adds a server.
   * @throws PoolError `INVALID_OPTIONS` when the definition is wrong or the name is taken, `NOT_SUPPORTED`, `POOL_CLOSED`
   */
  addServer(name: string, definition: ServerDefinition): void {
    this.#parts.servers.add(name, definition);
  }

  /**
   * Changes a definition at once: the next start uses it. Where command, args, env, cwd, sharing or client capabilities
   * changed, idle and starting instances of the old one end now, shared ones are replaced under their leases, and others
   * end when they are released. A change of policy alone keeps the processes; `maxLifetime`, `maxMessageMB`,
   * `maxInFlight`, `onCrash` and `retryTools` then hold for later ones only.
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `INVALID_OPTIONS`, `NOT_SUPPORTED`, `POOL_CLOSED`; or why the process that was to
   *   take over shared leases could not be started: the old one serves them on then, and nobody else
   */
  async updateServer(name: string, definition: ServerDefinition, drain: DrainOptions = {}): Promise<void> {
    await this.#parts.servers.update(name, definition, resolveDrainOptions(drain).timeout);
  }

  /**
   * Removes a server: callers that wait for it are rejected, idle and starting instances end now, leased ones when they
   * are released.
   * @returns when its last process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`
   */
  async removeServer(name: string, drain: DrainOptions = {}): Promise<void> {
    await this.#parts.servers.remove(name, resolveDrainOptions(drain).timeout);
  }

  /**
   * Replaces the processes of a server: idle and starting ones end now, shared ones are replaced under their leases, and
   * other leased ones end when they are released.
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`; `BREAKER_OPEN`, or why the process that was to take over shared
   *   leases could not be started: the old one serves on then
   */
  async restart(name: string, drain: DrainOptions = {}): Promise<void> {
    const { instances } = this.#parts.servers.find(name);
    await this.#parts.replacement.retire([...instances], 'restart', resolveDrainOptions(drain).timeout);
  }

  /**
   * Starts instances ahead of the first call, until `count` are idle or the budgets are full.
   * @returns how many are idle when these starts have come to an end
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, or why the starts failed when none is idle
   */
  async warm(name?: string, options: WarmOptions = {}): Promise<number> {
    const entry = this.#parts.servers.find(name);
    const { count, ...scope } = resolveWarmOptions(options);
    const { fleet, hold, scheduler } = this.#parts;
    const idle = () => (isOpen(entry) ? (entry.find(scope)?.ready ?? 0) : 0);
    const starts = [...(entry.find(scope)?.starts ?? [])];
    for (let missing = count - idle() - starts.length; missing > 0; missing--) {
      if (!isOpen(entry) || !fleet.isOpen || !fleet.hasRoom(entry)) break;
      const instance = scheduler.startSpare(entry, scope);
      if (instance) starts.push(instance);
    }
    await hold.during(Promise.all(starts.map(({ started }) => started)));
    const failure = entry.lastFailure;
    if (idle() === 0 && isOpen(entry) && failure?.key === reuseKey(entry.definition, scope)) throw failure.error;
    return idle();
  }

  /** What the pool holds now. */
  status(): PoolStatus {
    const pids = new Set(this.registry.list().map(({ pid }) => pid));
    return statusOf(this.#state, this.#parts, this.#parts.host.containment(pids));
  }

  /** Counts since the pool was made. */
  metrics(): PoolMetrics {
    return { ...this.#parts.metrics };
  }

  /**
   * The dry run: what the pool would end now, why, in which order and by which steps, and the processes concerned. Touches
   * nothing: no signal, no change of state, no event. Looks at all processes of the machine once for each tree.
   *
   * @param mode `shutdown`: a graceful `shutdown()`; `emergency`: one that kills at once; `reclaim`: everything that could
   *   be ended or taken back if callers whom nothing that runs can serve needed all the room now
   * @throws PoolError `INVALID_OPTIONS`; the error when processes cannot be listed (EMFILE)
   */
  plan(mode: PlanMode): PoolPlan {
    return planOf(resolvePlanOptions({ mode }).mode, { ...this.#parts, now: this.#parts.clock.now() });
  }

  /**
   * Ends everything: callers that wait are rejected, requests in flight may finish, then every process tree is ended and
   * proven dead. A later call joins the first; an emergency hurries it.
   * @throws PoolError `INVALID_OPTIONS`
   */
  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownReport> {
    const resolved = resolveShutdownOptions(options);
    const { clock, fleet, hold, leases, scheduler } = this.#parts;
    if (this.#shutdown === undefined) {
      this.#state = 'draining';
      forgetGlobalPool(this);
      const process = new Shutdown(clock, fleet, leases);
      // Known before it begins: what it closes may call back and shut down again.
      const { promise, resolve } = deferred<ShutdownReport>();
      this.#shutdown = { process, report: hold.during(promise) };
      resolve(scheduler.run(() => this.#close(process, resolved)));
    } else if (resolved.mode === 'emergency') {
      const { process } = this.#shutdown;
      scheduler.run(() => process.hurry());
    }
    return this.#shutdown.report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #request(options: AcquireOptions): LeaseRequest {
    const { tenant, owner, timeout, signal } = resolveAcquireOptions(options);
    return { tenant, owner, timeout: timeout ?? this.#options.acquireTimeout, signal };
  }

  async #close(process: Shutdown, options: ReturnType<typeof resolveShutdownOptions>): Promise<ShutdownReport> {
    const { hold, host, scheduler } = this.#parts;
    this.emit('pool:draining', { mode: options.mode });
    const rejected = scheduler.close();
    const report = { ...(await process.run(options)), rejected };
    await host.end();
    this.#state = 'closed';
    ignoreSignals(this);
    scheduler.stop();
    hold.dispose();
    this.emit('pool:closed', report);
    return report;
  }
}

const CLEANUP_EVENTS = [
  'cleanup:started',
  'cleanup:escalated',
  'cleanup:finished',
  'cleanup:failed',
  'listener:error',
] as const;

/** Where the caller of `callee` stands. Costs more than a whole warm call: only for those who look for leaks. */
function stackAbove(callee: (...args: never[]) => unknown): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, callee);
  return holder.stack;
}
