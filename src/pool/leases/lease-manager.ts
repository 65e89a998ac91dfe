import { PoolError } from '../../errors.js';
import type { DueTimes } from '../../runtime/due-times.js';
import type { ServerInstance } from '../../server/server-instance.js';
import type { Fleet } from '../instances/fleet.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import { ScopeIndex } from '../instances/scope-index.js';
import type { LeaseClass } from '../instances/server-entry.js';
import { Lease, type LeaseDeps } from './lease.js';
import type { LeaseEvents } from './lease-events.js';

/** The leases on one instance. */
interface HeldLeases {
  readonly all: Set<Lease>;
  /** Those that were silent for `leaseIdleTimeout` when they were looked at last. */
  readonly silent: Set<Lease>;
}

/** Gives out leases on instances that can be used now, and takes them back. What follows from that is for the scheduler. */
export class LeaseManager {
  readonly #fleet: Fleet;
  readonly #dueTimes: DueTimes;
  /** After so long a lease may be a leak, ms; 0: never. */
  readonly #leakDetection: number;
  readonly #events: LeaseEvents;
  readonly #leases = new Map<number, Lease>();
  readonly #scopes = new ScopeIndex<Lease>();
  readonly #held = new Map<ServerInstance, HeldLeases>();
  readonly #withSilent = new Set<ServerInstance>();

  constructor(fleet: Fleet, dueTimes: DueTimes, events: LeaseEvents, leakDetection: number) {
    this.#fleet = fleet;
    this.#dueTimes = dueTimes;
    this.#events = events;
    this.#leakDetection = leakDetection;
  }

  get size(): number {
    return this.#leases.size;
  }

  /** All that are held, the oldest first. */
  [Symbol.iterator](): IterableIterator<Lease> {
    return this.#leases.values();
  }

  byNumber(number: number): Lease | undefined {
    return this.#leases.get(number);
  }

  /** Those of one owner, or of one tenant. */
  ofScope(by: 'owner' | 'tenant', label: string): Lease[] {
    return this.#scopes.of(by, label);
  }

