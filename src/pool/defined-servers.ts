import type { ApplyConfigOptions } from '../config/apply-config-options.js';
import {
  type DrainOptions,
  type ResetBreakerOptions,
  type RestartAllOptions,
  resolveDrainOptions,
  resolveResetBreakerOptions,
  resolveRestartAllOptions,
} from '../config/call-options.js';
import type { ServerDefinition } from '../config/options.js';
import {
  type RestartOptions,
  resolveRestartOptions,
  resolveStartOptions,
  type StartOptions,
} from '../config/order-options.js';
import { resolvePrefetch } from '../config/package-options.js';
import { rethrow } from '../errors.js';
import { listenerError } from '../events.js';
import type { SequenceReport } from '../sequence/sequence-report.js';
import type { AppliedConfig } from './applied-config.js';
import { ObservedPool } from './observed-pool.js';
import { startServers } from './order/start-servers.js';
import { type PrefetchOptions, type PrefetchReport, prefetch } from './packages/prefetch.js';
import { partsOf } from './parts-of.js';
import { type RestartReport, restartAll } from './supervision/restart-all.js';

/** The servers of a pool: defined, changed, replaced, removed. */
export abstract class DefinedServers extends ObservedPool {
  /**
   * Adds a server; `updateServer()` changes one that exists.
   * @throws PoolError `INVALID_OPTIONS` when the definition is wrong or the name is taken, `NOT_SUPPORTED`, `POOL_CLOSED`
   */
  addServer(name: string, definition: ServerDefinition): void {
    partsOf(this).servers.add(name, definition);
  }

  /**
   * Changes a definition at once: the next start uses it. An equal definition changes nothing. If command, args, env, cwd,
   * sharing or client capabilities change, or what a process inherits from the host, the processes that see something else
   * go: idle and starting ones end now, shared ones are replaced and their leases move, others end when they are released.
   * Any other change keeps the processes; `maxLifetime`, `maxMessageMB`, `maxInFlight`, `onCrash` and `retryTools` then
   * apply to later processes only.
   * @param drain `timeout` in ms, after which leases on old processes are taken back. Default: `Infinity`
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `INVALID_OPTIONS`, `NOT_SUPPORTED`, `POOL_CLOSED`; or the error because of which the
   *   process that was to take over shared leases could not be started. Then the old process serves these leases until they
   *   end, and gets no new ones
   */
  async updateServer(name: string, definition: ServerDefinition, drain: DrainOptions = {}): Promise<void> {
    await rethrow(partsOf(this).servers.update(name, definition, resolveDrainOptions(drain).timeout));
  }

  /**
   * Adds a server, or changes it as `updateServer()` does, without waiting for leases on old processes. The definition is
   * checked at once. An error because of which a process could not be replaced is emitted as `server:failed`.
   * @returns false when the definition is equal to the one of now: then nothing changes
   * @throws PoolError `INVALID_OPTIONS`, `NOT_SUPPORTED`, `POOL_CLOSED`
   */
  setServer(name: string, definition: ServerDefinition): boolean {
    return partsOf(this).servers.set(name, definition);
  }

  /**
   * Makes the servers of a configuration those of the pool: adds, changes (as `setServer()`) and removes what differs, at once.
   * Servers that the host has added itself, or that another source has, are left alone. Waits for no lease: those of a removed
   * server end when they are released.
   * @param servers the definitions by name: all of this source
   * @param options `source`: where they come from, such as a path (default: `''`); each source has servers of its own
   * @returns the names, by what was done with them
   * @throws PoolError `INVALID_OPTIONS` that lists the problems of all definitions, and `NOT_SUPPORTED`: then nothing has changed;
   *   `POOL_CLOSED`
   */
  applyConfig(servers: Readonly<Record<string, ServerDefinition>>, options: ApplyConfigOptions = {}): AppliedConfig {
    const applied = partsOf(this).servers.apply(servers, options);
    const { source = '' } = options;
    const { added, updated, removed } = applied;
    if (added.length + updated.length + removed.length > 0) this.emit('config:applied', { source, ...applied });
    return applied;
  }

