import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass } from '../instances/server-entry.js';
import { Breaker, type BreakerState } from './breaker.js';

/**
 * Largest number of breakers of one server, one for each tenant; each keeps its last error, with the end of stderr. The oldest
 * ones are dropped, as if they were closed.
 */
const MOST_TENANTS = 1_000;

/**
 * The breakers of a pool: one for each server and tenant, so that failures of the instances of one tenant do not keep another
 * tenant from its own. One breaker for all owners of a tenant: most owners call only once, so a breaker of their own would
 * never see a second failure.
 */
export class Breakers {
  readonly #clock: Clock;
  readonly #emitter: PoolEmitter;
  readonly #fleet: Fleet;
  /** By server, by tenant. */
  readonly #servers = new Map<string, Map<string | undefined, BreakerRecord>>();

  constructor(clock: Clock, emitter: PoolEmitter, fleet: Fleet) {
    this.#clock = clock;
    this.#emitter = emitter;
    this.#fleet = fleet;
  }

  /** An instance could not be started, or ended unexpectedly. */
  failed(instance: PooledInstance, error: PoolError): FailureOutcome {
    const now = this.#clock.now();
    const record = this.#record(instance);
    const { breaker, probe } = record;
    // An older instance says nothing about the probe.
    if (breaker.state === 'half-open' && probe !== instance)
      return { restart: false, error: this.#refusal(instance, record) };
    const uptime = instance.readySince === undefined ? 0 : now - instance.readySince;
    breaker.policy = instance.definition.restart;
    const verdict = breaker.failed(now, uptime);
    record.lastError = error;
    record.probe = undefined;
    if (verdict.action === 'restart') return { restart: true, delay: verdict.delay };
    const { name, tenant, definition } = instance;
    if (verdict.opened) {
      this.#changed(instance);
      this.#emitter.emit('breaker:opened', { name, tenant, cooldown: definition.restart.cooldown, error });
    }
    return { restart: false, error: this.#refusal(instance, record) };
  }

  /**
   * To be called before each start. When the cooldown is over, this start is the probe.
   * @throws PoolError `BREAKER_OPEN`
   */
  admit(instance: PooledInstance): void {
    const record = this.#recordOf(instance);
    const admitted = record?.breaker.admit(this.#clock.now()) ?? 'yes';
    if (record === undefined || admitted === 'yes') return;
    if (admitted === 'no') throw this.#refusal(instance, record);
    record.probe = instance;
    instance.isProbe = true;
    this.#changed(instance);
    const { name, tenant } = instance;
    this.#emitter.emit('breaker:half-opened', { name, tenant });
  }

  /** Whether a start for the callers of a class would be refused now. */
  refuses(leaseClass: LeaseClass): boolean {
    const breaker = this.#recordFor(leaseClass)?.breaker;
    if (breaker === undefined || breaker.state === 'closed') return false;
    return breaker.state === 'half-open' || breaker.retryAt > this.#clock.now();
  }

  /** Why it would be refused; undefined when it would not. */
  refusal(leaseClass: LeaseClass): PoolError | undefined {
    const record = this.refuses(leaseClass) ? this.#recordFor(leaseClass) : undefined;
    return record && this.#refusal(leaseClass.entry, record);
  }

  /** Clock time at which the breaker of a class allows a probe; undefined while it is not open. */
  retryAt(leaseClass: LeaseClass): number | undefined {
    const breaker = this.#recordFor(leaseClass)?.breaker;
    return breaker?.state === 'open' ? breaker.retryAt : undefined;
  }

  ready(instance: PooledInstance): void {
    const record = this.#recordOf(instance);
    if (record?.probe !== instance) return;
    record.probe = undefined;
    instance.isProbe = false;
    if (!record.breaker.ready()) return;
    this.#changed(instance);
    this.#emitter.emit('breaker:closed', { name: instance.name, tenant: instance.tenant });
  }

  /** An instance is being ended on purpose: if it was the probe, the next start is the probe. */
  ending(instance: PooledInstance): void {
    const record = this.#recordOf(instance);
    if (record?.probe !== instance) return;
    record.probe = undefined;
    record.breaker.probeAbandoned(this.#clock.now());
    this.#changed(instance);
  }

  /** Drops breakers of definitions or tenants that were changed or removed: their failures say nothing about later starts. */
  forget(matches: (name: string, tenant: string | undefined) => boolean): void {
    for (const [name, tenants] of this.#servers) {
      for (const [tenant, { probe }] of tenants) {
        if (!matches(name, tenant)) continue;
        if (probe) probe.isProbe = false;
        this.#drop(name, tenant);
      }
    }
  }

  /** Closes breakers of a server: of one tenant, or all. Returns the number of those that were not closed. */
  reset(name: string, which: 'all' | { readonly tenant: string | undefined }): number {
    let count = 0;
    for (const [tenant, { breaker, probe }] of this.#servers.get(name) ?? []) {
      if (which !== 'all' && which.tenant !== tenant) continue;
      if (probe) probe.isProbe = false;
      this.#drop(name, tenant);
      if (breaker.state === 'closed') continue;
      count += 1;
      this.#changed({ name, tenant });
      this.#emitter.emit('breaker:closed', { name, tenant });
    }
    return count;
  }

  /** The breakers of a server that have counted a failure. */
  statusOf(name: string): BreakerStatus[] {
    const now = this.#clock.now();
    return [...(this.#servers.get(name) ?? [])]
      .filter(([, { breaker }]) => !breaker.isPristine(now))
      .map(([tenant, { breaker, lastError }]) => ({
        tenant,
        state: breaker.state,
        failures: breaker.failuresWithin(now),
        retryAt: breaker.state === 'open' ? Date.now() + Math.round(breaker.retryAt - now) : undefined,
        lastError,
      }));
  }

  #drop(name: string, tenant: string | undefined): void {
    const tenants = this.#servers.get(name);
    tenants?.delete(tenant);
    if (tenants?.size === 0) this.#servers.delete(name);
  }

  #recordOf({ name, tenant }: PooledInstance): BreakerRecord | undefined {
    return this.#servers.get(name)?.get(tenant);
  }

  #recordFor({ entry: { name }, tenant }: LeaseClass): BreakerRecord | undefined {
    return this.#servers.size === 0 ? undefined : this.#servers.get(name)?.get(tenant);
  }

  /** A breaker has another state: the callers of its tenant may be refused now, or not any more. */
  #changed({ name, tenant }: { readonly name: string; readonly tenant: string | undefined }): void {
    for (const leaseClass of this.#fleet.entries.get(name)?.classes.values() ?? []) {
      if (leaseClass.tenant === tenant) this.#fleet.changed(leaseClass);
    }
  }

  #record(instance: PooledInstance): BreakerRecord {
    const known = this.#recordOf(instance);
    if (known) return known;
    this.#prune();
    const { name, tenant, definition } = instance;
    const tenants = this.#servers.get(name) ?? new Map<string | undefined, BreakerRecord>();
    this.#servers.set(name, tenants);
    const record: BreakerRecord = { breaker: new Breaker(definition.restart), lastError: undefined, probe: undefined };
    if (tenants.size >= MOST_TENANTS) this.#dropOldest(name, tenants);
    tenants.set(tenant, record);
    return record;
  }

  /** Drops breakers without failures that count, and breakers that are open for long: there may have been many tenants. */
  #prune(): void {
    const now = this.#clock.now();
    for (const [name, tenants] of this.#servers) {
      for (const [tenant, { breaker }] of tenants) {
        const { window, cooldown } = breaker.policy;
        const isOld = breaker.state === 'open' && now >= breaker.retryAt + window + cooldown;
        if (isOld || breaker.isPristine(now)) this.#drop(name, tenant);
      }
    }
  }

