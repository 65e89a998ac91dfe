import { isSameVariant } from '../../config/variant.js';
import { namesOf, PoolError, shownName } from '../../errors.js';
import { type DueTimes, newDue } from '../../runtime/due-times.js';
import type { Fleet } from '../instances/fleet.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { ScopeIndex } from '../instances/scope-index.js';
import type { LeaseClass, ServerEntry } from '../instances/server-entry.js';
import { Lease, type LeaseDeps, type PooledServer } from './lease.js';
import type { LeaseEvents } from './lease-events.js';
import { LeaseHandle } from './lease-handle.js';
import { LeaseTable } from './lease-table.js';

/** Gives out leases on free instances, and takes them back. What follows from that, the scheduler decides. */
export class LeaseManager {
  readonly #fleet: Fleet;
  readonly #dueTimes: DueTimes;
  /** Time after which a lease may be a leak, in ms; 0: never. */
  readonly #leakDetection: number;
  readonly #events: LeaseEvents;
  readonly #table = new LeaseTable();
  readonly #scopes = new ScopeIndex<Lease>();
  readonly #withSilent = new Set<PooledInstance>();

  constructor(fleet: Fleet, dueTimes: DueTimes, events: LeaseEvents, leakDetection: number) {
    this.#fleet = fleet;
    this.#dueTimes = dueTimes;
    this.#events = events;
    this.#leakDetection = leakDetection;
  }

  get size(): number {
    return this.#table.size;
  }

  /** All leases that are held, oldest first. */
  list(): Lease[] {
    return this.#table.list();
  }

  find(id: string): Lease | undefined {
    return this.#table.find(id);
  }

  /** The leases of one owner, or of one tenant. */
  ofScope(by: 'owner' | 'tenant', label: string): Lease[] {
    return this.#scopes.of(by, label);
  }

  /** The oldest usable lease on a server that one owner holds for one tenant, with the same values. */
  heldBy(name: string, { tenant, owner, variant }: LeaseScope, isUsable: (lease: Lease) => boolean): Lease | undefined {
    if (owner === undefined) return undefined;
    const isAsked = (lease: Lease) =>
      lease.tenant === tenant && lease.name === name && isSameVariant(lease.instance.variant, variant);
    return this.#scopes.find('owner', owner, (lease) => isAsked(lease) && isUsable(lease));
  }

  /** One more holder of a lease. */
  share(lease: Lease): PooledServer {
    lease.hold();
    return new LeaseHandle(lease);
  }

  /** The leases on an instance, oldest first. */
  of(instance: PooledInstance): Lease[] {
    const leases: Lease[] = [];
    for (let lease = instance.firstLease as Lease | undefined; lease; lease = lease.after as Lease | undefined)
      leases.push(lease);
    return leases;
  }

  /** A lease on an idle instance, or on the shared one with the fewest leases; undefined when none has room. */
  lend(
    leaseClass: LeaseClass,
    scope: LeaseScope,
    now: number,
    stack: string | undefined,
    deps: LeaseDeps,
  ): Lease | undefined {
    const instance = this.#fleet.takeIdle(leaseClass, scope) ?? leaseClass.leastLoaded(now);
    if (instance === undefined) return undefined;
    const lease = new Lease(deps, this.#table.reserve(), instance, scope, now, stack);
    this.#table.set(lease);
    this.#scopes.add(lease);
    instance.uses += 1;
    if (instance.uses === 1) leaseClass.entry.sparePause.proven();
    this.#attach(instance, lease);
    if (instance.sharing === 'shared' && instance.leases === 1) this.#fleet.addShared(leaseClass, instance);
    if (leaseClass.waiting > 0) this.#fleet.changed(leaseClass);
    else this.#fleet.sparesChanged(leaseClass.entry);
    const leakAfter = this.#leakDetection > 0 ? this.#leakDetection : Infinity;
    this.#lookNoLaterThan(instance, now + Math.min(instance.definition.leaseIdleTimeout, leakAfter));
    return lease;
  }

  /** Takes a lease that has ended out of all counts. */
  remove(lease: Lease): void {
    const { instance } = lease;
    this.#table.delete(lease);
    this.#scopes.delete(lease);
    this.#detach(instance, lease);
    const leaseClass = this.#fleet.classOf(instance);
    if (leaseClass === undefined || instance.sharing !== 'shared') return;
    if (instance.leases === 0) this.#fleet.removeShared(leaseClass, instance);
    if (leaseClass.waiting > 0) this.#fleet.changed(leaseClass);
    else this.#fleet.sparesChanged(leaseClass.entry);
  }

  /** Ends all leases on an instance. */
  endAll(instance: PooledInstance, error: PoolError): void {
    for (const lease of this.of(instance)) lease.end({ asked: false, error: () => error });
  }

  /** Takes a lease back from the host. */
  reclaim(lease: Lease, now: number, why: string): void {
    const { id, instance, instanceId } = lease;
    this.#events.reclaimed(lease, now);
    const message = `the lease ${id} on server '${shownName(instance)}' was taken back: ${why}`;
    const data = { ...namesOf(instance), leaseId: id, instanceId };
    lease.end({ asked: false, error: () => new PoolError('LEASE_RECLAIMED', message, data) });
  }

  /** Moves the leases on `from` to the instance that serves them from now on. */
  move(from: PooledInstance, to: PooledInstance): void {
    for (const lease of this.of(from)) {
      const { isSilent } = lease;
      this.#detach(from, lease);
      lease.moveTo(to);
      this.#attach(to, lease);
      this.#markSilent(lease, isSilent);
    }
    if (from.leaseDue && from.leaseDue.place !== -1) this.#lookNoLaterThan(to, from.leaseDue.rank);
    const leaseClass = this.#fleet.classOf(from);
    if (leaseClass === undefined) return;
    this.#fleet.removeShared(leaseClass, from);
    this.#fleet.changed(leaseClass);
  }

  /** A definition was changed. With a shorter `leaseIdleTimeout` its leases are silent earlier than they were. */
  redefined({ instances }: ServerEntry, now: number): void {
    for (const instance of instances) if (instance.leases > 0) this.#lookNoLaterThan(instance, now);
  }

  /** Drops what is kept of an instance that has ended. */
  forget(instance: PooledInstance): void {
    this.#withSilent.delete(instance);
    if (instance.leaseDue) this.#dueTimes.delete(instance.leaseDue);
  }

  /** Whether a lease was silent for `leaseIdleTimeout`. If not, it is looked at again when it may be. */
  isSilent(lease: Lease, now: number): boolean {
    const { leaseIdleTimeout } = lease.instance.definition;
    const silence = lease.silence(now);
    this.#markSilent(lease, silence >= leaseIdleTimeout);
    if (!lease.isSilent) this.#lookNoLaterThan(lease.instance, now + leaseIdleTimeout - silence);
    return lease.isSilent;
  }

  #markSilent(lease: Lease, isSilent: boolean): void {
    if (lease.isSilent === isSilent) return;
    const { instance } = lease;
    lease.isSilent = isSilent;
    instance.silentLeases += isSilent ? 1 : -1;
    if (instance.silentLeases > 0) this.#withSilent.add(instance);
    else this.#withSilent.delete(instance);
  }

