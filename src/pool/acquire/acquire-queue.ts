import type { PoolError } from '../../errors.js';
import { AbortListeners } from '../../runtime/abort-listeners.js';
import type { Clock } from '../../runtime/clock.js';
import type { DueTimes } from '../../runtime/due-times.js';
import { Heap } from '../../runtime/heap.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { Fleet } from '../instances/fleet.js';
import { reuseKey } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { ScopeIndex } from '../instances/scope-index.js';
import type { LeaseClass, OpenEntry, ServerEntry } from '../instances/server-entry.js';
import { type TenantRoom, tenantRoom } from '../instances/tenant-limit.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import type { Breakers } from '../supervision/breakers.js';
import { Answers } from './answers.js';
import { Deadlines } from './deadlines.js';
import { newSpecimens } from './specimens.js';
import { type LeaseRequest, type OnGiveUp, Waiter, WaitingClass, WaitingServer } from './waiter.js';

export interface AcquireQueueDeps {
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly breakers: Breakers;
  readonly events: LeaseEvents;
}

/**
 * The callers that wait, in order of arrival, by class. Each leaves exactly once: served or rejected. Adding a caller, taking
 * one out and finding the next one cost O(log n).
 */
export class AcquireQueue {
  readonly #deps: AcquireQueueDeps;
  readonly #deadlines: Deadlines<Waiter>;
  readonly #classes = new Map<LeaseClass, WaitingClass>();
  readonly #servers = new Map<string, WaitingServer>();
  readonly #scopes = new ScopeIndex<Waiter>();
  readonly #aborts = new AbortListeners<Waiter>();
  /** Unused objects that keep the optimized code of their classes: see `LeaseTable.specimen`. */
  readonly specimens = newSpecimens();
  readonly answers = new Answers();
  #arrivals = 0;
  #size = 0;
  /** Those that stand for the pool itself. */
  #internal = 0;
  #withoutStart = 0;
  /** Classes with a caller that needs no slot, by its arrival number: an instance is free, or no start would be made. */
  readonly immediate = new Heap<WaitingClass>();
  /** Servers with a caller that may get a slot, by the arrival number of that caller. */
  readonly candidates = new Heap<WaitingServer>();

  constructor(deps: AcquireQueueDeps) {
    this.#deps = deps;
    this.#deadlines = new Deadlines(deps.dueTimes, (waiter) => waiter.onGiveUp(waiter, 'timeout'));
  }

  get size(): number {
    return this.#size;
  }

  /** The same without those that stand for the pool itself. */
  get callers(): number {
    return this.#size - this.#internal;
  }

  /** Number of callers for which no start is on the way. */
  get withoutStart(): number {
    return this.#withoutStart;
  }

  /** Number of callers that wait for a server. */
  countOf(name: string): number {
    return this.#servers.get(name)?.count ?? 0;
  }

  /** Of the callers of a server that change nothing of its definition, the one that has waited longest. */
  oldestOf(name: string): Waiter | undefined {
    return this.#servers.get(name)?.first;
  }

