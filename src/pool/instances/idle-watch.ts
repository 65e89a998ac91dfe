import type { Due, DueTimes } from '../../runtime/due-times.js';
import type { ServerInstance } from '../../server/server-instance.js';
import type { Fleet } from './fleet.js';
import { idleUntil, isKept, whyIdleEnds } from './reuse.js';
import type { ServerEntry } from './server-entry.js';

/** Parks instances without a lease, and ends them when their time is over: `idleTimeout`, or `maxLifetime`. */
export class IdleWatch {
  readonly #fleet: Fleet;
  readonly #dueTimes: DueTimes;
  readonly #dues = new WeakMap<ServerInstance, Due>();

  constructor(fleet: Fleet, dueTimes: DueTimes) {
    this.#fleet = fleet;
    this.#dueTimes = dueTimes;
  }

  /** An instance has no lease: it is idle, unless it may not be used again or there are too many. */
  park(instance: ServerInstance, now: number): void {
    const leaseClass = this.#fleet.classOf(instance);
    if (leaseClass === undefined) return;
    const reason = instance.retired ?? (leaseClass.entry.isOverLimit ? 'surplus' : undefined);
    if (reason !== undefined) return void instance.stop(reason);
    this.#fleet.park(leaseClass, instance, now);
    this.parked(instance);
  }

  /** The definition of a server was changed: what holds for its idle instances may have changed with it. */
  redefined(entry: ServerEntry): void {
    for (const instance of [...entry.classes.values()].flatMap(({ idle }) => idle)) {
      if (entry.isOverLimit) void instance.stop('surplus');
      else this.parked(instance);
    }
  }

  /**
   * An instance became idle, or its definition was changed. Its time is only brought forward: an instance that is taken and
   * given back again and again is looked at once in each `idleTimeout`.
   */
  parked(instance: ServerInstance): void {
    let due = this.#dues.get(instance);
    if (due === undefined) {
      due = { rank: 0, place: -1, order: 0, fallDue: (now) => this.#look(instance, now) };
      this.#dues.set(instance, due);
    }
    this.#dueTimes.noLaterThan(due, Math.min(idleUntil(instance), instance.expiresAt));
  }

  #look(instance: ServerInstance, now: number): void {
    const leaseClass = this.#fleet.classOf(instance);
    const due = this.#dues.get(instance);
    if (leaseClass === undefined || due === undefined || !leaseClass.idle.includes(instance)) return;
    const reason = whyIdleEnds(leaseClass, instance, now);
    if (reason !== undefined) return void instance.stop(reason);
    const { expiresAt } = instance;
    const next = isKept(leaseClass, instance) && idleUntil(instance) <= now ? expiresAt : idleUntil(instance);
    this.#dueTimes.set(due, Math.min(next, expiresAt));
  }
}
