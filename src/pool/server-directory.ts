import { isDeepStrictEqual } from 'node:util';
import { type ApplyConfigOptions, resolveApplyConfigOptions } from '../config/apply-config-options.js';
import { readLabel } from '../config/arguments.js';
import type { ResolvedDefinition, ResolvedPoolOptions, ServerDefinition } from '../config/options.js';
import { processKey } from '../config/process-key.js';
import { givenDefinition, resolveDefinition } from '../config/resolve-options.js';
import { namesOf, PoolError } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import type { Operations } from '../server/instance-context.js';
import type { AcquireQueue } from './acquire/acquire-queue.js';
import { type AppliedConfig, applyPlan, planConfig } from './applied-config.js';
import { warnAbout } from './config-warnings.js';
import type { PoolEmitter } from './events.js';
import type { Fleet } from './instances/fleet.js';
import type { IdleWatch } from './instances/idle-watch.js';
import type { PooledInstance } from './instances/pooled-instance.js';
import { isOutdated } from './instances/renewal.js';
import { isOpen, type OpenEntry } from './instances/server-entry.js';
import type { LeaseManager } from './leases/lease-manager.js';
import type { ServerOrder } from './order/server-order.js';
import { poolClosed, stillNeeded, unknownServer } from './refusals.js';
import type { Breakers } from './supervision/breakers.js';
import type { CrashRecovery } from './supervision/crash-recovery.js';
import type { RollingReplacement } from './supervision/rolling-replacement.js';

export interface ServerDirectoryDeps {
  readonly options: ResolvedPoolOptions;
  readonly clock: Clock;
  readonly emitter: PoolEmitter;
  readonly operations: Operations;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly queue: AcquireQueue;
  readonly breakers: Breakers;
  readonly idleWatch: IdleWatch;
  readonly recovery: CrashRecovery;
  readonly order: ServerOrder;
  readonly replacement: RollingReplacement;
  readonly monitorLoop: { forgetLives(name: string): void };
  readonly poolHealth: { redefined(instances: Iterable<PooledInstance>): void };
}

/** The servers of a pool by name: found, added, changed, removed. */
export class ServerDirectory {
  /** The source of each server that `applyConfig()` has added, and that was not removed since. */
  readonly sources = new Map<string, string>();
  readonly #deps: ServerDirectoryDeps;

  constructor(deps: ServerDirectoryDeps) {
    this.#deps = deps;
    const given = [...deps.options.servers.values()];
    for (const definition of given) deps.fleet.define(definition);
    // In the next turn, so that the maker of the pool can add its listeners first.
    queueMicrotask(() => {
      for (const definition of given) warnAbout(definition, deps.emitter);
    });
  }

