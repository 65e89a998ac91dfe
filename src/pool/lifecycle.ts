import type { PoolError } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { ExitInfo } from '../process/launcher.js';
import type { ToolChanges } from '../protocol/mux/tool-list.js';
import type { EndReason, InstanceContext, InstanceObserver } from '../server/instance-context.js';
import { ServerInstance } from '../server/server-instance.js';
import type { Breakers } from './breakers.js';
import type { Fleet } from './fleet.js';
import type { News, ServerEvent } from './pool-events.js';
import { poolClosed, undeclared } from './refusals.js';
import { freeStarts, type OpenGroup, type ServerGroup, startsNeeded } from './server-group.js';
import type { PoolMetrics } from './status.js';
import { reuseKey, type Whose } from './whose.js';

/** What the lives of instances mean to the pool. */
export interface LifecycleHost {
  /** Whether anything may still be started. */
  isOpen(): boolean;
  /** An instance that can be used gets the leases of the one that it replaces; returns what tells of it. */
  takeOver(instance: ServerInstance): (() => void) | undefined;
  /** An instance can be used. */
  usable(instance: ServerInstance): void;
  /** An instance ended, or could not be started, though nobody asked for it. Its leases have no server. */
  lost(instance: ServerInstance, error: PoolError): void;
  /** An instance was ended by the pool while leases were on it. */
  stoppedUnder(instance: ServerInstance, error: PoolError): void;
  /** A start failed that would have served so many: somebody who waits may have to be told. */
  startFailed(group: ServerGroup, key: string, seats: number, error: PoolError): void;
  /** A start that no caller asked for failed. */
  spareFailed(group: ServerGroup): void;
  quarantined(): void;
  /** Slots or instances have changed. */
  changed(): void;
}

/** The lives of a pool's instances: starts them, keeps the fleet's counts in step with what happens to them, tells of it. */
export class Lifecycle implements InstanceObserver<ServerInstance> {
  readonly #fleet: Fleet;
  readonly #metrics: PoolMetrics;
  readonly #context: InstanceContext;
  readonly #news: News;
  readonly #host: LifecycleHost;
  readonly #breakers: Breakers;
  readonly #endReasons = new WeakMap<ServerInstance, EndReason>();
  /** Starts that no caller asked for: of `warm` and `minIdle`. */
  readonly #spares = new WeakSet<ServerInstance>();

  constructor(
    fleet: Fleet,
    breakers: Breakers,
    metrics: PoolMetrics,
    context: InstanceContext,
    news: News,
    host: LifecycleHost,
  ) {
    this.#fleet = fleet;
    this.#breakers = breakers;
    this.#metrics = metrics;
    this.#context = context;
    this.#news = news;
    this.#host = host;
  }

  /**
   * Takes a slot, spawns and registers, all in this tick.
   * @throws PoolError when there is nothing to be spawned; the slot is free again then
   */
  start(group: OpenGroup, whose: Whose): ServerInstance {
    const instance = this.#admit(group, whose);
    this.#spawn(instance, group);
    return instance;
  }

  /**
   * An instance that takes over the sessions of `instance`, which serves them until then: to be launched at once.
   * @throws PoolError `BREAKER_OPEN`, `POOL_CLOSED`
   */
  appointNext(group: OpenGroup, instance: ServerInstance): ServerInstance {
    const next = this.#admit(group, instance, instance);
    this.#spares.add(next);
    return next;
  }