  /** The caller of one tenant that has waited longest, of these classes. */
  oldestOfTenant(name: string, tenant: string | undefined, isAsked = (_: LeaseClass) => true): Waiter | undefined {
    const classes = this.#deps.fleet.classesOf(name, tenant).filter(isAsked);
    const firsts = classes.flatMap((one) => this.#classes.get(one)?.first ?? []);
    return firsts.sort((a, b) => a.number - b.number)[0];
  }

  /** Of these servers the one with the oldest caller that may get a slot. */
  firstOf(entries: Iterable<ServerEntry>): WaitingServer | undefined {
    let first: WaitingServer | undefined;
    for (const { name } of entries) {
      const server = this.#servers.get(name);
      const next = server?.isStuck ? undefined : server?.candidates.first;
      if (server && next && (first?.candidates.first === undefined || next.rank < first.candidates.first.rank))
        first = server;
    }
    return first;
  }

  /** Slots of a server that come free and are claimed for callers. */
  claimedOf(name: string): number {
    return this.#servers.get(name)?.claimed ?? 0;
  }

  /** Whether a limit of a server keeps one of its callers waiting. */
  isBlocked(name: string): boolean {
    for (const { next, isRefused, server } of this.#servers.get(name)?.classes ?? []) {
      if (next !== undefined && (server.isStuck || isRefused)) return true;
    }
    return false;
  }

  /** Adds a caller to the end. It keeps the host alive while it waits. */
  add(entry: OpenEntry, request: LeaseRequest, stack: string | undefined, onGiveUp: OnGiveUp): Waiter {
    const { clock, fleet, keepAlive } = this.#deps;
    const now = clock.now();
    const waiter = new Waiter(entry.name, request, stack, now, ++this.#arrivals, onGiveUp);
    this.#insert(waiter, fleet.classFor(entry, request));
    this.#size += 1;
    if (request.onInstance) this.#internal += 1;
    else if (this.callers === 1) keepAlive.take();
    this.#deadlines.add(waiter, request.timeout);
    this.#scopes.add(waiter);
    if (request.signal) this.#aborts.add(request.signal, waiter, (reason) => onGiveUp(waiter, { abortedBy: reason }));
    return waiter;
  }

  serve(waiter: Waiter, lease: Lease): void {
    const waited = this.waited(waiter);
    this.#leave(waiter);
    waiter.resolve(this.answers.lease(lease));
    if (waiter.announced) this.#deps.events.served(waiter, waited, forStart(waiter, lease.instance));
    this.#deps.events.acquired(lease, waited);
  }

  /** Does nothing when the caller has left meanwhile. */
  reject(waiter: Waiter, error: PoolError): void {
    if (waiter.queuedIn === undefined) return;
    this.#leave(waiter);
    if (waiter.request.onFailed) return waiter.request.onFailed(error);
    waiter.resolve(this.answers.error(error));
    this.#deps.events.rejected(waiter, this.waited(waiter), error);
  }

  /** The pool itself has waited for an instance, and has one, or does not want it any more. */
  withdraw(waiter: Waiter): void {
    if (waiter.queuedIn !== undefined) this.#leave(waiter);
  }

  /** How long a caller has waited, ms. */
  waited({ since }: Waiter): number {
    return Math.round(this.#deps.clock.now() - since);
  }

  /** The callers of one owner, or of one tenant. */
  of(by: 'owner' | 'tenant', label: string): Waiter[] {
    return this.#scopes.of(by, label);
  }

  /** The callers of one server, or of all: oldest first. */
  list(name?: string): Waiter[] {
    const servers = name === undefined ? [...this.#servers.values()] : [this.#servers.get(name)];
    const waiters = servers.flatMap((server) => [...(server?.classes ?? [])].flatMap((waiting) => [...waiting]));
    return waiters.sort((a, b) => a.number - b.number);
  }

  /** The callers of a class; undefined when none waits. */
  classOf(leaseClass: LeaseClass): WaitingClass | undefined {
    return this.#classes.get(leaseClass);
  }

  /** A changed definition may have another `reuse`, and so other classes for the callers that wait. */
  reclassify(entry: OpenEntry): void {
    const waiters = this.list(entry.name);
    if (waiters.every((waiter) => waiter.queuedIn?.leaseClass.key === reuseKey(entry.definition, waiter))) return;
    for (const waiter of waiters) this.#extract(waiter);
    for (const waiter of waiters) this.#insert(waiter, this.#deps.fleet.classFor(entry, waiter));
  }

  /** A class has changed: counts the seats on its starts again, and finds its next caller. */
  refresh(leaseClass: LeaseClass, now: number): void {
    const waiting = this.#classes.get(leaseClass);
    const server = this.#servers.get(leaseClass.entry.name);
    if (server) this.setStuck(server, false);
    if (waiting) {
      this.#withoutStart -= waiting.withoutStart;
      waiting.seats = leaseClass.startingSeats;
      this.#withoutStart += waiting.withoutStart;
      waiting.cover();
      this.rank(waiting, now);
    }
  }

  /** Whether `maxInstances` keeps all callers of a server waiting. They are no candidates then. */
  setStuck(server: WaitingServer, isStuck: boolean): void {
    if (server.isStuck === isStuck) return;
    server.isStuck = isStuck;
    this.#rankServer(server);
  }

  /**
   * Updates the place of a class. With a free instance its first caller counts, else its next one. If the breaker refuses a
   * start, that one is rejected, unless a running instance may come free for it.
   */
  rank(waiting: WaitingClass, now: number): void {
    const { breakers, dueTimes } = this.#deps;
    const { leaseClass, server, first, next } = waiting;
    const isFree = leaseClass.hasFree(now);
    const isRefused = !isFree && next !== undefined && breakers.refuses(leaseClass);
    waiting.isRefused = isRefused && leaseClass.isServing;
    // It waits for no slot, but until what its server depends on is there.
    const wantsStart = !isFree && !isRefused && next !== undefined;
    waiting.isBlocked = wantsStart && !this.#mayStart(waiting);
    this.#hold(waiting, wantsStart && !waiting.isBlocked && this.#roomOf(waiting) !== 'free');
    if (isFree) waiting.moveTo(this.immediate, first);
    else if (isRefused) waiting.moveTo(this.immediate, waiting.isRefused ? undefined : next);
    else if (!waiting.isHeld) waiting.moveTo(server.candidates, waiting.isBlocked ? undefined : next);
    // The breaker allows a probe then, even if nothing of the class has changed until then.
    if (waiting.isRefused) dueTimes.set(waiting.cooled, breakers.retryAt(leaseClass) ?? Infinity);
    this.#rankServer(server);
  }

  /** Of the classes of a tenant that wait until it may have one more instance, the one whose caller has waited longest. */
  firstHeld({ name }: ServerEntry, tenant: string | undefined): WaitingClass | undefined {
    return this.#servers.get(name)?.held.get(tenant)?.first;
  }

  #roomOf({ leaseClass }: WaitingClass): TenantRoom {
    return tenantRoom(this.#deps.fleet, leaseClass.entry, leaseClass.tenant);
  }

  /** Puts a class among those of its tenant that wait for it to have one less, or takes it out. */
  #hold(waiting: WaitingClass, isHeld: boolean): void {
    const { leaseClass, next, server } = waiting;
    const held = server.held.get(leaseClass.tenant) ?? new Heap<WaitingClass>();
    if (isHeld) {
      server.held.set(leaseClass.tenant, held);
      waiting.moveTo(held, next);
    } else if (waiting.isHeld) {
      waiting.moveTo(held, undefined);
      // There may be many tenants.
      if (held.size === 0) server.held.delete(leaseClass.tenant);
    }
    waiting.isHeld = isHeld;
  }

  /** Whether what its server depends on is there. Callers ask for that; one that stands for the pool is a part of what was asked for. */
  #mayStart({ leaseClass: { entry, tenant }, count, first }: WaitingClass): boolean {
    const { dependencies } = this.#deps.fleet.gate;
    const hasCallers = count > 1 || first?.request.onInstance === undefined;
    return hasCallers ? dependencies.allowsOrAsks(entry, tenant) : dependencies.allows(entry, tenant);
  }

  #rankServer(server: WaitingServer): void {
    const { first } = server.candidates;
    if (first === undefined || server.isStuck) this.candidates.delete(server);
    else this.candidates.set(server, first.rank);
  }

  #insert(waiter: Waiter, leaseClass: LeaseClass): void {
    const waiting = this.#classes.get(leaseClass) ?? this.#addClass(leaseClass);
    this.#withoutStart -= waiting.withoutStart;
    waiting.add(waiter);
    this.#withoutStart += waiting.withoutStart;
    waiting.server.add(waiter);
    leaseClass.waiting += 1;
    // Saves a search: a server that has nothing for the callers before this one has nothing for it either.
    if (!waiting.server.isStuck || waiting.next === waiter) this.#deps.fleet.changed(leaseClass);
  }

