import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { Fleet } from './fleet.js';
import type { PooledInstance } from './pooled-instance.js';
import { idleUntil, isKept, whyIdleEnds } from './reuse.js';
import type { ServerEntry } from './server-entry.js';

/** Parks instances without a lease, and ends them when their time is over: `idleTimeout`, or `maxLifetime`. */
export class IdleWatch {
  readonly #fleet: Fleet;
  readonly #dueTimes: DueTimes;

  constructor(fleet: Fleet, dueTimes: DueTimes) {
    this.#fleet = fleet;
    this.#dueTimes = dueTimes;
  }

  /** An instance has no lease: it is idle, unless it may not be used again or there are too many. */
  park(instance: PooledInstance, now: number): void {
    const leaseClass = this.#fleet.classOf(instance);
    if (leaseClass === undefined) return;
    const reason = instance.retired ?? (leaseClass.entry.isOverLimit ? 'surplus' : undefined);
    if (reason !== undefined) return void instance.stop(reason);
    this.#fleet.park(leaseClass, instance, now);
    this.#watch(instance);
    // One that was among the spare instances until now may have had its time already.
    const minIdle = leaseClass.entry.definition?.minIdle ?? 0;
    const noLongerKept = minIdle > 0 ? leaseClass.idle.at(-1 - minIdle) : undefined;
    if (noLongerKept) this.#watch(noLongerKept);
  }

  /** The definition of a server was changed: what holds for its idle instances may have changed with it. */
  redefined(entry: ServerEntry): void {
    for (const instance of [...entry.classes.values()].flatMap(({ idle }) => idle)) {
      if (entry.isOverLimit) void instance.stop('surplus');
      else this.#watch(instance);
    }
  }

  /**
   * An instance became idle, or its definition was changed. Its time is only brought forward: an instance that is taken and
   * given back again and again is looked at once in each `idleTimeout`.
   */
  #watch(instance: PooledInstance): void {
    instance.idleDue ??= newDue((now) => this.#look(instance, now));
    this.#dueTimes.noLaterThan(instance.idleDue, Math.min(idleUntil(instance), instance.expiresAt));
  }

  #look(instance: PooledInstance, now: number): void {
    const leaseClass = this.#fleet.classOf(instance);
    if (!leaseClass?.idle.includes(instance) || instance.idleDue === undefined) return;
    const reason = whyIdleEnds(leaseClass, instance, now);
    if (reason !== undefined) return void instance.stop(reason);
    const until = isKept(leaseClass, instance) && idleUntil(instance) <= now ? Infinity : idleUntil(instance);
    this.#dueTimes.set(instance.idleDue, Math.min(until, instance.expiresAt));
  }
}
