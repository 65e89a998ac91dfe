import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { Fleet } from './fleet.js';
import type { PooledInstance } from './pooled-instance.js';
import { idleUntil, isKept, whyIdleEnds } from './reuse.js';
import type { LeaseClass, ServerEntry } from './server-entry.js';
import { isOverTenantLimit } from './tenant-limit.js';

/** Time between two looks at an instance that is kept for `minIdle`, at least, in ms: its `idleTimeout` may be 0. */
const SHORTEST_LOOK = 1_000;

/** Keeps instances without a lease idle, and ends them after `idleTimeout` or `maxLifetime`. */
export class IdleWatch {
  readonly #fleet: Fleet;
  readonly #dueTimes: DueTimes;

  constructor(fleet: Fleet, dueTimes: DueTimes) {
    this.#fleet = fleet;
    this.#dueTimes = dueTimes;
  }

  /** An instance has no lease: it becomes idle, or ends if it may not be used again or there are too many. */
  park(instance: PooledInstance, now: number): void {
    const leaseClass = this.#fleet.classOf(instance);
    if (leaseClass === undefined) return;
    const reason = instance.retired ?? (this.#isOverLimit(leaseClass) ? 'surplus' : undefined);
    if (reason !== undefined) return void instance.stop(reason);
    const home = this.#fleet.park(instance, now);
    this.#watch(instance);
    // With one more idle instance, the one that has been idle longest is no longer kept for `minIdle`, and may be due.
    const { clean, definition } = leaseClass.entry;
    const minimum = definition?.minIdle ?? 0;
    const spares = leaseClass.entry.countsUsed ? home?.idle : clean;
    const dropped = minimum > 0 ? spares?.at(-1 - minimum) : undefined;
    if (dropped) this.#watch(dropped);
  }

  /** A changed definition may allow fewer instances, or a shorter idle time. */
  redefined(entry: ServerEntry): void {
    for (const { instance, leaseClass } of idleOf(entry)) {
      if (this.#isOverLimit(leaseClass)) void instance.stop('surplus');
      else this.#watch(instance);
    }
  }

  #isOverLimit({ entry, tenant }: LeaseClass): boolean {
    return entry.isOverLimit || isOverTenantLimit(this.#fleet, entry, tenant);
  }

  /** Other instances depend on this one, or do so no more: then it is idle from now on. */
  setNeeded(instance: PooledInstance, isNeeded: boolean, now: number): void {
    if (this.#fleet.setNeeded(instance, isNeeded, now)) this.#watch(instance);
  }

  /** An instance is gone: it must not stay in memory until its time would have come. */
  forget({ idleDue }: PooledInstance): void {
    if (idleDue) this.#dueTimes.delete(idleDue);
  }

  /**
   * Sets when an idle instance is looked at. An earlier time stays, so that an instance that is leased again and again costs one
   * look in each `idleTimeout`.
   */
  #watch(instance: PooledInstance): void {
    instance.idleDue ??= newDue((now) => this.#look(instance, now), instance);
    this.#dueTimes.noLaterThan(instance.idleDue, Math.min(idleUntil(instance), instance.expiresAt));
  }

  #look(instance: PooledInstance, now: number): void {
    const leaseClass = this.#fleet.classOf(instance);
    if (!leaseClass?.idle.includes(instance) || instance.idleDue === undefined) return;
    const reason = whyIdleEnds(leaseClass, instance, now);
    if (reason !== undefined) return void instance.stop(reason);
    // One that is kept now may be one too many later: when another one, with leases, has room again.
    const next = isKept(leaseClass, instance) ? now + Math.max(instance.definition.idleTimeout, SHORTEST_LOOK) : 0;
    this.#dueTimes.set(instance.idleDue, Math.min(Math.max(idleUntil(instance), next), instance.expiresAt));
  }
}

function idleOf(entry: ServerEntry) {
  return [...entry.classes.values()].flatMap((leaseClass) =>
    leaseClass.idle.map((instance) => ({ instance, leaseClass })),
  );
}
