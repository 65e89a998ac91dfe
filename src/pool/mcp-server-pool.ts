import {
  type AcquireOptions,
  type DrainOptions,
  resolveAcquireOptions,
  resolveDrainOptions,
  resolveShutdownOptions,
  resolveWarmOptions,
  type ShutdownOptions,
  type WarmOptions,
} from '../config/call-options.js';
import { type Clock, systemClock } from '../config/clock.js';
import { deferred } from '../config/deferred.js';
import { HostHold } from '../config/host-hold.js';
import {
  type PoolOptions,
  type ResolvedPoolOptions,
  resolveDefinition,
  resolvePoolOptions,
  type ServerDefinition,
  type SingleServerOptions,
} from '../config/options.js';
import { PoolError } from '../errors.js';
import { SafeEmitter } from '../events.js';
import { CleanupQueue } from '../process/cleanup-queue.js';
import type { Launcher } from '../process/launcher.js';
import { currentPlatform } from '../process/platform.js';
import { ProcessRegistry } from '../process/process-registry.js';
import { localLauncher } from '../process/spawn.js';
import { WriteBudget } from '../protocol/connection.js';
import type { EndReason } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';
import { Breakers } from './breakers.js';
import { Failover } from './failover.js';
import { Fleet, isOpen, type OpenGroup, reuseKey } from './fleet.js';
import { forgetGlobalPool, globalPool } from './global-pool.js';
import { Janitor } from './janitor.js';
import { Lease, type PooledServer } from './lease.js';
import { LeaseDesk } from './lease-desk.js';
import { LeaseNews } from './lease-news.js';
import { Lifecycle } from './lifecycle.js';
import type { News, PoolEvents, ShutdownReport } from './pool-events.js';
import { aborted, poolClosed, unknownServer } from './refusals.js';
import { Shutdown } from './shutdown.js';
import { newMetrics, type PoolMetrics, type PoolStatus, statusOf } from './status.js';
import type { LeaseRequest } from './wait-queue.js';

/** What a pool stands on. Tests, and hosts with other kinds of processes, bring their own. */
export interface PoolDependencies {
  readonly clock?: Clock;
  readonly launcher?: Launcher;
}

const MB = 1_048_576;
/** How long a shared instance that is replaced may take to finish what it has, unless the host says less, ms. */
const REPLACEMENT_TIMEOUT = 30_000;

/**
 * A pool of stdio MCP servers: gives out leases on running servers within hard budgets, and ends every process it started.
 *
 * The way of a call: `getServer` → an idle instance, or the wait queue → the dispatcher asks `admission.decide` for each
 * waiter → spawn, registry, handshake (`Lifecycle`) → the instance is usable → lease. The way back: release → idle, or
 * ended; whatever changed, the dispatcher looks at the waiters again.
 */
