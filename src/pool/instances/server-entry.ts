import type { ResolvedDefinition } from '../../config/options.js';
import type { Variant } from '../../config/variant.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import { type LeaseScope, reuseKey, SPARE, SPARE_KEY } from './lease-scope.js';
import type { ClassCallers, PooledInstance } from './pooled-instance.js';
import { SparePause } from './spare-pause.js';
import type { StartFailure } from './start-failure.js';
import { UndeclaredCapabilities } from './undeclared-capabilities.js';

/**
 * What the pool keeps of one server: its definition and its instances, those of earlier definitions too. Written by `Fleet`,
 * apart from the fields that name another class.
 */
export class ServerEntry {
  readonly name: string;
  /** Undefined once the server was removed; the entry stays until its last instance is dead. */
  definition: ResolvedDefinition | undefined;
  /** What a process of the definition would have seen when that was set. */
  processKey = '';
  /** Every instance that has a slot, or waits for the slot of its predecessor. */
  readonly instances = new Set<PooledInstance>();
  /** The classes with instances or waiting callers, by reuse key. Written by `LeaseClasses`. */
  readonly classes = new Map<string, LeaseClass>();
  /** The same by tenant. Written by `LeaseClasses`. */
  readonly tenants = new Map<string | undefined, Set<LeaseClass>>();
  /** Idle instances that have served no lease: those that serve any caller are in the class of spare instances. */
  readonly clean: PooledInstance[] = [];
  /** Classes with starts that none of their callers needs. Written by `LeaseClasses`. */
  readonly surplus = new Set<LeaseClass>();
  /** Whether it is in the list of that name. Written by `LeaseClasses` and `Starts`. */
  mayLackSpares = false;
  /** Slots taken. Written by `Slots`. */
  used = 0;
  idleCount = 0;
  /** Idle instances that others depend on. Written by `IdleInstances`, as `idleCount` is. */
  neededIdle = 0;
  startCount = 0;
  /** Whether its priority is `essential`. Written by `EssentialServers`. */
  isEssential = false;
  /** Instances being ended: their slots come free. Written by `Slots`. */
  readonly ending = new Set<PooledInstance>();
  /** The last start that failed, until one succeeds. */
  lastFailure: StartFailure | undefined;
  readonly undeclared = new UndeclaredCapabilities();
  readonly sparePause = new SparePause();
  /** Leases that were given out on instances that are gone. Written by `Fleet`. */
  pastUses = 0;

  constructor(name: string) {
    this.name = name;
  }

  get label(): string | undefined {
    return this.definition?.label;
  }

  /** Leases that were given out so far. */
  get uses(): number {
    let uses = this.pastUses;
    for (const instance of this.instances) uses += instance.uses;
    return uses;
  }

  /** Whether more instances run than its definition allows: it was changed. */
  get isOverLimit(): boolean {
    return this.definition !== undefined && this.used - this.ending.size > this.definition.maxInstances;
  }

  /** Idle instances that may be ended to make room. */
  get evictableIdle(): number {
    return this.idleCount - this.neededIdle;
  }

  /** Whether all slots that its definition allows are taken. */
  get isFull(): boolean {
    return this.definition === undefined || this.used >= this.definition.maxInstances;
  }

  /** The class of spare instances, and of callers without tenant and owner; undefined when it has neither. */
  get spareClass(): LeaseClass | undefined {
    return this.classes.get(SPARE_KEY);
  }

  /**
   * Whether there is something for one more caller of any class: a clean idle instance, or a start that the callers of its own
   * class do not need, which the caller gets or which ends for it.
   */
  get hasSpare(): boolean {
    return this.clean.length > 0 || this.surplus.size > 0;
  }

  /**
   * Whether instances that calls without tenant and owner have used count for `minIdle`: shared ones do, for they have room
   * for other callers. Where owners do not share them (`reuse: 'owner'`), they are for calls without an owner alone.
   */
  get countsUsed(): boolean {
    return this.definition?.sharing === 'shared' && this.definition.reuse !== 'owner';
  }

