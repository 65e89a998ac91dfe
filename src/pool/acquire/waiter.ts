import type { Variant } from '../../config/variant.js';
import type { PoolError } from '../../errors.js';
import { type Due, newDue } from '../../runtime/due-times.js';
import { Heap, type HeapItem } from '../../runtime/heap.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { ClassCallers, PooledInstance, WaitingCaller } from '../instances/pooled-instance.js';
import type { LeaseClass, ServerEntry } from '../instances/server-entry.js';
import type { Lease } from '../leases/lease.js';
import type { Expiring } from './deadlines.js';

/** Most callers that an event looks at to name their owners. */
const MOST_NAMED = 100;

/** What a caller asks for. */
export interface LeaseRequest extends LeaseScope {
  /** In ms. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Whether the lease that its owner holds will do. */
  readonly reuseLease: boolean;
  /** Set where the pool itself waits for an instance that others depend on, and for no lease: called instead of an answer. */
  readonly onInstance?: ((instance: PooledInstance) => void) | undefined;
  readonly onFailed?: ((error: PoolError) => void) | undefined;
}

/** Why a caller gave up. */
export type GiveUpReason = 'timeout' | { readonly abortedBy: unknown };

/** Called when a caller gives up. The caller may have left the queue already. */
export type OnGiveUp = (waiter: Waiter, why: GiveUpReason) => void;

/** A call of `getServer()` that has no server yet. Its links to other callers are written by `AcquireQueue`. */
export class Waiter implements LeaseScope, Expiring {
  /** Name of the server. */
  readonly name: string;
  readonly request: LeaseRequest;
  /** Where `getServer()` was called; only with `leakDetection`. */
  readonly stack: string | undefined;
  /** Clock time of the call; an integer, which V8 stores in the object itself. */
  readonly since: number;
  /** The order of arrival in the whole pool. */
  readonly number: number;
  readonly onGiveUp: OnGiveUp;
  readonly lease: Promise<Lease>;
  /** Settles {@link lease}; only `AcquireQueue` calls it, with what `Answers` returns. */
  resolve!: (answer: Lease | Promise<Lease>) => void;
  /** Where it waits; undefined once it has left. */
  queuedIn: WaitingClass | undefined;
  previous: Waiter | undefined;
  next: Waiter | undefined;
  /** The callers of its server before and after it; a caller with a variant has none. */
  before: Waiter | undefined;
  after: Waiter | undefined;
  sooner: Expiring | undefined;
  later: Expiring | undefined;
  /** Whether `queue:waiting` was emitted for it. Written by `WaitReasons`. */
  announced = false;

  constructor(
    name: string,
    request: LeaseRequest,
    stack: string | undefined,
    since: number,
    number: number,
    onGiveUp: OnGiveUp,
  ) {
    this.name = name;
    this.request = request;
    this.stack = stack;
    this.since = Math.floor(since);
    this.number = number;
    this.onGiveUp = onGiveUp;
    this.lease = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** That of its server, while it waits. */
  get label(): string | undefined {
    return this.queuedIn?.leaseClass.entry.label;
  }

  get tenant(): string | undefined {
    return this.request.tenant;
  }

  get owner(): string | undefined {
    return this.request.owner;
  }

  get variant(): Variant | undefined {
    return this.request.variant;
  }

  get deadline(): number {
    return this.since + this.request.timeout;
  }
}

/**
 * The callers that wait for instances of one class, in order of arrival. For the first ones something is on the way: a seat
 * on a start, or a slot that comes free. {@link next} is the first caller for which nothing is.
 */
export class WaitingClass implements HeapItem, ClassCallers {
  rank = 0;
  place = -1;
  readonly leaseClass: LeaseClass;
  readonly server: WaitingServer;
  count = 0;
  /** Seats on starts, when they were counted last. Written by `AcquireQueue`. */
  seats = 0;
  /** Slots that come free and are claimed for its callers. Written by `Matcher`. */
  claimed = 0;
  /**
   * Whether its breaker refuses starts: then only a release can serve it, even if its server has room. Written by
   * `AcquireQueue`.
   */
  isRefused = false;
  /** Whether what its server depends on is not there, so that nothing may be started for it. Written by `AcquireQueue`. */
  isBlocked = false;
  /** Whether it waits until its tenant may have one more instance: it is in `WaitingServer.held`. Written by `AcquireQueue`. */
  isHeld = false;
  /** Due when its breaker allows a probe. Set only while the breaker refuses starts. */
  readonly cooled: Due;
  first: Waiter | undefined;
  next: Waiter | undefined;
  /** The heap of candidates that it is in. */
  #heap: Heap<WaitingClass> | undefined;
  /** One list until the next change, since a server may write many lines to stderr while it starts. */
  #owners: readonly WaitingCaller[] | undefined;
  /** Number of callers before {@link next}. */
  #ahead = 0;
  #last: Waiter | undefined;