export class MCPServerPool extends SafeEmitter<PoolEvents> {
  /** The processes of this pool. */
  readonly registry: ProcessRegistry;
  /** What ends them. */
  readonly cleanup: CleanupQueue;
  readonly #options: ResolvedPoolOptions;
  readonly #clock: Clock;
  readonly #hold = new HostHold();
  readonly #fleet = new Fleet();
  readonly #metrics = newMetrics();
  readonly #breakers: Breakers;
  readonly #lifecycle: Lifecycle;
  readonly #desk: LeaseDesk;
  readonly #failover: Failover;
  readonly #janitor: Janitor;
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
    super();
    this.#options = resolvePoolOptions(options);
    const platform = currentPlatform();
    const clock = dependencies.clock ?? systemClock;
    const news: News = {
      emit: (event, payload) => void this.emit(event, payload as never),
      hasListener: (event) => this.listenerCount(event) > 0,
    };
    this.#clock = clock;
    this.registry = new ProcessRegistry(platform.table);
    this.cleanup = new CleanupQueue(this.#options.cleanup);
    for (const event of CLEANUP_EVENTS) this.cleanup.on(event, (payload) => this.emit(event, payload as never));
    const shared = { clock, hold: this.#hold };
    const instances = {
      ...shared,
      launcher: dependencies.launcher ?? localLauncher(platform),
      registry: this.registry,
      cleanup: this.cleanup,
      writeBudget: new WriteBudget(this.#options.maxBufferedMB * MB),
    };
    this.#breakers = new Breakers(clock, news);
    this.#lifecycle = new Lifecycle(this.#fleet, this.#breakers, this.#metrics, instances, news, {
      isOpen: () => this.#state === 'open',
      lost: (instance, error) => this.#failover.lost(instance, error),
      stoppedUnder: (instance, error) => this.#desk.endLeases(instance, error),
      usable: (instance) => {
        this.#failover.ready(instance);
        // A listener may have ended it.
        if (instance.state === 'ready') this.#desk.park(instance);
      },
      startFailed: (group, key, seats, error) => this.#desk.startFailed(group, key, seats, error),
      spareFailed: (group) => this.#janitor.spareFailed(group),
      quarantined: () => this.#janitor.quarantined(),
      changed: () => this.#desk.settle(),
    });
    const leaseNews = new LeaseNews(news, this.#metrics);
    this.#desk = new LeaseDesk({
      ...shared,
      options: this.#options,
      fleet: this.#fleet,
      news: leaseNews,
      lifecycle: this.#lifecycle,
      breakers: this.#breakers,
      // The janitor watches the desk, so it is made after it.
      timekeeper: {
        parked: (instance) => this.#janitor.parked(instance),
        wakeAt: (at) => this.#janitor.wakeAt(at),
        reclaimSilent: () => this.#janitor.reclaimSilent(),
        fillUp: () => this.#janitor.fillUp(),
      },
    });
    this.#failover = new Failover({
      clock,
      fleet: this.#fleet,
      lifecycle: this.#lifecycle,
      breakers: this.#breakers,
      leases: { of: (instance) => this.#desk.leasesOf(instance) },
      news,
      leaseNews,
      metrics: this.#metrics,
      maxProcesses: this.#options.limits.maxProcesses,
      isOpen: () => this.#state === 'open',
    });
    this.#janitor = new Janitor(clock, this.#fleet, this.#desk, this.#options, this.#lifecycle);
    for (const definition of this.#options.servers.values()) this.#fleet.define(definition);
    this.#plainRequest = this.#request({});
    this.#janitor.fillUp();
  }

  /**
   * Leases a server: an idle instance, or one that is started for it, or the next that comes free.
   *
   * @param name of the server; may be left out when the pool has just one
   * @throws PoolError `ACQUIRE_TIMEOUT`, `ACQUIRE_ABORTED`, `QUEUE_FULL`, `POOL_CLOSED`, `UNKNOWN_SERVER`,
   *   `INVALID_OPTIONS`, or why the server could not be started
   */
  getServer(name?: string, options?: AcquireOptions): Promise<PooledServer> {
    try {
      const group = this.#openGroup(name);
      const request = options === undefined ? this.#plainRequest : this.#request(options);
      if (request.signal?.aborted) throw aborted(group, 0, 'its signal was aborted before', request.signal.reason);
      const stack = this.#options.leakDetection > 0 ? stackAbove(this.getServer) : undefined;
      const lease = this.#desk.acquireFree(group, request, stack);
      return lease === undefined ? this.#desk.wait(group, request, stack) : Promise.resolve(lease);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Gives a leased server back, at once. False when there is no lease of that id, because it ended already. */
  releaseServer(leaseId: string): boolean {
    return this.#desk.leases.get(Lease.numberOf(leaseId))?.release() ?? false;
  }

  /** Releases all leases of an owner, and gives its waiting calls up (`ACQUIRE_ABORTED`). Returns how many leases. */
  releaseOwner(owner: string): number {
    return this.#desk.releaseAll((whose) => whose.owner === owner, 'releaseOwner() was called');
  }

  /** The same for a tenant; its instances end, too. */
  releaseTenant(tenant: string): number {
    const instances = [...this.#fleet.instances()].filter((instance) => instance.tenant === tenant);
    for (const instance of instances) instance.retired ??= 'tenant-released';
    const released = this.#desk.releaseAll((whose) => whose.tenant === tenant, 'releaseTenant() was called');
    for (const instance of instances) void instance.stop('tenant-released');
    this.#breakers.forget((_server, ofTenant) => ofTenant === tenant);
    return released;
  }

  /**
   * Adds a server.
   * @throws PoolError `INVALID_OPTIONS` when the definition is wrong or the name is taken, `NOT_SUPPORTED`, `POOL_CLOSED`
   */
  addServer(name: string, definition: ServerDefinition): void {
    this.#assertOpen();
    if (isOpen(this.#fleet.group(name))) {
      const problem = `a server '${name}' is defined already; use updateServer() to change it`;
      throw new PoolError('INVALID_OPTIONS', problem, { name, problems: [problem] });
    }
    this.#fleet.define(resolveDefinition(name, definition, this.#options));
    this.#desk.settle();
  }

  /**
   * Changes a definition at once: the next start uses it. Where command, args, env or cwd changed, idle and starting
   * instances of the old one end now, and leased ones when they are released. A change of policy alone keeps the
   * processes; `maxLifetime` and `maxMessageMB` then hold for later ones only.
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `INVALID_OPTIONS`, `NOT_SUPPORTED`, `POOL_CLOSED`
   */
  async updateServer(name: string, definition: ServerDefinition, drain: DrainOptions = {}): Promise<void> {
    const group = this.#openGroup(name);
    const { timeout } = resolveDrainOptions(drain);
    const { key } = group.definition;
    const changed = resolveDefinition(name, definition, this.#options);
    this.#fleet.define(changed);
    // What failed before says nothing about what comes.
    this.#breakers.forget((server) => server === name);
    this.#desk.redefined(group);
    if (changed.key === key) this.#desk.settle();
    else await this.#retire([...group.instances], 'replaced', timeout);
  }

  /**
   * Removes a server: callers that wait for it are rejected, idle and starting instances end now, leased ones when they
   * are released.
   * @returns when its last process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`
   */
  async removeServer(name: string, drain: DrainOptions = {}): Promise<void> {
    const group = this.#openGroup(name);
    const { timeout } = resolveDrainOptions(drain);
    this.#fleet.undefine(group);
    this.#breakers.forget((server) => server === name);
    const error = unknownServer(name, this.#names(), 'was removed while the call waited');
    this.#desk.rejectAll(
      (waiter) => waiter.name === name,
      () => error,
    );
    await this.#retire([...group.instances], 'removed', timeout);
  }

  /**
   * Replaces the processes of a server: idle and starting ones end now, leased ones when they are released.
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`
   */
  async restart(name: string, drain: DrainOptions = {}): Promise<void> {
    const { instances } = this.#openGroup(name);
    await this.#retire([...instances], 'restart', resolveDrainOptions(drain).timeout);
  }

  /**
   * Starts instances ahead of the first call, until `count` are idle or the budgets are full.
   * @returns how many are idle when these starts have come to an end
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, or why the starts failed when none is idle
   */
  async warm(name?: string, options: WarmOptions = {}): Promise<number> {
    const group = this.#openGroup(name);
    const { count, ...whose } = resolveWarmOptions(options);
    const key = reuseKey(group.definition, whose);
    const { maxProcesses } = this.#options.limits;
    const idle = () => this.#fleet.readyFor(group, key);
    const starts = [...this.#fleet.startsFor(group, key)];
    for (let missing = count - idle() - starts.length; missing > 0; missing--) {
      if (!isOpen(group) || !this.#fleet.hasRoom(group, maxProcesses)) break;
      const instance = this.#lifecycle.startSpare(group, whose);
      if (instance) starts.push(instance);
    }
    await this.#hold.during(Promise.all(starts.map(({ started }) => started)));
    const failure = group.lastFailure;
    if (idle() === 0 && failure?.key === key) throw failure.error;
    return idle();
  }

  /** What the pool holds now. */
  status(): PoolStatus {
    return statusOf(this.#state, this.#fleet, this.#desk, this.#options.limits.maxProcesses);
  }

  /** Counts since the pool was made. */
  metrics(): PoolMetrics {
    return { ...this.#metrics };
  }

  /**
   * Ends everything: callers that wait are rejected, requests in flight may finish, then every process tree is ended and
   * proven dead. A later call joins the first; an emergency hurries it.
   * @throws PoolError `INVALID_OPTIONS`
   */
  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownReport> {
    const resolved = resolveShutdownOptions(options);
    if (this.#shutdown === undefined) {
      this.#state = 'draining';
      forgetGlobalPool(this);
      this.#janitor.stop();
      const process = new Shutdown(this.#clock, this.#fleet, this.#desk.leases);
      // Known before it begins: what it closes may call back and shut down again.
      const { promise, resolve } = deferred<ShutdownReport>();
      this.#shutdown = { process, report: this.#hold.during(promise) };
      resolve(this.#close(process, resolved));
    } else if (resolved.mode === 'emergency') {
      this.#shutdown.process.hurry();
    }
    return this.#shutdown.report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #openGroup(name = this.#onlyName()): OpenGroup {
    this.#assertOpen();
    const group = name === undefined ? undefined : this.#fleet.group(name);
    if (isOpen(group)) return group;
    throw unknownServer(name, this.#names(), name === undefined ? 'must be named' : 'is not defined');
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw poolClosed();
  }

  #names(): string[] {
    return [...this.#fleet.groups.values()].filter(isOpen).map(({ name }) => name);
  }

  #onlyName(): string | undefined {
    const names = this.#names();
    return names.length === 1 ? names[0] : undefined;
  }

  #request(options: AcquireOptions): LeaseRequest {
    const { tenant, owner, timeout, signal } = resolveAcquireOptions(options);
    return { tenant, owner, timeout: timeout ?? this.#options.acquireTimeout, signal };
  }

  /**
   * Ends what nobody uses, and the rest with its leases; these are taken back after `timeout`. Holds the host open for
   * what ends in bounded time, but not for a lease that may last for ever.
   */
  async #retire(instances: readonly ServerInstance[], reason: EndReason, timeout: number): Promise<void> {
    // What starts to take the place of another is fresh.
    const old = instances.filter((instance) => reason !== 'restart' || !this.#failover.isNext(instance));
    // All are marked before the first one ends: a listener to that end must not be given an old one.
    for (const instance of old) instance.retired ??= reason;
    const ends = old.map((instance) => this.#retireOne(instance, reason, timeout));
    const why = `its server was ${reason}, and the drain timeout of ${timeout} ms is over`;
    const takeBack = () => {
      const staying = old.filter((instance) => !this.#failover.canMove(instance));
      for (const lease of staying.flatMap((instance) => this.#desk.leasesOf(instance))) this.#desk.reclaim(lease, why);
    };
    const timer = timeout < Infinity ? this.#clock.after(timeout, takeBack) : undefined;
    this.#desk.settle();
    await Promise.all(ends).finally(() => timer?.cancel());
  }

  #retireOne(instance: ServerInstance, reason: EndReason, timeout: number): Promise<unknown> {
    const replacement = this.#failover.replacementOf(instance);
    if (replacement !== undefined) return replacement;
    if (instance.leases > 0 && reason !== 'removed' && this.#failover.canMove(instance)) {
      const drainTimeout = Math.min(timeout, REPLACEMENT_TIMEOUT);
      return this.#hold.during(this.#failover.replace(instance, reason, drainTimeout));
    }
    const isFree = instance.leases === 0;
    const end = isFree ? instance.stop(reason) : instance.ended;
    return isFree || timeout < Infinity ? this.#hold.during(end) : end;
  }

  async #close(process: Shutdown, options: ReturnType<typeof resolveShutdownOptions>): Promise<ShutdownReport> {
    this.emit('pool:draining', { mode: options.mode });
    const rejected = this.#desk.close(poolClosed());
    const report = { ...(await process.run(options)), rejected };
    this.#state = 'closed';
    this.#hold.dispose();
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