  /**
   * Removes a server: its waiting callers are rejected with `UNKNOWN_SERVER`, its idle and starting instances end now, leased
   * ones when they are released.
   * @param drain `timeout` in ms, after which its leases are taken back. Default: `Infinity`
   * @returns when its last process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`; `INVALID_OPTIONS`, also when other servers depend on it
   */
  async removeServer(name: string, drain: DrainOptions = {}): Promise<void> {
    await partsOf(this).servers.remove(name, resolveDrainOptions(drain).timeout);
  }

  /**
   * Replaces the processes of a server: idle and starting ones end now, shared ones are replaced and their leases move,
   * other leased ones end when they are released (`server:draining` names them). Its breakers are reset.
   * @param options `timeout` in ms, after which leases on old processes are taken back (default: `Infinity`); `cascade`: whether
   *   what depends on it is restarted, too, in order (default: false)
   * @returns when the last old process has ended
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, `BREAKER_OPEN`, `INVALID_OPTIONS`; or the error because of which the
   *   process that was to take over shared leases could not be started. Then the old process stays in use
   */
  async restart(name: string, options: RestartOptions = {}): Promise<void> {
    const { timeout, cascade } = resolveRestartOptions(options);
    await rethrow(partsOf(this).servers.restart(name, timeout, cascade));
  }

  /**
   * Starts servers ahead of the first call, each after those that it depends on. Resolves also when that fails: look at the `state`
   * of the report. Servers on which nothing depends, and for which no slot is left, are `skipped` with the reason `no-slot`.
   * @param options `only`: which (default: all, apart from those with `autoStart: false`); `timeout` in ms (default: 60,000);
   *   `signal`; `onFailure` (default: `rollback`); `onProgress`
   * @returns the report: which servers are ready, in which waves, and what took so long
   * @throws PoolError `POOL_CLOSED`, `INVALID_OPTIONS`
   */
  async start(options: StartOptions = {}): Promise<SequenceReport> {
    return rethrow(startServers(resolveStartOptions(options), partsOf(this)));
  }

  /**
   * Restarts every server as `restart()` does, one after the other. A server that only waits for leases which cannot move
   * does not keep the next ones waiting, nor does an error. `plan('restart')` shows what would be done.
   * @param options `timeout` in ms, as of `restart()` (default: `Infinity`); `concurrency`: most servers at a time (default: 1)
   * @returns what became of each server, when the last old process has ended
   * @throws PoolError `POOL_CLOSED`, `INVALID_OPTIONS`. The error of a server is in the report
   */
  async restartAll(options: RestartAllOptions = {}): Promise<RestartReport> {
    return restartAll(partsOf(this), resolveRestartAllOptions(options));
  }

  /**
   * Closes breakers of a server and forgets the failures that they have counted: the server is started as usual again.
   * @param options `tenant`: that of this tenant; `allTenants`: all of them; neither: that of calls without a tenant
   * @returns the number of breakers that were open or half-open
   * @throws PoolError `UNKNOWN_SERVER`, `POOL_CLOSED`, `INVALID_OPTIONS`
   */
  resetBreaker(name: string, options: ResetBreakerOptions = {}): number {
    return partsOf(this).servers.resetBreaker(name, resolveResetBreakerOptions(options));
  }

  /**
   * Has npm install the packages of all servers with `resolvePackages`, so that their first starts need not wait for it. A
   * pending call keeps the host alive. A package that cannot be had is in the report, not thrown.
   * @param options `onProgress`, `timeout` for each package in ms (default: 300,000), `signal`
   * @returns what became of each server, when all are done
   * @throws PoolError `INVALID_OPTIONS`, `POOL_CLOSED`
   */
  async prefetch(options: PrefetchOptions = {}): Promise<PrefetchReport> {
    const { clock, keepAlive, resolver, servers } = partsOf(this);
    const onThrown = (error: unknown) => void this.emit('listener:error', listenerError('onProgress', error));
    const resolved = resolvePrefetch(options) as Parameters<typeof prefetch>[1];
    return keepAlive.during(prefetch(servers.definitions(), resolved, { clock, resolver, onThrown }));
  }

  /** Whether a server with this name is defined; false once it was removed. */
  hasServer(name: string): boolean {
    return partsOf(this).servers.has(name);
  }

  /**
   * The definition of a server as it was given, without defaults: a copy. It has the values of `env`, which may be secret.
   * @throws PoolError `UNKNOWN_SERVER`
   */
  getDefinition(name: string): ServerDefinition {
    return partsOf(this).servers.definitionOf(name);
  }
}
