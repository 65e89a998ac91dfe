import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { DueTimes } from '../../runtime/due-times.js';
import { Heap } from '../../runtime/heap.js';
import type { KeepAlive } from '../../runtime/keep-alive.js';
import type { Fleet } from '../instances/fleet.js';
import { reuseKey } from '../instances/lease-scope.js';
import { ScopeIndex } from '../instances/scope-index.js';
import { LeaseClass, type OpenEntry, ServerEntry } from '../instances/server-entry.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseEvents } from '../leases/lease-events.js';
import { AbortListeners } from './abort-listeners.js';
import { Deadlines } from './deadlines.js';
import { type LeaseRequest, type OnGiveUp, Waiter, WaitingClass, WaitingServer } from './waiter.js';

export interface AcquireQueueDeps {
  readonly clock: Clock;
  readonly hold: KeepAlive;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly events: LeaseEvents;
}

/**
 * Callers that wait, in order of arrival, by class. Each leaves exactly once: served, or rejected. To add, to take out and
 * to find the next costs O(log n), however many wait.
 */
export class AcquireQueue {
  readonly #deps: AcquireQueueDeps;
  readonly #deadlines: Deadlines<Waiter>;
  readonly #classes = new Map<LeaseClass, WaitingClass>();
  readonly #servers = new Map<string, WaitingServer>();
  readonly #scopes = new ScopeIndex<Waiter>();
  readonly #aborts = new AbortListeners<Waiter>();
  /** Objects that are never used: without any, V8 drops the optimized code of their classes (see `LeaseTable`). */
  readonly specimens = newSpecimens();
  #arrivals = 0;
  #size = 0;
  #uncovered = 0;
  /** Classes that have a free instance, by the arrival of the first caller. */
  readonly served = new Heap<WaitingClass>();
  /** Servers of which a start may serve a caller, by the arrival of that caller. */
  readonly hungry = new Heap<WaitingServer>();

  constructor(deps: AcquireQueueDeps) {
    this.#deps = deps;
    this.#deadlines = new Deadlines(deps.dueTimes, (waiter) => waiter.onGiveUp(waiter, 'timeout'));
  }

  get size(): number {
    return this.#size;
  }

  /** Callers that no start is on its way to. */
  get uncovered(): number {
    return this.#uncovered;
  }

  /** Callers that wait for a server. */
  countOf(name: string): number {
    return this.#servers.get(name)?.count ?? 0;
  }

  /** Whether a limit of a server keeps one of its callers waiting. */
  isBlocked(name: string): boolean {
    for (const { next, isRefused, server } of this.#servers.get(name)?.classes ?? []) {
      if (next !== undefined && (server.isStuck || isRefused)) return true;
    }
    return false;
  }

