import { type Clock, systemClock } from '../config/clock.js';
import { HostHold } from '../config/host-hold.js';
import {
  type AcquireOptions,
  type DrainOptions,
  type PoolOptions,
  type ResolvedPoolOptions,
  resolveAcquireOptions,
  resolveDefinition,
  resolveDrainOptions,
  resolvePoolOptions,
  resolveShutdownOptions,
  resolveWarmOptions,
  type ServerDefinition,
  type ShutdownOptions,
  type SingleServerOptions,
  type WarmOptions,
} from '../config/options.js';
import { PoolError } from '../errors.js';
import { SafeEmitter } from '../events.js';
import { CleanupQueue, type CleanupReport } from '../process/cleanup-queue.js';
import type { Launcher } from '../process/launcher.js';
import { ProcessRegistry } from '../process/process-registry.js';
import { platformProcessTable } from '../process/process-table.js';
import { localLauncher } from '../process/spawn.js';
import { WriteBudget } from '../protocol/connection.js';
import type { SessionEnd } from '../protocol/session.js';
import type { EndReason, ServerInstance } from '../server/server-instance.js';
import { Dispatcher } from './dispatcher.js';
import { Fleet, isOpen, type OpenGroup, reuseKey, type Whose } from './fleet.js';
import { Janitor, SPARE } from './janitor.js';
import { Lease, type LeaseHost, type PooledServer } from './lease.js';
import { Lifecycle } from './lifecycle.js';
import type { LeaseEvent, PoolEvents, QueueEvent, ShutdownReport } from './pool-events.js';
import { aborted, acquireTimeout, poolClosed, queueFull, unknownServer } from './refusals.js';
import { whyNotAgain } from './reuse.js';
import { Shutdown } from './shutdown.js';
import { newMetrics, type PoolMetrics, type PoolStatus, statusOf } from './status.js';
import { type LeaseRequest, type Waiter, WaitQueue } from './wait-queue.js';

/** What a pool stands on. Tests, and hosts with other kinds of processes, bring their own. */
export interface PoolDependencies {
  readonly clock?: Clock;
  readonly launcher?: Launcher;
}