  /**
   * The server with this name; without a name the only server.
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, `INVALID_OPTIONS`
   */
  find(name?: string): OpenEntry {
    this.#assertOpen();
    if (name !== undefined && typeof name !== 'string') {
      const problem = `the name of a server must be a string, got ${typeof name}`;
      throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
    }
    const entry = name === undefined ? this.#only : this.#deps.fleet.entries.get(name);
    if (isOpen(entry)) return entry;
    if (name === undefined) throw unknownServer(undefined, this.#names, 'must be named');
    throw unknownServer({ name }, this.#names, 'is not defined');
  }

  /**
   * The server with this name, for a call that changes it: without a name, none.
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, `INVALID_OPTIONS`
   */
  named(name: string, call: string): OpenEntry {
    this.#assertOpen();
    return this.find(readLabel(name, 'name', call));
  }

  /** @throws PoolError `INVALID_OPTIONS`, `NOT_SUPPORTED`, `POOL_CLOSED` */
  add(name: string, definition: ServerDefinition): void {
    this.#assertOpen();
    readLabel(name, 'name', 'addServer()');
    const { fleet, options } = this.#deps;
    if (isOpen(fleet.entries.get(name))) {
      const problem = `a server '${name}' is defined already; use updateServer() to change it`;
      throw new PoolError('INVALID_OPTIONS', problem, { name, problems: [problem] });
    }
    const resolved = resolveDefinition(name, definition, options, this.#definitions(name));
    this.#add(resolved);
  }

  /** Resolves when the last process of the old definition has ended. Throws as `updateServer()` does. */
  async update(name: string, definition: ServerDefinition, timeout: number): Promise<void> {
    const entry = this.named(name, 'updateServer()');
    const resolved = resolveDefinition(name, definition, this.#deps.options, this.#definitions(name));
    // An equal definition changes nothing, but processes of an earlier one may still have leases.
    await (this.#change(entry, resolved, timeout) ?? this.#drain(entry, timeout));
  }

  /** Adds or changes a server. False when that changes nothing. Throws as `setServer()` does. */
  set(name: string, definition: ServerDefinition): boolean {
    this.#assertOpen();
    readLabel(name, 'name', 'setServer()');
    return this.put(resolveDefinition(name, definition, this.#deps.options, this.#definitions(name)));
  }

  /** The same with a definition that is checked already. */
  put(resolved: ResolvedDefinition): boolean {
    const entry = this.#deps.fleet.entries.get(resolved.name);
    if (!isOpen(entry)) {
      this.#add(resolved);
      return true;
    }
    const change = this.#change(entry, resolved, Infinity);
    // The error of a process that could not be replaced is an event, too.
    change?.catch(() => {});
    return change !== undefined;
  }

  /** @throws PoolError as `applyConfig()` does, before anything has changed */
  apply(servers: unknown, options: ApplyConfigOptions): AppliedConfig {
    const before = { options: this.#deps.options, sources: this.sources, defined: this.definitions() };
    const plan = planConfig(servers, resolveApplyConfigOptions(options), before);
    return this.#deps.operations.run(() => applyPlan(plan, this));
  }

  /** Undefined when it changes nothing. */
  #change(entry: OpenEntry, changed: ResolvedDefinition, timeout: number): Promise<void> | undefined {
    const { name } = entry.definition;
    const {
      breakers,
      clock,
      fleet,
      idleWatch,
      leases,
      monitorLoop,
      operations,
      order,
      poolHealth,
      queue,
      recovery,
      replacement,
    } = this.#deps;
    const key = processKey(changed);
    // Their processes see another definition, or another host: its variables and its working directory may have changed.
    const instances = [...entry.instances];
    const isAnother =
      key !== entry.processKey || instances.some((one) => one.retired === undefined && isOutdated(one, changed, key));
    // A host may call this before each `getServer()`.
    if (!isAnother && isSame(changed, entry.definition)) {
      // Its functions may be others.
      operations.run(() => fleet.renew(changed));
      return undefined;
    }
    const old = instances.filter((one) => one.retired !== undefined || isOutdated(one, changed, key));
    return operations.run(() => {
      this.#define(changed);
      // Failures of the old definition say nothing about the new one.
      breakers.forgetServer(name);
      monitorLoop.forgetLives(name);
      queue.reclassify(entry);
      idleWatch.redefined(entry);
      recovery.redefined(entry);
      leases.redefined(entry, clock.now());
      poolHealth.redefined(entry.instances);
      order.redefined(name);
      return isAnother ? replacement.retire(old, 'replaced', timeout) : Promise.resolve();
    });
  }

  /** Joins an update that is under way: the shortest timeout counts. */
  async #drain({ instances }: OpenEntry, timeout: number): Promise<void> {
    const old = [...instances].filter(({ retired }) => retired === 'replaced');
    // Without a timeout it changes nothing: no event says so again.
    if (timeout === Infinity) await Promise.all(old.map((instance) => this.#deps.replacement.drained(instance)));
    else if (old.length > 0) await this.#deps.replacement.retire(old, 'replaced', timeout);
  }

  /** Resolves when its last process has ended. Throws as `removeServer()` does. */
  async remove(name: string, timeout: number): Promise<void> {
    const entry = this.named(name, 'removeServer()');
    const { breakers, fleet, monitorLoop, operations, order, queue, recovery, replacement } = this.#deps;
    const dependents = order.dependentsOf(name);
    if (dependents.length > 0) throw stillNeeded(entry, dependents);
    await operations.run(() => {
      this.sources.delete(name);
      const names = namesOf(entry);
      fleet.undefine(entry);
      recovery.redefined(entry);
      breakers.forgetServer(name);
      monitorLoop.forgetLives(name);
      const error = unknownServer(names, this.#names, 'was removed while the call waited');
      for (const waiter of queue.list(name)) queue.reject(waiter, error);
      order.redefined(name);
      return replacement.retire([...entry.instances], 'removed', timeout);
    });
  }

  /** Resolves when the last old process has ended. Throws as `restart()` does. */
  async restart(name: string, timeout: number, cascade = false): Promise<void> {
    const entry = this.named(name, 'restart()');
    const { breakers, operations, order, replacement } = this.#deps;
    operations.run(() => {
      breakers.reset(name, 'all');
      entry.sparePause.reset();
    });
    const old = [...entry.instances];
    if (cascade) await order.restart(name, timeout);
    // Those that nothing depends on, and that are there still.
    await operations.run(() =>
      replacement.retire(
        old.filter(({ state }) => state !== 'stopped'),
        'restart',
        timeout,
      ),
    );
  }

  /** Returns the number of breakers that were not closed. Throws as `resetBreaker()` does. */
  resetBreaker(name: string, { tenant, allTenants }: { tenant: string | undefined; allTenants: boolean }): number {
    const entry = this.named(name, 'resetBreaker()');
    const { breakers, operations } = this.#deps;
    return operations.run(() => {
      if (tenant === undefined) entry.sparePause.reset();
      return breakers.reset(name, allTenants ? 'all' : { tenant });
    });
  }

  /**
   * Those of all servers.
   * @throws PoolError `POOL_CLOSED`
   */
  definitions(): ResolvedDefinition[] {
    this.#assertOpen();
    return this.#open.map(({ definition }) => definition);
  }

  has(name: string): boolean {
    return isOpen(this.#deps.fleet.entries.get(name));
  }

  /** A copy. Throws as `getDefinition()` does. */
  definitionOf(name: string): ServerDefinition {
    const entry = this.#deps.fleet.entries.get(readLabel(name, 'name', 'getDefinition()'));
    if (!isOpen(entry)) throw unknownServer({ name }, this.#names, 'is not defined');
    return givenDefinition(entry.definition);
  }

  #add(definition: ResolvedDefinition): void {
    const { operations, order } = this.#deps;
    operations.run(() => {
      this.#define(definition);
      order.redefined(definition.name);
    });
  }

  #define(definition: ResolvedDefinition): void {
    this.#deps.fleet.define(definition);
    warnAbout(definition, this.#deps.emitter);
  }

  #assertOpen(): void {
    if (!this.#deps.fleet.isOpen) throw poolClosed();
  }

  get #open(): OpenEntry[] {
    return [...this.#deps.fleet.entries.values()].filter(isOpen);
  }

  /** Those of all other servers. */
  #definitions(name: string): ResolvedDefinition[] {
    return this.#open.filter((entry) => entry.name !== name).map(({ definition }) => definition);
  }

  get #names(): string[] {
    return this.#open.map(({ name }) => name);
  }

  get #only(): OpenEntry | undefined {
    const open = this.#open;
    return open.length === 1 ? open[0] : undefined;
  }
}

/** Whether two definitions say the same, apart from what their functions do: a host may write them anew for each call. */
function isSame(a: ResolvedDefinition, b: ResolvedDefinition): boolean {
  const plain = ({ health, readyCheck, perTenant, ...rest }: ResolvedDefinition) => ({
    ...rest,
    health: { ...health, check: typeof health.check === 'function' ? 'function' : health.check },
    readyCheck: typeof readyCheck === 'function' ? 'function' : readyCheck,
    perTenant: typeof perTenant,
  });
  return isDeepStrictEqual(plain(a), plain(b));
}