  /** Number of clean instances for callers without a tenant. */
  get cleanSpares(): number {
    let count = 0;
    for (const instance of this.clean) if (instance.mayServe(SPARE)) count += 1;
    return count;
  }

  /** Number of instances that are ready for the next caller, as `minIdle` asks for. */
  get spareCount(): number {
    return this.countsUsed ? (this.spareClass?.ready ?? 0) : this.cleanSpares;
  }

  /** Whether `minIdle` asks for one more start. To be called when no caller waits, after each operation: it makes no lists. */
  get lacksSpare(): boolean {
    const minIdle = this.definition?.minIdle ?? 0;
    let missing = minIdle - this.cleanSpares;
    if (missing <= 0) return false;
    missing = minIdle - this.spareCount;
    const spares = this.spareClass;
    if (missing > 0 && spares) missing -= this.countsUsed ? spares.coming : spares.cleanStarts;
    if (missing > 0)
      for (const leaseClass of this.surplus) if (leaseClass !== spares) missing -= leaseClass.cleanStarts;
    return missing > 0;
  }

  /** Number of instances with room for a caller of this scope. */
  readyFor(this: OpenEntry, scope: LeaseScope): number {
    const own = this.find(scope);
    const others = this.clean.filter((instance) => instance.home !== own && instance.mayServe(scope));
    return (own?.ready ?? 0) + others.length;
  }

  /** Starts that will serve a caller of this scope, if no other caller comes first. */
  startsFor(this: OpenEntry, scope: LeaseScope): PooledInstance[] {
    const own = this.find(scope);
    const spares = this.spareClass;
    const starts = [...(own?.starts ?? []), ...(own === spares ? [] : (spares?.surplusStarts ?? []))];
    return starts.filter((instance) => instance.state === 'starting' && instance.mayServe(scope));
  }

  /** The class of a scope; undefined when it has neither instances nor waiting callers. */
  find(this: OpenEntry, scope: LeaseScope): LeaseClass | undefined {
    return this.classes.get(reuseKey(this.definition, scope));
  }
}

/** A server that is defined now. */
export type OpenEntry = ServerEntry & { definition: ResolvedDefinition };

export function isOpen(entry: ServerEntry | undefined): entry is OpenEntry {
  return entry?.definition !== undefined;
}

/**
 * The instances and the waiting callers of one server with the same reuse key: these callers may use these instances. Written
 * by `Fleet`, apart from the fields that name another class.
 */
export class LeaseClass {
  readonly entry: ServerEntry;
  readonly key: string;
  readonly tenant: string | undefined;
  /** That of its instances and its callers. */
  readonly variant: Variant | undefined;
  /** Written by `LeaseClasses`. */
  readonly instances = new Set<PooledInstance>();
  /** Instances without a lease; the one that was used last is at the end. */
  readonly idle: PooledInstance[] = [];
  /** Shared instances that have leases. */
  readonly shared: PooledInstance[] = [];
  /** Starts on the way, and instances that are tested before the next lease: each will have room for callers. Oldest first. */
  readonly starts: PooledInstance[] = [];
  /** Number of callers that wait. Written by `AcquireQueue`. */
  waiting = 0;
  /** These callers; undefined when none waits. Written by `AcquireQueue`. */
  callers: ClassCallers | undefined;
  /** Whether the scheduler has to look at it again. Written by `LeaseClasses`. */
  isChanged = false;

  constructor(entry: ServerEntry, key: string, tenant?: string, variant?: Variant) {
    this.entry = entry;
    this.key = key;
    this.tenant = tenant;
    this.variant = variant;
  }

  /** Those that no lease waits for, so that they may be ended. */
  get freeStarts(): PooledInstance[] {
    return this.starts.filter(({ leases }) => leases === 0);
  }