  /**
   * Sets when the leases of an instance are looked at: whether they are silent, or held for too long. All together, so that a
   * lease that is soon given back costs nothing here.
   */
  #lookNoLaterThan(instance: PooledInstance, at: number): void {
    instance.leaseDue ??= newDue((now) => this.#look(instance, now), instance);
    this.#dueTimes.noLaterThan(instance.leaseDue, at);
  }

  #look(instance: PooledInstance, now: number): void {
    for (const lease of this.of(instance)) {
      if (!lease.isSilent) this.isSilent(lease, now);
      if (this.#leakDetection > 0 && !lease.isLeakReported) this.#lookForLeak(lease, now);
    }
  }

  #lookForLeak(lease: Lease, now: number): void {
    const leaksAt = lease.acquiredAt + this.#leakDetection;
    if (now < leaksAt) return this.#lookNoLaterThan(lease.instance, leaksAt);
    lease.isLeakReported = true;
    this.#events.leaked(lease, now);
  }

  /** Whether any lease was silent when it was looked at last. */
  get hasSilent(): boolean {
    return this.#withSilent.size > 0;
  }

  /** Instances with leases that were silent when they were looked at last. */
  get withSilentLeases(): PooledInstance[] {
    return [...this.#withSilent];
  }

  /** The first lease of an instance that is still silent. */
  firstSilent(instance: PooledInstance, now: number): Lease | undefined {
    let lease = instance.firstLease as Lease | undefined;
    while (lease && !(lease.isSilent && this.isSilent(lease, now))) lease = lease.after as Lease | undefined;
    return lease;
  }

  /** Whether all leases of an instance are silent. */
  isAllSilent(instance: PooledInstance, now: number): boolean {
    if (instance.silentLeases < instance.leases) return false;
    return this.of(instance).every((lease) => this.isSilent(lease, now));
  }

  #attach(instance: PooledInstance, lease: Lease): void {
    lease.before = instance.lastLease;
    if (instance.lastLease) instance.lastLease.after = lease;
    else instance.firstLease = lease;
    instance.lastLease = lease;
    instance.leases += 1;
    instance.holders = undefined;
  }

  #detach(instance: PooledInstance, lease: Lease): void {
    this.#markSilent(lease, false);
    const { before, after } = lease;
    if (before) before.after = after;
    else instance.firstLease = after;
    if (after) after.before = before;
    else instance.lastLease = before;
    lease.before = undefined;
    lease.after = undefined;
    instance.leases -= 1;
    instance.holders = undefined;
  }
}

/** For each instance with leases: for how long all of them have been silent, in ms. */
export function silences(leases: Iterable<Lease>, now: number): Map<PooledInstance, number> {
  const silent = new Map<PooledInstance, number>();
  for (const lease of leases) {
    const { instance } = lease;
    silent.set(instance, Math.min(silent.get(instance) ?? Infinity, lease.silence(now)));
  }
  return silent;
}
