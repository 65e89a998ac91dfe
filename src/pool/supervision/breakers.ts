import { namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass } from '../instances/server-entry.js';
import { Breaker, type BreakerState } from './breaker.js';
import { type BreakerRecord, BreakerRecords } from './breaker-records.js';

/**
 * The breakers of a pool: one for each server, tenant and variant, so that failures of the instances of one tenant do not keep
 * another tenant from its own, and wrong values of some calls do not keep others. One breaker for all owners of a tenant: most
 * owners call only once, so a breaker of their own would never see a second failure.
 */
export class Breakers {
  readonly #clock: Clock;
  readonly #emitter: PoolEmitter;
  readonly #fleet: Fleet;
  readonly #records = new BreakerRecords((record) => this.#closed(record));

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
    record.probe = undefined;
    this.#records.failed(record, error);
    if (verdict.action === 'restart') return { restart: true, delay: verdict.delay };
    const { name, tenant, definition } = instance;
    if (verdict.opened) {
      this.#changed(record);
      const { cooldown } = definition.restart;
      this.#emitter.emit('breaker:opened', { name, tenant, variant: record.mark, cooldown, error });
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
    this.#changed(record);
    const { name, tenant } = instance;
    this.#emitter.emit('breaker:half-opened', { name, tenant, variant: record.mark });
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
    this.#changed(record);
    this.#emitter.emit('breaker:closed', { name: instance.name, tenant: instance.tenant, variant: record.mark });
  }

  /** An instance is being ended on purpose: if it was the probe, the next start is the probe. */
  ending(instance: PooledInstance): void {
    const record = this.#recordOf(instance);
    if (record?.probe !== instance) return;
    record.probe = undefined;
    record.breaker.probeAbandoned(this.#clock.now());
    this.#changed(record);
  }

  /** Drops the breakers of a definition that was changed or removed: their failures say nothing about later starts. */
  forgetServer(name: string): void {
    for (const record of this.#records.ofServer(name)) this.#drop(record);
  }

  /** Drops those of a tenant that was released. */
  forgetTenant(tenant: string): void {
    for (const record of this.#records.ofTenant(tenant)) this.#drop(record);
  }

  /** Closes breakers of a server: of one tenant, or all. Returns the number of those that were not closed. */
  reset(name: string, which: 'all' | { readonly tenant: string | undefined }): number {
    let count = 0;
    for (const record of which === 'all' ? this.#records.ofServer(name) : this.#records.ofTenant(which.tenant, name)) {
      this.#drop(record);
      if (record.breaker.state !== 'closed') count += 1;
    }
    return count;
  }

  /** The breakers of a server that have counted a failure. */
  statusOf(name: string): BreakerStatus[] {
    const now = this.#clock.now();
    return this.#records
      .ofServer(name)
      .filter(({ breaker }) => !breaker.isPristine(now))
      .map(({ tenant, mark, breaker, lastError }) => ({
        tenant,
        variant: mark,
        state: breaker.state,
        failures: breaker.failuresWithin(now),
        retryAt: breaker.state === 'open' ? Date.now() + Math.round(breaker.retryAt - now) : undefined,
        lastError,
      }));
  }

  #drop(record: BreakerRecord): void {
    if (record.probe) record.probe.isProbe = false;
    this.#records.drop(record);
    this.#closed(record);
  }

  /** A record was dropped: its breaker is as if it were closed. */
  #closed(record: BreakerRecord): void {
    const { state, retryAt } = record.breaker;
    if (state === 'closed') return;
    if (state === 'half-open' || retryAt > this.#clock.now()) this.#callersChanged(record);
    this.#emitter.emit('breaker:closed', { name: record.name, tenant: record.tenant, variant: record.mark });
  }

  #recordOf(instance: PooledInstance): BreakerRecord | undefined {
    return this.#records.find(instance.name, instance);
  }

  #recordFor(leaseClass: LeaseClass): BreakerRecord | undefined {
    return this.#records.isEmpty ? undefined : this.#records.find(leaseClass.entry.name, leaseClass);
  }

  /** A breaker has another state. */
  #changed(record: BreakerRecord): void {
    this.#records.changed(record);
    this.#callersChanged(record);
  }

  /** The callers of a tenant may be refused now, or not any more. */
  #callersChanged({ name, tenant, variantId }: BreakerRecord): void {
    for (const leaseClass of this.#fleet.entries.get(name)?.classes.values() ?? []) {
      if (leaseClass.tenant === tenant && leaseClass.variant?.id === variantId) this.#fleet.changed(leaseClass);
    }
  }

  #record(instance: PooledInstance): BreakerRecord {
    const { name, definition } = instance;
    return (
      this.#recordOf(instance) ?? this.#records.add(name, instance, new Breaker(definition.restart), this.#clock.now())
    );
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

/** One breaker of a server, as `status()` shows it. */
export interface BreakerStatus {
  /** Undefined: of calls without a tenant. */
  readonly tenant: string | undefined;
  /** As in its events; undefined: of calls that change nothing of the definition. */
  readonly variant: string | undefined;
  /** `open`: no start is made; `half-open`: one start is on the way, and decides. */
  readonly state: BreakerState;
  /** Number of failures within `restart.window`. */
  readonly failures: number;
  /** When an open one allows a start, in milliseconds since the epoch; `Infinity`: not before it is reset. Else undefined. */
  readonly retryAt: number | undefined;
  /** The last failure. What the server wrote is kept for the last 50 breakers of a pool that counted one. */
  readonly lastError: PoolError | undefined;
}

/** What follows from a failure: a restart after `delay` ms, or `error` for callers and leases since the breaker is open. */
export type FailureOutcome =
  | { readonly restart: true; readonly delay: number }
  | { readonly restart: false; readonly error: PoolError };