  #leave(waiter: Waiter): void {
    this.#scopes.delete(waiter);
    const { signal, timeout } = waiter.request;
    this.#deadlines.delete(waiter, timeout);
    if (signal) this.#aborts.delete(signal, waiter);
    this.#extract(waiter);
    this.#size -= 1;
    if (waiter.request.onInstance) this.#internal -= 1;
    else if (this.callers === 0) this.#deps.keepAlive.drop();
  }

  #extract(waiter: Waiter): void {
    const waiting = waiter.queuedIn;
    if (waiting === undefined) return;
    const { leaseClass, server } = waiting;
    this.#withoutStart -= waiting.withoutStart;
    waiting.remove(waiter);
    this.#withoutStart += waiting.withoutStart;
    server.remove(waiter);
    leaseClass.waiting -= 1;
    this.#deps.fleet.changed(leaseClass);
    this.#deps.fleet.gate.dependencies.lost(leaseClass);
    if (waiting.count > 0) return;
    this.#classes.delete(leaseClass);
    leaseClass.callers = undefined;
    this.#deps.dueTimes.delete(waiting.cooled);
    this.#hold(waiting, false);
    waiting.moveTo(server.candidates, undefined);
    server.classes.delete(waiting);
    this.#rankServer(server);
    if (server.classes.size === 0) this.#servers.delete(server.entry.name);
    this.#deps.fleet.prune(leaseClass);
  }

  #addClass(leaseClass: LeaseClass): WaitingClass {
    const { entry } = leaseClass;
    const server = this.#servers.get(entry.name) ?? new WaitingServer(entry);
    this.#servers.set(entry.name, server);
    const waiting = new WaitingClass(leaseClass, server, (cooled) => this.#deps.fleet.changed(cooled));
    waiting.seats = leaseClass.startingSeats;
    server.classes.add(waiting);
    this.#classes.set(leaseClass, waiting);
    leaseClass.callers = waiting;
    return waiting;
  }
}

/** How long a caller has waited for the start of its instance, ms. */
function forStart({ since }: Waiter, { madeSince, readySince = since }: PooledInstance): number {
  return Math.max(0, readySince - Math.max(since, madeSince));
}