  #dropOldest(name: string, tenants: ReadonlyMap<string | undefined, BreakerRecord>): void {
    for (const [tenant, { probe }] of tenants) {
      if (probe !== undefined) continue;
      this.#drop(name, tenant);
      return this.#changed({ name, tenant });
    }
  }

  #refusal(server: ServerNames, { breaker, lastError }: BreakerRecord): PoolError {
    const left = Math.max(0, Math.round(breaker.retryAt - this.#clock.now()));
    const when =
      breaker.state === 'half-open'
        ? 'one start is on the way, and shows whether it works again'
        : left === Infinity
          ? 'it stays so until resetBreaker(), restart() or updateServer() with another definition'
          : `one start is allowed in ${left} ms, or after resetBreaker(), restart() or updateServer() with another definition`;
    const message = `server '${shownName(server)}' failed too often and is not started now; ${when}. The last failure: ${lastError?.message}`;
    return new PoolError('BREAKER_OPEN', message, { ...lastError?.data, ...namesOf(server), after: 0 }, lastError);
  }
}

interface BreakerRecord {
  readonly breaker: Breaker;
  /** The last failure: the cause of `BREAKER_OPEN`. */
  lastError: PoolError | undefined;
  /** The start that decides while the breaker is half-open. */
  probe: PooledInstance | undefined;
}

/** One breaker of a server, as `status()` shows it. */
export interface BreakerStatus {
  /** Undefined: of calls without a tenant. */
  readonly tenant: string | undefined;
  /** `open`: no start is made; `half-open`: one start is on the way, and decides. */
  readonly state: BreakerState;
  /** Number of failures within `restart.window`. */
  readonly failures: number;
  /** When an open one allows a start, in milliseconds since the epoch; `Infinity`: not before it is reset. Else undefined. */
  readonly retryAt: number | undefined;
  /** The last failure. */
  readonly lastError: PoolError | undefined;
}

/** What follows from a failure: a restart after `delay` ms, or `error` for callers and leases since the breaker is open. */
export type FailureOutcome =
  | { readonly restart: true; readonly delay: number }
  | { readonly restart: false; readonly error: PoolError };