  /** Those on an instance. */
  of(instance: ServerInstance): Lease[] {
    return [...(this.#held.get(instance)?.all ?? [])];
  }

  /** A lease on an idle instance, or on the shared one with the fewest; undefined when none of the class has room. */
  lend(
    leaseClass: LeaseClass,
    scope: LeaseScope,
    now: number,
    stack: string | undefined,
    deps: LeaseDeps,
  ): Lease | undefined {
    const instance = this.#fleet.takeIdle(leaseClass) ?? leaseClass.leastLoaded(now);
    if (instance === undefined) return undefined;
    const lease = new Lease(deps, instance, scope, now, stack);
    this.#leases.set(lease.number, lease);
    this.#scopes.add(lease);
    instance.uses += 1;
    if (instance.uses === 1) this.#fleet.provenUseful(leaseClass);
    this.#hold(instance, lease);
    if (instance.sharing === 'shared' && instance.leases === 1) this.#fleet.addShared(leaseClass, instance);
    if (leaseClass.waiting > 0) this.#fleet.changed(leaseClass);
    const { leaseIdleTimeout } = instance.definition;
    const leakAfter = this.#leakDetection > 0 ? this.#leakDetection : Infinity;
    this.#dueTimes.set(lease, now + Math.min(leaseIdleTimeout, leakAfter));
    return lease;
  }

  /** A lease has ended. Its instance is idle, or may end, when it was the last one. */
  remove(lease: Lease): void {
    const { instance } = lease;
    this.#leases.delete(lease.number);
    this.#scopes.delete(lease);
    this.#dueTimes.delete(lease);
    this.#drop(instance, lease);
    const leaseClass = this.#fleet.classOf(instance);
    if (leaseClass === undefined || instance.sharing !== 'shared') return;
    if (instance.leases === 0) this.#fleet.removeShared(leaseClass, instance);
    if (leaseClass.waiting > 0) this.#fleet.changed(leaseClass);
  }

  /** The instance of these leases has ended. */
  endAll(instance: ServerInstance, error: PoolError): void {
    for (const lease of this.of(instance)) lease.end({ asked: false, error: () => error });
  }

  /** Takes a lease from its holder. */
  reclaim(lease: Lease, now: number, why: string): void {
    const { id, name, instanceId } = lease;
    this.#events.reclaimed(lease, now);
    const message = `the lease ${id} on server '${name}' was taken back: ${why}`;
    const data = { name, leaseId: id, instanceId };
    lease.end({ asked: false, error: () => new PoolError('LEASE_RECLAIMED', message, data) });
  }

  /** Another instance serves the leases of `from` from now on. */
  move(from: ServerInstance, to: ServerInstance): void {
    for (const lease of this.of(from)) {
      this.#drop(from, lease);
      lease.moveTo(to);
      this.#hold(to, lease);
    }
    const leaseClass = this.#fleet.classOf(from);
    if (leaseClass) this.#fleet.removeShared(leaseClass, from);
  }

  /** An instance is gone. */
  forget(instance: ServerInstance): void {
    this.#held.delete(instance);
    this.#withSilent.delete(instance);
  }

  /** Whether a lease is silent for `leaseIdleTimeout`. If not, it is looked at again when it may be. */
  isSilent(lease: Lease, now: number): boolean {
    const { instance } = lease;
    const { leaseIdleTimeout } = instance.definition;
    const silence = lease.silence(now);
    const held = this.#held.get(instance);
    if (silence >= leaseIdleTimeout) {
      held?.silent.add(lease);
      this.#withSilent.add(instance);
      return true;
    }
    held?.silent.delete(lease);
    if (held?.silent.size === 0) this.#withSilent.delete(instance);
    this.#dueTimes.noLaterThan(lease, now + leaseIdleTimeout - silence);
    return false;
  }

  /** A lease may be silent, or held for too long, since `now`. */
  look(lease: Lease, now: number): void {
    this.isSilent(lease, now);
    if (this.#leakDetection === 0 || lease.isLeakReported) return;
    const leaksAt = lease.acquiredAt + this.#leakDetection;
    if (now < leaksAt) return this.#dueTimes.noLaterThan(lease, leaksAt);
    lease.isLeakReported = true;
    this.#events.leaked(lease, now);
  }

  /** Instances with leases that were silent when they were looked at last. */
  get withSilentLeases(): ServerInstance[] {
    return [...this.#withSilent];
  }

  /** The first lease of an instance that is silent still. */
  firstSilent(instance: ServerInstance, now: number): Lease | undefined {
    for (const lease of this.#held.get(instance)?.silent ?? []) if (this.isSilent(lease, now)) return lease;
    return undefined;
  }

  /** Whether all leases of an instance are silent. */
  isAllSilent(instance: ServerInstance, now: number): boolean {
    const held = this.#held.get(instance);
    if (held === undefined || held.silent.size < held.all.size) return false;
    return [...held.all].every((lease) => this.isSilent(lease, now));
  }

  #hold(instance: ServerInstance, lease: Lease): void {
    let held = this.#held.get(instance);
    if (held === undefined) {
      held = { all: new Set(), silent: new Set() };
      this.#held.set(instance, held);
    }
    held.all.add(lease);
    instance.leases += 1;
  }

  #drop(instance: ServerInstance, lease: Lease): void {
    const held = this.#held.get(instance);
    held?.all.delete(lease);
    if (held?.silent.delete(lease) && held.silent.size === 0) this.#withSilent.delete(instance);
    instance.leases -= 1;
  }
}

/** For how long all leases of an instance have been silent, ms, for each that has leases. */
export function silences(leases: Iterable<Lease>, now: number): Map<ServerInstance, number> {
  const silent = new Map<ServerInstance, number>();
  for (const lease of leases) {
    const { instance } = lease;
    silent.set(instance, Math.min(silent.get(instance) ?? Infinity, lease.silence(now)));
  }
  return silent;
}