const MB = 1_048_576;

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
  readonly #leases = new Map<string, Lease>();
  readonly #metrics = newMetrics();
  readonly #queue: WaitQueue;
  readonly #dispatcher: Dispatcher;
  readonly #lifecycle: Lifecycle;
  readonly #janitor: Janitor;
  readonly #leaseHost: LeaseHost;
  #state: PoolStatus['state'] = 'open';
  #shutdown: { readonly process: Shutdown; readonly report: Promise<ShutdownReport> } | undefined;

  /** @throws PoolError `INVALID_OPTIONS` that lists everything that is wrong, or `NOT_SUPPORTED` */
  constructor(options: PoolOptions | SingleServerOptions = {}, dependencies: PoolDependencies = {}) {
    super();
    this.#options = resolvePoolOptions(options);
    const { limits, leakDetection, maxBufferedMB } = this.#options;
    const { maxProcesses } = limits;
    const table = platformProcessTable();
    this.#clock = dependencies.clock ?? systemClock;
    this.registry = new ProcessRegistry(table);
    this.cleanup = new CleanupQueue(this.#options.cleanup);
    for (const event of CLEANUP_EVENTS) this.cleanup.on(event, (payload) => this.emit(event, payload as never));
    const context = {
      clock: this.#clock,
      launcher: dependencies.launcher ?? localLauncher(table),
      registry: this.registry,
      cleanup: this.cleanup,
      hold: this.#hold,
      writeBudget: new WriteBudget(maxBufferedMB * MB),
    };
    this.#leaseHost = { hold: this.#hold, leaseEnded: (lease, end) => this.#takeBack(lease, end) };
    this.#queue = new WaitQueue(this.#clock, (waiter, why) => this.#giveUp(waiter, why));
    this.#lifecycle = new Lifecycle(this.#fleet, this.#metrics, context, {
      emit: (event, payload) => void this.emit(event, payload as never),
      hasListener: (event) => this.listenerCount(event) > 0,
      usable: (instance) => this.#park(instance),
      startFailed: (group, key, error) => this.#rejectUncovered(group.name, key, error),
      spareFailed: (group) => this.#janitor.spareFailed(group),
      quarantined: () => this.#janitor.quarantined(),
      changed: () => this.#settle(),
    });
    this.#dispatcher = new Dispatcher(this.#fleet, this.#queue, maxProcesses, {
      lend: (waiter, instance) => this.#serve(waiter, instance),
      start: (group, whose) => this.#lifecycle.start(group, whose),
      evict: (instance) => void instance.stop('evicted'),
      reject: (waiter, error) => this.#reject(waiter, error),
    });
    this.#janitor = new Janitor(
      this.#clock,
      this.#fleet,
      this.#queue,
      this.#leases,
      { leakDetection, maxProcesses },
      {
        retire: (instance, reason) => void instance.stop(reason),
        reclaim: (lease, silent) =>
          this.#reclaim(lease, `it was silent for ${Math.round(silent)} ms (leaseIdleTimeout) while somebody waited`),
        leaked: (lease, held) => this.#tellLeak(lease, held),
        startSpare: (group) => this.#lifecycle.startSpare(group, SPARE),
      },
    );
    for (const definition of this.#options.servers.values()) this.#fleet.define(definition);
    this.#janitor.fillUp();
  }

  /**
   * Leases a server: an idle instance, or one that is started for it, or the next that comes free.
   *
   * @param name of the server; may be left out when the pool has just one
   * @throws PoolError `ACQUIRE_TIMEOUT`, `ACQUIRE_ABORTED`, `QUEUE_FULL`, `POOL_CLOSED`, `UNKNOWN_SERVER`,
   *   `INVALID_OPTIONS`, or why the server could not be started
   */
  async getServer(name?: string, options?: AcquireOptions): Promise<PooledServer> {
    const group = this.#openGroup(name);
    const request = this.#request(group.name, options);
    if (request.signal?.aborted) throw aborted(request, 0, 'its signal was aborted before', request.signal.reason);
    const instance = this.#takeIdle(group, request);
    return instance ? this.#lend(instance, request, 0) : this.#wait(request);
  }

  /** Gives a leased server back, at once. False when there is no lease of that id, because it ended already. */
  releaseServer(leaseId: string): boolean {
    return this.#leases.get(leaseId)?.release() ?? false;
  }

  /** Releases all leases of an owner, and gives its waiting calls up (`ACQUIRE_ABORTED`). Returns how many leases. */
  releaseOwner(owner: string): number {
    return this.#releaseAll((whose) => whose.owner === owner, 'releaseOwner() was called');
  }

  /** The same for a tenant; its instances end, too. */
  releaseTenant(tenant: string): number {
    const instances = [...this.#fleet.instances()].filter((instance) => instance.tenant === tenant);
    for (const instance of instances) instance.retired ??= 'tenant-released';
    const released = this.#releaseAll((whose) => whose.tenant === tenant, 'releaseTenant() was called');
    for (const instance of instances) void instance.stop('tenant-released');
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
    this.#settle();
  }

  /**
   * Changes a definition at once: the next start uses it. Where command, args, env or cwd changed, idle and starting
   * instances of the old one end now, and leased ones when they are released.
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `INVALID_OPTIONS`, `NOT_SUPPORTED`, `POOL_CLOSED`
   */
  async updateServer(name: string, definition: ServerDefinition, drain: DrainOptions = {}): Promise<void> {
    const group = this.#openGroup(name);
    const { timeout } = resolveDrainOptions(drain);
    const { key } = group.definition;
    const changed = resolveDefinition(name, definition, this.#options);
    this.#fleet.define(changed);
    if (changed.key !== key) return this.#retire([...group.instances], 'replaced', timeout);
    for (const instance of group.instances) if (instance.definition.key === key) instance.definition = changed;
    this.#settle();
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
    for (const waiter of [...this.#queue]) {
      if (waiter.name === name)
        this.#reject(waiter, unknownServer(name, this.#names(), 'was removed while the call waited'));
    }
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
    const { definition, instances } = group;
    const key = reuseKey(definition, whose);
    const idle = () => group.idle.get(key)?.length ?? 0;
    const starts = [...this.#fleet.startsFor(group, key)];
    const room = Math.min(
      definition.maxInstances - instances.size,
      this.#options.limits.maxProcesses - this.#fleet.used,
    );
    for (let missing = Math.min(count - idle() - starts.length, room); missing > 0; missing--) {
      const instance = this.#lifecycle.startSpare(group, whose);
      if (instance) starts.push(instance);
    }
    await this.#hold.during(Promise.all(starts.map(({ started }) => started)));
    if (idle() === 0 && group.lastFailure) throw group.lastFailure;
    return idle();
  }

  /** What the pool holds now. */
  status(): PoolStatus {
    return statusOf(this.#state, this.#fleet, this.#leases.size, this.#queue, this.#options.limits.maxProcesses);
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
      this.#janitor.stop();
      const process = new Shutdown(this.#clock, this.#fleet, this.#leases);
      this.#shutdown = { process, report: this.#hold.during(this.#close(process, resolved)) };
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

  #request(name: string, options: AcquireOptions | undefined): LeaseRequest {
    const { tenant, owner, timeout, signal } = options === undefined ? NO_OPTIONS : resolveAcquireOptions(options);
    // A stack costs more than a whole warm call: only for those who look for leaks.
    const stack = this.#options.leakDetection > 0 ? new Error('getServer() was called').stack : undefined;
    return { name, tenant, owner, timeout: timeout ?? this.#options.acquireTimeout, signal, stack };
  }

  #takeIdle(group: OpenGroup, whose: Whose): ServerInstance | undefined {
    const key = reuseKey(group.definition, whose);
    let instance = this.#fleet.takeIdle(group, key);
    for (; instance && instance.expiresAt <= this.#clock.now(); instance = this.#fleet.takeIdle(group, key)) {
      void instance.stop('max-lifetime');
    }
    return instance;
  }

  #wait(request: LeaseRequest): Promise<Lease> {
    const { waiter, lease } = this.#queue.add(request);
    this.#settle();
    if (this.#queue.has(waiter)) this.#admit(waiter);
    return lease;
  }

  /** A caller that was not served at once: may it wait? */
  #admit(waiter: Waiter): void {
    const { maxWaiting, limits } = this.#options;
    // Callers whose server is starting do not wait for others.
    if (this.#queue.size - this.#fleet.startCount > maxWaiting)
      return this.#reject(waiter, queueFull(waiter.name, maxWaiting));
    waiter.announced = true;
    this.emit('queue:waiting', { ...queueEvent(waiter), waiting: this.#queue.size });
    if (waiter.blockedBy === undefined) return;
    const maxInstances = this.#fleet.group(waiter.name)?.definition?.maxInstances ?? 0;
    const value = waiter.blockedBy === 'maxInstances' ? maxInstances : limits.maxProcesses;
    this.emit('limit:reached', { name: waiter.name, limit: waiter.blockedBy, value });
    this.#janitor.reclaimSilent();
  }

  #serve(waiter: Waiter, instance: ServerInstance): void {
    const waited = this.#clock.now() - waiter.since;
    if (waiter.announced) this.emit('queue:served', { ...queueEvent(waiter), waited });
    waiter.resolve(this.#lend(instance, waiter, waited));
  }

  #lend(instance: ServerInstance, request: LeaseRequest, waited: number): Lease {
    const now = this.#clock.now();
    const lease = new Lease(this.#leaseHost, instance, request, now);
    instance.occupant = lease;
    instance.lastActivity = now;
    instance.uses += 1;
    if (instance.uses === 1) this.#fleet.provenUseful(instance);
    this.#leases.set(lease.id, lease);
    this.#metrics.acquired += 1;
    if (this.#options.leakDetection > 0) this.#janitor.wakeAt(now + this.#options.leakDetection);
    if (this.listenerCount('lease:acquired') > 0) this.emit('lease:acquired', { ...leaseEvent(lease), waited });
    return lease;
  }

  /** The end of a lease, whoever ended it. Returns the end of its process, if that ends with it. */
  #takeBack(lease: Lease, end: SessionEnd): Promise<CleanupReport | undefined> | undefined {
    const { instance } = lease;
    const unfinished = instance.openRequests > 0;
    this.#leases.delete(lease.id);
    instance.occupant = undefined;
    instance.endSession(end);
    this.#metrics.released += 1;
    if (this.listenerCount('lease:released') > 0) {
      this.emit('lease:released', { ...leaseEvent(lease), held: this.#clock.now() - lease.acquiredAt });
    }
    if (instance.state !== 'ready') return instance.ended;
    const reason = unfinished ? 'unfinished' : whyNotAgain(instance, this.#clock.now());
    if (reason !== undefined) return instance.stop(reason);
    this.#park(instance);
    return undefined;
  }

  /** A usable instance that nobody uses: serves the next waiter, or is idle from now on. */
  #park(instance: ServerInstance): void {
    instance.idleSince = this.#clock.now();
    this.#fleet.park(instance);
    this.#janitor.parked(instance);
    this.#settle();
  }

  /** Something changed: serves whom it can, and fills up to the minimum what nobody needs. */
  #settle(): void {
    if (this.#state !== 'open') return;
    if (this.#queue.size > 0) this.#dispatcher.run();
    else this.#janitor.fillUp();
  }

  #giveUp(waiter: Waiter, why: { timeout: true } | { aborted: unknown }): PoolError {
    const after = Math.round(this.#clock.now() - waiter.since);
    const group = this.#fleet.group(waiter.name);
    if (!isOpen(group)) return aborted(waiter, after, 'its server was removed');
    const key = reuseKey(group.definition, waiter);
    const starting = waiter.blockedBy === undefined ? this.#fleet.startsFor(group, key)[0] : undefined;
    const error =
      'timeout' in why
        ? acquireTimeout(waiter, group, starting?.errorData(), after)
        : aborted(waiter, after, 'its signal was aborted', why.aborted);
    this.#tellRejected(waiter, error);
    // A start belongs to the pool and serves the next waiter; without one it has no use.
    const spares =
      key === reuseKey(group.definition, SPARE) ? group.definition.minIdle - (group.idle.get(key)?.length ?? 0) : 0;
    this.#lifecycle.endUnwantedStart(group, key, this.#dispatcher.waitersFor(group, key) + Math.max(0, spares));
    this.#settle();
    return error;
  }

  #reject(waiter: Waiter, error: PoolError): void {
    this.#tellRejected(waiter, error);
    waiter.reject(error);
  }

  #tellRejected(waiter: Waiter, { code }: PoolError): void {
    this.#metrics.rejected += 1;
    this.emit('queue:rejected', { ...queueEvent(waiter), waited: this.#clock.now() - waiter.since, code });
  }

  /** A start failed. If fewer starts are left than callers wait for them, the one who waits longest gets its error. */
  #rejectUncovered(name: string, key: string, error: PoolError): void {
    const group = this.#fleet.group(name);
    if (!isOpen(group) || this.#dispatcher.waitersFor(group, key) <= this.#fleet.startsFor(group, key).length) return;
    for (const waiter of this.#queue) {
      if (waiter.name === name && reuseKey(group.definition, waiter) === key) return this.#reject(waiter, error);
    }
  }

  #releaseAll(matches: (whose: Whose) => boolean, why: string): number {
    for (const waiter of [...this.#queue]) {
      if (matches(waiter)) this.#reject(waiter, aborted(waiter, Math.round(this.#clock.now() - waiter.since), why));
    }
    return [...this.#leases.values()].filter((lease) => matches(lease) && lease.release()).length;
  }

  #reclaim(lease: Lease, why: string): void {
    const now = this.#clock.now();
    const { acquiredAt, instance } = lease;
    this.#metrics.reclaimed += 1;
    this.emit('lease:reclaimed', { ...leaseEvent(lease), held: now - acquiredAt, silent: now - instance.lastActivity });
    const message = `the lease ${lease.id} on server '${lease.name}' was taken back: ${why}`;
    lease.end({
      asked: false,
      error: () => new PoolError('LEASE_RECLAIMED', message, { name: lease.name, leaseId: lease.id }),
    });
  }

  /** Ends what nobody uses, and the rest with its leases; these are taken back after `timeout`. */
  async #retire(instances: readonly ServerInstance[], reason: EndReason, timeout: number): Promise<void> {
    for (const instance of instances) {
      instance.retired ??= reason;
      if (instance.occupant === undefined) void instance.stop(reason);
    }
    const takeBack = () => {
      for (const lease of [...this.#leases.values()]) {
        if (instances.includes(lease.instance))
          this.#reclaim(lease, `its server was ${reason}, and the drain timeout of ${timeout} ms is over`);
      }
    };
    const timer = timeout === Infinity ? undefined : this.#clock.after(timeout, takeBack);
    await this.#hold.during(Promise.all(instances.map(({ ended }) => ended)));
    timer?.cancel();
  }

  #tellLeak(lease: Lease, held: number): void {
    this.#metrics.leaked += 1;
    this.emit('lease:leaked', { ...leaseEvent(lease), held, stack: lease.stack });
  }

  async #close(process: Shutdown, options: ReturnType<typeof resolveShutdownOptions>): Promise<ShutdownReport> {
    this.emit('pool:draining', { mode: options.mode });
    const waiting = [...this.#queue];
    for (const waiter of waiting) this.#reject(waiter, poolClosed());
    const report = { ...(await process.run(options)), rejected: waiting.length };
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

const NO_OPTIONS: ReturnType<typeof resolveAcquireOptions> = {
  tenant: undefined,
  owner: undefined,
  timeout: undefined,
  signal: undefined,
};

function leaseEvent({ id, name, instanceId, tenant, owner }: Lease): LeaseEvent {
  return { leaseId: id, name, instanceId, tenant, owner };
}

function queueEvent({ name, tenant, owner }: Waiter): QueueEvent {
  return { name, tenant, owner };
}