  constructor(leaseClass: LeaseClass, server: WaitingServer, onCooled: (leaseClass: LeaseClass) => void) {
    this.leaseClass = leaseClass;
    this.server = server;
    this.cooled = newDue(() => onCooled(leaseClass));
  }

  /** Number of callers for which no start is on the way. */
  get withoutStart(): number {
    return Math.max(0, this.count - this.seats);
  }

  /** Whether something is on the way for a caller. */
  isCovered({ number }: Waiter): boolean {
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
    this.#owners = undefined;
    this.cover();
  }

  remove(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (waiter === this.next) this.next = next;
    else if (this.isCovered(waiter)) this.#ahead -= 1;
    if (previous) previous.next = next;
    else this.first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    waiter.queuedIn = undefined;
    waiter.previous = undefined;
    waiter.next = undefined;
    this.count -= 1;
    this.#owners = undefined;
    this.cover();
  }

  get owners(): readonly WaitingCaller[] {
    if (this.#owners !== undefined) return this.#owners;
    const owners = new Set<string | undefined>();
    let looks = 0;
    for (let waiter = this.first; waiter !== undefined && looks < MOST_NAMED; waiter = waiter.next, looks++)
      owners.add(waiter.owner);
    this.#owners = [...owners].map((owner) => ({ owner }));
    return this.#owners;
  }

  /** Puts the class into a heap, by the arrival number of `candidate`; without a candidate it is in none. */
  moveTo(heap: Heap<WaitingClass>, candidate: Waiter | undefined): void {
    if (candidate === undefined || heap !== this.#heap) this.#heap?.delete(this);
    this.#heap = candidate && heap;
    if (candidate) heap.set(this, candidate.number);
  }

  /** Moves {@link next} behind as many callers as there are seats and claimed slots. */
  cover(): void {
    const wanted = Math.min(this.seats + this.claimed, this.count);
    for (; this.#ahead < wanted; this.#ahead++) this.next = this.next?.next;
    for (; this.#ahead > wanted; this.#ahead--) this.next = this.next ? this.next.previous : this.#last;
  }

  /** The first ones. */
  oldest(count: number): Waiter[] {
    const waiters: Waiter[] = [];
    for (const waiter of this) {
      if (waiters.length >= count) break;
      waiters.push(waiter);
    }
    return waiters;
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
  /** Classes with a caller that may get a slot, by the arrival number of that caller. */
  readonly candidates = new Heap<WaitingClass>();
  /** By tenant, the classes that wait until it may have one more instance: the one whose caller has waited longest is the next. */
  readonly held = new Map<string | undefined, Heap<WaitingClass>>();
  /** Number of callers of all classes. */
  count = 0;
  /** Of the callers without a variant, the one that has waited longest: one of any of their classes may get a spare instance. */
  first: Waiter | undefined;
  #last: Waiter | undefined;
  /**
   * Whether `maxInstances` keeps all its callers waiting until something of the server changes. Written by
   * `AcquireQueue.setStuck`.
   */
  isStuck = false;
  /** Slots of the server that come free and are claimed for callers. Written by `Matcher`. */
  claimed = 0;

  constructor(entry: ServerEntry) {
    this.entry = entry;
  }

  /** Adds a caller behind the others. */
  add(waiter: Waiter): void {
    this.count += 1;
    if (waiter.variant !== undefined) return;
    waiter.before = this.#last;
    if (this.#last) this.#last.after = waiter;
    else this.first = waiter;
    this.#last = waiter;
  }

  remove(waiter: Waiter): void {
    this.count -= 1;
    if (waiter.variant !== undefined) return;
    const { before, after } = waiter;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.#last = before;
    waiter.before = undefined;
    waiter.after = undefined;
  }
}