  /** An instance that gets the slot of `predecessor`, and its sessions: to be launched when that is proven dead. */
  appointHeir(group: OpenGroup, predecessor: ServerInstance): ServerInstance {
    const heir = new ServerInstance(group.definition, predecessor, this.#context, this, predecessor);
    this.#fleet.addHeir(group, heir, predecessor);
    return heir;
  }

  /** Spawns an instance that was appointed. If there is nothing to be spawned, those who count on it learn of it. */
  launch(instance: ServerInstance): void {
    const group = this.#fleet.group(instance.name);
    if (group === undefined) return;
    try {
      this.#spawn(instance, group);
    } catch (error) {
      this.#host.startFailed(group, reuseKey(instance.definition, instance), instance.seats, error as PoolError);
      this.#host.changed();
    }
  }

  changed(): void {
    this.#host.changed();
  }

  /** Takes a slot for an instance, if its breaker lets it start. */
  #admit(group: OpenGroup, whose: Whose, predecessor?: ServerInstance): ServerInstance {
    // A listener to the start before may have shut the pool down.
    if (!this.#host.isOpen()) throw poolClosed();
    const instance = new ServerInstance(group.definition, whose, this.#context, this, predecessor);
    const isProbe = this.#breakers.admit(instance);
    this.#fleet.addStart(group, instance);
    if (isProbe) this.#breakers.tellProbe(instance);
    return instance;
  }

  #spawn(instance: ServerInstance, group: ServerGroup): void {
    // A listener has ended it before it began.
    if (instance.state !== 'starting') throw poolClosed();
    try {
      instance.start();
    } catch (error) {
      this.#host.lost(instance, error as PoolError);
      this.#fleet.removeStart(instance);
      this.#fleet.remove(instance);
      this.#tellFailure(instance, group, error as PoolError);
      throw error;
    }
    this.#metrics.started += 1;
    this.#metrics.mostProcesses = Math.max(this.#metrics.mostProcesses, this.#fleet.used);
    this.#news.emit('server:starting', serverEvent(instance));
  }

  /** A start that no caller asked for; undefined when it failed at once. */
  startSpare(group: OpenGroup, whose: Whose): ServerInstance | undefined {
    try {
      const instance = this.start(group, whose);
      this.#spares.add(instance);
      return instance;
    } catch {
      this.#host.spareFailed(group);
      return undefined;
    }
  }

  /** Ends the youngest start that is more than `waiting` callers, and `missing` spares, ask for. A start of `warm` or `minIdle` is wanted by the pool. */
  endUnwantedStart(group: ServerGroup, key: string, waiting: number, missing: number): void {
    const starts = freeStarts(group, key);
    const asked = starts.filter((instance) => !this.#spares.has(instance));
    const wanted = startsNeeded(starts, waiting) + missing;
    if (starts.length > Math.max(wanted, starts.length - asked.length)) void asked.at(-1)?.stop('unwanted');
  }

  /** Why an instance is being ended; undefined while it is not. */
  endReason(instance: ServerInstance): EndReason | undefined {
    return this.#endReasons.get(instance);
  }

  onReady(instance: ServerInstance): void {
    const group = this.#fleet.group(instance.name);
    this.#fleet.removeStart(instance);
    this.#breakers.ready(instance);
    if (group !== undefined) group.lastFailure = undefined;
    // It has its leases before anybody hears of it.
    const tellMove = this.#host.takeOver(instance);
    this.#news.emit('server:ready', { ...serverEvent(instance), duration: Date.now() - instance.startedAt });
    tellMove?.();
    // A listener may have ended it.
    if (instance.state === 'ready') this.#host.usable(instance);
  }

  onStartFailed(instance: ServerInstance, error: PoolError): void {
    const group = this.#fleet.group(instance.name);
    this.#fleet.removeStart(instance);
    if (group === undefined) return;
    this.#tellFailure(instance, group, error);
    this.#host.startFailed(group, reuseKey(instance.definition, instance), instance.seats, error);
    if (this.#spares.has(instance)) this.#host.spareFailed(group);
    this.#host.changed();
  }

  onStopping(instance: ServerInstance, reason: EndReason): void {
    this.#endReasons.set(instance, reason);
    if (!UNASKED.has(reason)) this.#breakers.ending(instance);
    // A start that failed counts until its failure is told, so that its caller gets that error and not another start.
    if (!UNASKED.has(reason)) this.#fleet.removeStart(instance);
    this.#fleet.markEnding(instance);
    if (reason === 'evicted') this.#metrics.evicted += 1;
    if (reason === 'crashed' || reason === 'broken') this.#spareCrashed(instance);
    this.#news.emit('server:stopping', { ...serverEvent(instance), reason });
    this.#host.changed();
  }

  /** A spare instance that crashes before anybody used it would be started again and again without a pause. */
  #spareCrashed(instance: ServerInstance): void {
    const group = this.#fleet.group(instance.name);
    if (group === undefined || instance.uses > 0 || !this.#spares.has(instance)) return;
    // One that has not even started is told as a failed start.
    if (!this.#fleet.isStarting(instance)) this.#host.spareFailed(group);
  }

  onExited(instance: ServerInstance, { exitCode, signal, outOfMemory }: ExitInfo, unexpected: boolean): void {
    if (unexpected) this.#metrics.crashes += 1;
    this.#news.emit('server:exited', {
      ...serverEvent(instance),
      exitCode,
      signal,
      outOfMemory: outOfMemory === true,
      unexpected,
      stderrTail: instance.stderrTail,
    });
  }

  onStopped(instance: ServerInstance, report: CleanupReport | undefined): void {
    this.#fleet.removeStart(instance);
    this.#fleet.remove(instance);
    // One that never had a process was not told of as starting either.
    if (!instance.wasLaunched) return this.#host.changed();
    this.#metrics.stopped += 1;
    this.#news.emit('server:stopped', { ...serverEvent(instance), reason: this.#endReasons.get(instance), report });
    this.#host.changed();
  }

  onQuarantined(instance: ServerInstance, report: CleanupReport): void {
    this.#metrics.quarantined += 1;
    this.#fleet.markQuarantined(instance);
    this.#news.emit('server:quarantined', { ...serverEvent(instance), report });
    this.#host.quarantined();
    this.#host.changed();
  }

  onLost(instance: ServerInstance, error: PoolError, unasked: boolean): void {
    if (unasked) this.#host.lost(instance, error);
    else this.#host.stoppedUnder(instance, error);
  }

  onUndeclared(instance: ServerInstance, capabilities: readonly string[]): void {
    const group = this.#fleet.group(instance.name);
    const first = capabilities.filter((name) => group?.undeclared.has(name) === false);
    if (first.length === 0) return;
    for (const name of first) group?.undeclared.add(name);
    const message = undeclared(instance, first);
    this.#news.emit('capability:undeclared', { ...serverEvent(instance), capabilities: first, message });
  }

  onToolsChanged(instance: ServerInstance, changes: ToolChanges): void {
    this.#news.emit('tools:changed', { ...serverEvent(instance), ...changes });
  }

  onInternalError(instance: ServerInstance, error: PoolError): void {
    this.#news.emit('internal:error', { ...serverEvent(instance), error });
  }

  onStderrLine(instance: ServerInstance, line: string): void {
    this.#news.emit('server:stderr', { ...serverEvent(instance), line });
  }

  wantsStderr(): boolean {
    return this.#news.hasListener('server:stderr');
  }

  #tellFailure(instance: ServerInstance, group: ServerGroup, error: PoolError): void {
    this.#metrics.startFailures += 1;
    const key = reuseKey(instance.definition, instance);
    group.lastFailure = { error, key, at: this.#context.clock.now() };
    this.#news.emit('server:failed', { ...serverEvent(instance), error });
  }
}

/** Ends that nobody asked for: they count as failures. A start that failed counts as one on its way until that is told. */
const UNASKED: ReadonlySet<EndReason> = new Set(['crashed', 'broken', 'start-failed']);

function serverEvent(instance: ServerInstance): ServerEvent {
  return { name: instance.name, instanceId: instance.id, pid: instance.pid, tenant: instance.tenant };
}