  /** Adds a caller to the end. It holds the host open while it waits. */
  add(entry: OpenEntry, request: LeaseRequest, stack: string | undefined, onGiveUp: OnGiveUp): Waiter {
    const { clock, fleet, hold } = this.#deps;
    const now = clock.now();
    const waiter = new Waiter(entry.name, request, stack, now, ++this.#arrivals, onGiveUp);
    this.#insert(waiter, fleet.classFor(entry, request));
    this.#size += 1;
    if (this.#size === 1) hold.take();
    this.#deadlines.add(waiter, now, waiter.timeout);
    this.#scopes.add(waiter);
    if (waiter.signal) this.#aborts.add(waiter.signal, waiter, (reason) => onGiveUp(waiter, { abortedBy: reason }));
    return waiter;
  }

  serve(waiter: Waiter, lease: Lease): void {
    const waited = this.waited(waiter);
    this.#leave(waiter);
    waiter.resolve(lease);
    if (waiter.announced) this.#deps.events.served(waiter, waited);
    this.#deps.events.acquired(lease, waited);
  }

  /** Also for one that has left meanwhile. */
  reject(waiter: Waiter, error: PoolError): void {
    if (waiter.queuedIn === undefined) return;
    this.#leave(waiter);
    waiter.reject(error);
    this.#deps.events.rejected(waiter, this.waited(waiter), error);
  }

  /** How long a caller has waited, ms. */
  waited({ since }: Waiter): number {
    return Math.round(this.#deps.clock.now() - since);
  }

  /** Those of one owner, or of one tenant. */
  of(by: 'owner' | 'tenant', label: string): Waiter[] {
    return this.#scopes.of(by, label);
  }

  /** Those that wait for one server, or for any: oldest first. */
  list(name?: string): Waiter[] {
    const servers = name === undefined ? [...this.#servers.values()] : [this.#servers.get(name)];
    const waiters = servers.flatMap((server) => [...(server?.classes ?? [])].flatMap((waiting) => [...waiting]));
    return waiters.sort((a, b) => a.number - b.number);
  }

  /** The first `count` of a class. */
  oldest(leaseClass: LeaseClass, count: number): Waiter[] {
    const waiters: Waiter[] = [];
    for (const waiter of this.#classes.get(leaseClass) ?? []) {
      if (waiters.length >= count) break;
      waiters.push(waiter);
    }
    return waiters;
  }

  /** Those of one class. */
  classOf(leaseClass: LeaseClass): WaitingClass | undefined {
    return this.#classes.get(leaseClass);
  }

  /** A definition was changed, and with it perhaps which instances may serve its callers. */
  reclassify(entry: OpenEntry): void {
    const waiters = this.list(entry.name);
    if (waiters.every((waiter) => waiter.queuedIn?.leaseClass.key === reuseKey(entry.definition, waiter))) return;
    for (const waiter of waiters) this.#extract(waiter);
    for (const waiter of waiters) this.#insert(waiter, this.#deps.fleet.classFor(entry, waiter));
  }

  /** Something of a class changed: counts anew who counts on what, and which of its callers is the next. */
  refresh(leaseClass: LeaseClass, now: number): void {
    const waiting = this.#classes.get(leaseClass);
    const server = this.#servers.get(leaseClass.entry.name);
    if (server) server.isStuck = false;
    if (waiting) {
      this.#uncovered -= waiting.uncovered;
      waiting.seats = leaseClass.startingSeats;
      waiting.isRefused = false;
      this.#uncovered += waiting.uncovered;
      waiting.provide();
      this.rank(waiting, now);
    } else if (server) {
      this.rankServer(server);
    }
  }

  /**
   * Gives a class its place among those whose callers may get something: with a free instance its first, else its next. A free
   * instance serves a caller also where no start can be made for those before it.
   */
  rank(waiting: WaitingClass, now: number): void {
    const { leaseClass, server } = waiting;
    const isServed = leaseClass.hasFree(now);
    if (isServed !== waiting.isServed) this.#unrank(waiting);
    waiting.isServed = isServed;
    const candidate = isServed ? waiting.first : waiting.isRefused ? undefined : waiting.next;
    if (candidate === undefined) this.#unrank(waiting);
    else if (isServed) this.served.set(waiting, candidate.number);
    else server.hungry.set(waiting, candidate.number);
    this.rankServer(server);
  }

  #unrank(waiting: WaitingClass): void {
    if (waiting.isServed) this.served.delete(waiting);
    else waiting.server.hungry.delete(waiting);
  }

  /** The callers of a class may get something at clock time `at`, though nothing of it changes until then. */
  lookAgain({ cooled }: WaitingClass, at: number): void {
    this.#deps.dueTimes.set(cooled, at);
  }

  rankServer(server: WaitingServer): void {
    const { first } = server.hungry;
    if (first === undefined || server.isStuck) this.hungry.delete(server);
    else this.hungry.set(server, first.rank);
  }

  #insert(waiter: Waiter, leaseClass: LeaseClass): void {
    const waiting = this.#classes.get(leaseClass) ?? this.#addClass(leaseClass);
    this.#uncovered -= waiting.uncovered;
    waiting.add(waiter);
    this.#uncovered += waiting.uncovered;
    waiting.server.count += 1;
    leaseClass.waiting += 1;
    // Behind others of its class on a server that has nothing for them, there is nothing to look for.
    if (!waiting.server.isStuck || waiting.count === 1) this.#deps.fleet.changed(leaseClass);
  }

  #leave(waiter: Waiter): void {
    this.#deadlines.delete(waiter, waiter.timeout);
    this.#scopes.delete(waiter);
    if (waiter.signal) this.#aborts.delete(waiter.signal, waiter);
    this.#extract(waiter);
    this.#size -= 1;
    if (this.#size === 0) this.#deps.hold.drop();
  }

  #extract(waiter: Waiter): void {
    const waiting = waiter.queuedIn;
    if (waiting === undefined) return;
    const { leaseClass, server } = waiting;
    this.#uncovered -= waiting.uncovered;
    waiting.remove(waiter);
    this.#uncovered += waiting.uncovered;
    server.count -= 1;
    leaseClass.waiting -= 1;
    this.#deps.fleet.changed(leaseClass);
    if (waiting.count > 0) return;
    this.#classes.delete(leaseClass);
    this.#deps.dueTimes.delete(waiting.cooled);
    this.#unrank(waiting);
    server.classes.delete(waiting);
    this.rankServer(server);
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
    return waiting;
  }
}

function newSpecimens(): readonly object[] {
  const server = new WaitingServer(new ServerEntry(''));
  const waiting = new WaitingClass(new LeaseClass(server.entry, ''), server, () => {});
  const request = { tenant: undefined, owner: undefined, timeout: 0, signal: undefined };
  return [server, waiting, new Waiter('', request, undefined, 0.5, 0, () => {})];
}