  /** Free starts that no caller waits for. Starts for `minIdle` are among them: callers come first. */
  get surplusStarts(): PooledInstance[] {
    const free = this.freeStarts;
    return free.slice(startsNeeded(free, this.waiting));
  }

  /** Whether there are free starts that no caller waits for. */
  get hasSurplus(): boolean {
    if (this.starts.length === 0) return false;
    let left = this.waiting;
    for (const { leases, seats } of this.starts) {
      if (leases > 0) continue;
      if (left <= 0) return true;
      left -= seats;
    }
    return false;
  }

  /** Number of callers that the starts on the way will have room for. */
  get startingSeats(): number {
    let seats = 0;
    for (const { seats: all, leases, retired } of this.starts) if (retired === undefined) seats += all - leases;
    return seats;
  }

  /** Number of instances on the way that will have room for a caller: starts, and what follows a shared one that has crashed. */
  get coming(): number {
    let coming = 0;
    for (const { leases, seats, retired } of this.starts) if (leases < seats && retired === undefined) coming += 1;
    // Its successor is appointed when all that it wrote was read.
    for (const { state, endReason, leases, seats, leasesStay } of this.instances)
      if (
        state === 'stopping' &&
        leases > 0 &&
        leases < seats &&
        leasesStay &&
        endReason &&
        END_MEANING[endReason].recovers
      )
        coming += 1;
    return coming;
  }

  /** Number of starts that may serve any caller. */
  get cleanStarts(): number {
    let clean = 0;
    for (const { isClean } of this.starts) if (isClean) clean += 1;
    return clean;
  }

  /** Number of instances with room for a caller, idle ones included. */
  get ready(): number {
    let ready = this.idle.length;
    for (const { leases, seats, retired } of this.shared) if (leases < seats && retired === undefined) ready += 1;
    return ready;
  }

  /** Whether an instance runs, so that it may come free for a caller. */
  get isServing(): boolean {
    for (const { state } of this.instances) if (state === 'ready') return true;
    return false;
  }

  /** Whether a caller could be served now. */
  hasFree(now: number): boolean {
    return this.idle.length > 0 || this.leastLoaded(now) !== undefined;
  }

  /** Of the idle instances that a lease of this scope may have, the one that was used last. */
  nextIdle(scope: LeaseScope): PooledInstance | undefined {
    const last = this.idle.at(-1);
    if (last === undefined || last.isFor(scope)) return last;
    return this.idle.findLast((instance) => instance.isFor(scope));
  }

  /** The idle instance that ends before a lease of this scope gets another one; undefined when none does. */
  endsFirst(scope: LeaseScope, now: number): EndingIdle | undefined {
    const next = this.nextIdle(scope);
    if (next !== undefined) {
      return next.uses > 0 && next.expiresAt <= now ? { instance: next, reason: 'max-lifetime' } : undefined;
    }
    const last = this.idle.at(-1);
    return last && { instance: last, reason: 'unfinished' };
  }

  /** Of the shared instances with room for another lease, the one with the fewest leases. */
  leastLoaded(now: number): PooledInstance | undefined {
    let least: PooledInstance | undefined;
    for (const instance of this.shared) {
      const { leases, seats, retired, uses, definition, expiresAt } = instance;
      if (leases >= seats || retired !== undefined || uses >= definition.maxUses || expiresAt <= now) continue;
      if (least === undefined || leases < least.leases) least = instance;
    }
    return least;
  }
}

/** An idle instance that ends, and why. */
export interface EndingIdle {
  readonly instance: PooledInstance;
  readonly reason: EndReason;
}

/** Number of these starts that are needed to serve this number of callers. */
export function startsNeeded(starts: readonly PooledInstance[], callers: number): number {
  let needed = 0;
  for (let left = callers; left > 0 && needed < starts.length; needed++) left -= starts[needed]?.seats ?? 1;
  return needed;
}
