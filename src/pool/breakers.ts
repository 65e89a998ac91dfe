import { PoolError } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import { Breaker } from '../server/breaker.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { News } from './pool-events.js';
import { kindOf } from './whose.js';

interface Entry {
  readonly breaker: Breaker;
  readonly tenant: string | undefined;
  /** The last that failed, and why: callers are told. */
  lastError: PoolError | undefined;
  /** The one start that decides, while the breaker is half-open. */
  probe: ServerInstance | undefined;
}

/** What became of a failure: the server may be started again after `delay` ms, or not before its breaker lets it. */
export type Outcome =
  | { readonly restart: true; readonly delay: number }
  | { readonly restart: false; readonly error: PoolError };

/**
 * The breakers of a pool: one for each server and those who may share an instance of it, so that what one tenant does to
 * its servers refuses nothing to another.
 */
export class Breakers {
  readonly #clock: Clock;
  readonly #news: News;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, news: News) {
    this.#clock = clock;
    this.#news = news;
  }

  /** An instance could not be started, or ended unasked. */
  failed(instance: ServerInstance, error: PoolError): Outcome {
    const now = this.#clock.now();
    const entry = this.#entry(instance);
    const { breaker, probe } = entry;
    // One that lived before the probe says nothing about it.
    if (breaker.state === 'half-open' && probe !== instance)
      return { restart: false, error: this.#refusal(instance, entry) };
    const uptime = instance.readySince === undefined ? 0 : now - instance.readySince;
    breaker.policy = instance.definition.restart;
    const verdict = breaker.failed(now, uptime);
    entry.lastError = error;
    entry.probe = undefined;
    if (verdict.action === 'restart') return { restart: true, delay: verdict.delay };
    const { name, tenant, definition } = instance;
    if (verdict.told) this.#news.emit('breaker:opened', { name, tenant, cooldown: definition.restart.cooldown, error });
    return { restart: false, error: this.#refusal(instance, entry) };
  }

  /**
   * To be asked before each start. True when this one is the probe of a breaker that has cooled down: to be told of when it
   * has its slot.
   * @throws PoolError `BREAKER_OPEN`
   */
  admit(instance: ServerInstance): boolean {
    const entry = this.#entries.get(kindOf(instance.definition, instance));
    const admitted = entry?.breaker.admit(this.#clock.now()) ?? 'yes';
    if (entry === undefined || admitted === 'yes') return false;
    if (admitted === 'no') throw this.#refusal(instance, entry);
    entry.probe = instance;
    instance.isProbe = true;
    return true;
  }

  tellProbe({ name, tenant }: ServerInstance): void {
    this.#news.emit('breaker:half-opened', { name, tenant });
  }

  /** Why no start would be made now for those whom an instance of this kind serves; undefined when one would be. */
  refusal(kind: string, name: string): PoolError | undefined {
    const entry = this.#entries.get(kind);
    if (entry === undefined || entry.breaker.state === 'closed') return undefined;
    if (entry.breaker.state === 'open' && entry.breaker.retryAt <= this.#clock.now()) return undefined;
    return this.#refusal({ name }, entry);
  }

  ready(instance: ServerInstance): void {
    const entry = this.#entries.get(kindOf(instance.definition, instance));
    if (entry?.probe !== instance) return;
    entry.probe = undefined;
    instance.isProbe = false;
    if (entry.breaker.ready()) this.#news.emit('breaker:closed', { name: instance.name, tenant: instance.tenant });
  }

  /** An instance is being ended on purpose: if it was a probe, the next start is one. */
  ending(instance: ServerInstance): void {
    const entry = this.#entries.get(kindOf(instance.definition, instance));
    if (entry?.probe !== instance) return;
    entry.probe = undefined;
    entry.breaker.probeAbandoned(this.#clock.now());
  }

  /** A definition was changed or removed: what failed before says nothing about what comes. */
  forget(matches: (name: string, tenant: string | undefined) => boolean): void {
    for (const [kind, { tenant, probe }] of this.#entries) {
      if (!matches(kind.slice(0, kind.indexOf('\0')), tenant)) continue;
      if (probe) probe.isProbe = false;
      this.#entries.delete(kind);
    }
  }

  #entry(instance: ServerInstance): Entry {
    const kind = kindOf(instance.definition, instance);
    const known = this.#entries.get(kind);
    if (known) return known;
    this.#prune();
    const breaker = new Breaker(instance.definition.restart);
    const entry: Entry = { breaker, tenant: instance.tenant, lastError: undefined, probe: undefined };
    this.#entries.set(kind, entry);
    return entry;
  }

  /** Forgets those that have nothing to remember, or whose failures are long ago: there may have been many tenants. */
  #prune(): void {
    const now = this.#clock.now();
    for (const [kind, { breaker }] of this.#entries) {
      const { window, cooldown } = breaker.policy;
      const isOld = breaker.state === 'open' && now >= breaker.retryAt + window + cooldown;
      if (isOld || breaker.isPristine(now)) this.#entries.delete(kind);
    }
  }

  #refusal({ name }: { readonly name: string }, { breaker, lastError }: Entry): PoolError {
    const left = Math.max(0, Math.round(breaker.retryAt - this.#clock.now()));
    const when =
      breaker.state === 'half-open'
        ? 'a start that shows whether it works again is on its way'
        : `it is tried again in ${left} ms`;
    const message = `server '${name}' failed too often and is not started now; ${when}. The last failure: ${lastError?.message}`;
    return new PoolError('BREAKER_OPEN', message, { ...lastError?.data, name, after: 0 }, lastError);
  }
}
