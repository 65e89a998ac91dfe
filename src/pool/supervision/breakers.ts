import { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { PoolEmitter } from '../events.js';
import { reuseKey } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { classId, type LeaseClass } from '../instances/server-entry.js';
import { Breaker } from './breaker.js';

interface Entry {
  readonly breaker: Breaker;
  readonly tenant: string | undefined;
  /** The last failure: the cause of `BREAKER_OPEN`. */
  lastError: PoolError | undefined;
  /** The start that decides while the breaker is half-open. */
  probe: PooledInstance | undefined;
}

/** What follows from a failure: a restart after `delay` ms, or `error` for callers and leases since the breaker is open. */
export type Outcome =
  | { readonly restart: true; readonly delay: number }
  | { readonly restart: false; readonly error: PoolError };

/**
 * The breakers of a pool: one for each server and reuse key, so that failures of the instances of one tenant do not keep
 * another tenant from its own.
 */
export class Breakers {
  readonly #clock: Clock;
  readonly #emitter: PoolEmitter;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, emitter: PoolEmitter) {
    this.#clock = clock;
    this.#emitter = emitter;
  }

  /** An instance could not be started, or ended unexpectedly. */
  failed(instance: PooledInstance, error: PoolError): Outcome {
    const now = this.#clock.now();
    const entry = this.#entry(instance);
    const { breaker, probe } = entry;
    // An older instance says nothing about the probe.
    if (breaker.state === 'half-open' && probe !== instance)
      return { restart: false, error: this.#refusal(instance, entry) };
    const uptime = instance.readySince === undefined ? 0 : now - instance.readySince;
    breaker.policy = instance.definition.restart;
    const verdict = breaker.failed(now, uptime);
    entry.lastError = error;
    entry.probe = undefined;
    if (verdict.action === 'restart') return { restart: true, delay: verdict.delay };
    const { name, tenant, definition } = instance;
    if (verdict.opened)
      this.#emitter.emit('breaker:opened', { name, tenant, cooldown: definition.restart.cooldown, error });
    return { restart: false, error: this.#refusal(instance, entry) };
  }

  /**
   * To be called before each start. When the cooldown is over, this start is the probe.
   * @throws PoolError `BREAKER_OPEN`
   */
  admit(instance: PooledInstance): void {
    const entry = this.#entries.get(idOf(instance));
    const admitted = entry?.breaker.admit(this.#clock.now()) ?? 'yes';
    if (entry === undefined || admitted === 'yes') return;
    if (admitted === 'no') throw this.#refusal(instance, entry);
    entry.probe = instance;
    instance.isProbe = true;
    const { name, tenant } = instance;
    this.#emitter.emit('breaker:half-opened', { name, tenant });
  }

  /** Whether a start for the callers of a class would be refused now. */
  refuses({ id }: LeaseClass): boolean {
    const breaker = this.#entries.size === 0 ? undefined : this.#entries.get(id)?.breaker;
    if (breaker === undefined || breaker.state === 'closed') return false;
    return breaker.state === 'half-open' || breaker.retryAt > this.#clock.now();
  }

  /** Why it would be refused; undefined when it would not. */
  refusal(leaseClass: LeaseClass): PoolError | undefined {
    const entry = this.refuses(leaseClass) ? this.#entries.get(leaseClass.id) : undefined;
    return entry && this.#refusal(leaseClass.entry, entry);
  }

  /** Clock time at which the breaker of a class allows a probe; undefined while it is not open. */
  retryAt({ id }: LeaseClass): number | undefined {
    const breaker = this.#entries.get(id)?.breaker;
    return breaker?.state === 'open' ? breaker.retryAt : undefined;
  }

  ready(instance: PooledInstance): void {
    const entry = this.#entries.get(idOf(instance));
    if (entry?.probe !== instance) return;
    entry.probe = undefined;
    instance.isProbe = false;
    if (entry.breaker.ready()) this.#emitter.emit('breaker:closed', { name: instance.name, tenant: instance.tenant });
  }

  /** An instance is being ended on purpose: if it was the probe, the next start is the probe. */
  ending(instance: PooledInstance): void {
    const entry = this.#entries.get(idOf(instance));
    if (entry?.probe !== instance) return;
    entry.probe = undefined;
    entry.breaker.probeAbandoned(this.#clock.now());
  }

  /** Drops breakers of definitions or tenants that were changed or removed: their failures say nothing about later starts. */
  forget(matches: (name: string, tenant: string | undefined) => boolean): void {
    for (const [id, { tenant, probe }] of this.#entries) {
      if (!matches(id.slice(0, id.indexOf('\0')), tenant)) continue;
      if (probe) probe.isProbe = false;
      this.#entries.delete(id);
    }
  }

  #entry(instance: PooledInstance): Entry {
    const id = idOf(instance);
    const known = this.#entries.get(id);
    if (known) return known;
    this.#prune();
    const breaker = new Breaker(instance.definition.restart);
    const entry: Entry = { breaker, tenant: instance.tenant, lastError: undefined, probe: undefined };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Drops breakers without failures that count, and breakers that are open for long: there may have been many tenants. */
  #prune(): void {
    const now = this.#clock.now();
    for (const [id, { breaker }] of this.#entries) {
      const { window, cooldown } = breaker.policy;
      const isOld = breaker.state === 'open' && now >= breaker.retryAt + window + cooldown;
      if (isOld || breaker.isPristine(now)) this.#entries.delete(id);
    }
  }

  #refusal({ name }: { readonly name: string }, { breaker, lastError }: Entry): PoolError {
    const left = Math.max(0, Math.round(breaker.retryAt - this.#clock.now()));
    const when =
      breaker.state === 'half-open'
        ? 'one start is on the way, and shows whether it works again'
        : `one start is allowed in ${left} ms, or after updateServer()`;
    const message = `server '${name}' failed too often and is not started now; ${when}. The last failure: ${lastError?.message}`;
    return new PoolError('BREAKER_OPEN', message, { ...lastError?.data, name, after: 0 }, lastError);
  }
}

/** The id of the class of an instance. The class may not exist yet: an instance is admitted before it is added. */
function idOf(instance: PooledInstance): string {
  return classId(instance.name, reuseKey(instance.definition, instance));
}
