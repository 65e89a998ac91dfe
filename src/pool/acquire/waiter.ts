import type { PoolError } from '../../errors.js';
import { type Due, newDue } from '../../runtime/due-times.js';
import { Heap, type HeapItem } from '../../runtime/heap.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { LeaseClass, ServerEntry } from '../instances/server-entry.js';
import type { Lease } from '../leases/lease.js';
import type { Expiring } from './deadlines.js';

/** What a caller asks for. */
export interface LeaseRequest extends LeaseScope {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** Why a caller gave up. */
export type GiveUpReason = 'timeout' | { readonly abortedBy: unknown };

/** Called when a caller gives up; it is in the queue then, unless it has left meanwhile. */
export type OnGiveUp = (waiter: Waiter, why: GiveUpReason) => void;

/** A call of `getServer()` that has no server yet. Its places in the queue are written by `AcquireQueue`. */
export class Waiter implements LeaseScope, Expiring {
  /** Of the server. */
  readonly name: string;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Where the caller stood, when leak detection is on. */
  readonly stack: string | undefined;
  /** Clock time of the call. */
  readonly since: number;
  /** The order of arrival in the whole pool. */
  readonly number: number;
  readonly onGiveUp: OnGiveUp;
  readonly lease: Promise<Lease>;
  /** Settle {@link lease}; only `AcquireQueue` calls them. */
  resolve!: (lease: Lease) => void;
  reject!: (error: PoolError) => void;
  /** Where it waits; undefined once it has left. */
  queuedIn: WaitingClass | undefined;
  previous: Waiter | undefined;
  next: Waiter | undefined;
  deadline = 0.5;
  sooner: Expiring | undefined;
  later: Expiring | undefined;
  /** Whether `queue:waiting` was emitted for it. */
  announced = false;

  constructor(
    name: string,
    request: LeaseRequest,
    stack: string | undefined,
    since: number,
    number: number,
    onGiveUp: OnGiveUp,
  ) {
    const { tenant, owner, timeout, signal } = request;
    this.name = name;
    this.tenant = tenant;
    this.owner = owner;
    this.timeout = timeout;
    this.signal = signal;
    this.stack = stack;
    this.since = since;
    this.number = number;
    this.onGiveUp = onGiveUp;
    this.lease = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/**
 * The callers that wait for instances of one class, in order of arrival. For the first of them something is on the way: a
 * start that has a seat for them, or a slot that comes free. {@link next} is the first for whom nothing is.
 */
export class WaitingClass implements HeapItem {
  rank = 0;
  place = -1;
  readonly leaseClass: LeaseClass;
  readonly server: WaitingServer;
  count = 0;
  /** Seats on starts that were counted last. */
  seats = 0;
  /** Slots that come free on which its callers count. */
  promised = 0;
  /** Whether an instance was free for it when it was ranked last. */
  isServed = false;
  /** Whether only a release can serve it, although its server has room: its breaker refuses starts. */
  isRefused = false;
  /** Set while its breaker refuses starts: when that lets a probe through. */
  readonly cooled: Due;
  first: Waiter | undefined;
  next: Waiter | undefined;
  /** Callers before {@link next}. */
  #ahead = 0;
  #last: Waiter | undefined;

  constructor(leaseClass: LeaseClass, server: WaitingServer, onCooled: (leaseClass: LeaseClass) => void) {
    this.leaseClass = leaseClass;
    this.server = server;
    this.cooled = newDue(() => onCooled(leaseClass));
  }

  /** Callers that no start is on its way to. */
  get uncovered(): number {
    return Math.max(0, this.count - this.seats);
  }

  /** Whether something is on the way to a caller. */
  isProvided({ number }: Waiter): boolean {
    return this.next === undefined || number < this.next.number;
  }

  add(waiter: Waiter): void {
    waiter.queuedIn = this;
    waiter.previous = this.#last;
    if (this.#last) this.#last.next = waiter;
    else this.first = waiter;
    this.#last = waiter;
    this.next ??= waiter;
    this.count += 1;
    this.provide();
  }

  remove(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (waiter === this.next) this.next = next;
    else if (this.isProvided(waiter)) this.#ahead -= 1;
    if (previous) previous.next = next;
    else this.first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    waiter.queuedIn = undefined;
    waiter.previous = undefined;
    waiter.next = undefined;
    this.count -= 1;
    this.provide();
  }

  /** Moves {@link next} to where seats and promises end. */
  provide(): void {
    const wanted = Math.min(this.seats + this.promised, this.count);
    for (; this.#ahead < wanted; this.#ahead++) this.next = this.next?.next;
    for (; this.#ahead > wanted; this.#ahead--) this.next = this.next ? this.next.previous : this.#last;
  }

  /** Oldest first. */
  *[Symbol.iterator](): Generator<Waiter> {
    for (let waiter = this.first; waiter !== undefined; waiter = waiter.next) yield waiter;
  }
}

/** The callers that wait for one server. */
export class WaitingServer implements HeapItem {
  rank = 0;
  place = -1;
  readonly entry: ServerEntry;
  readonly classes = new Set<WaitingClass>();
  /** Those of which a start may serve a caller, by the arrival of that caller. */
  readonly hungry = new Heap<WaitingClass>();
  /** Callers of all classes. */
  count = 0;
  /** Whether its `maxInstances` leave nothing for a caller until something of it changes. */
  isStuck = false;
  /** Slots of it that come free on which callers count. */
  claimed = 0;

  constructor(entry: ServerEntry) {
    this.entry = entry;
  }
}
