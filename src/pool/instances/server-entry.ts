import type { ResolvedDefinition } from '../../config/options.js';
import type { PoolError } from '../../errors.js';
import { type LeaseScope, reuseKey } from './lease-scope.js';
import type { PooledInstance } from './pooled-instance.js';

/** A start that failed: for which class, and at which clock time. */
export interface StartFailure {
  readonly error: PoolError;
  readonly key: string;
  readonly at: number;
}

/** Everything of one name: its definition now, and its instances, those of earlier definitions included. Written by `Fleet`. */
export class ServerEntry {
  readonly name: string;
  /** Undefined once the server was removed; the entry stays until its last instance is dead. */
  definition: ResolvedDefinition | undefined;
  /** Every tree that takes a slot, or waits for that of another. */
  readonly instances = new Set<PooledInstance>();
  /** By reuse key: those that have instances or waiting callers. */
  readonly classes = new Map<string, LeaseClass>();
  /** Slots taken. */
  used = 0;
  idleCount = 0;
  startCount = 0;
  /** Trees being ended: their slots come free. */
  readonly ending = new Set<PooledInstance>();
  /** The last start that failed, until one succeeds. */
  lastFailure: StartFailure | undefined;
  /** Client capabilities for which `capability:undeclared` was emitted. */
  readonly undeclared = new Set<string>();
  /** Starts for `minIdle` that failed in a row, and the clock time at which the next may be tried. */
  failures = 0;
  retryAt = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Whether more of its trees run than its definition allows, because that was changed. */
  get isOverLimit(): boolean {
    return this.definition !== undefined && this.used - this.ending.size > this.definition.maxInstances;
  }

  /** Whether each slot that its definition allows is taken. */
  get isFull(): boolean {
    return this.definition === undefined || this.used >= this.definition.maxInstances;
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
 * The instances and the callers of one server that fit each other: those of one reuse key. Written by `Fleet`, but for
 * `waiting`.
 */
export class LeaseClass {
  readonly entry: ServerEntry;
  readonly key: string;
  /** The same for every class of this server and key, at any time. */
  readonly id: string;
  readonly instances = new Set<PooledInstance>();
  /** Instances without a lease, the one used last at the end. */
  readonly idle: PooledInstance[] = [];
  /** Shared instances that have leases. */
  readonly shared: PooledInstance[] = [];
  /** Starts on the way, oldest first. */
  readonly starts: PooledInstance[] = [];
  /** Callers that wait. Written by `AcquireQueue`. */
  waiting = 0;
  /** Whether the scheduler has to look at it again. */
  isChanged = false;

  constructor(entry: ServerEntry, key: string) {
    this.entry = entry;
    this.key = key;
    this.id = classId(entry.name, key);
  }

  /** Starts that serve no lease yet, so that they can be called off. */
  get freeStarts(): PooledInstance[] {
    return this.starts.filter(({ leases }) => leases === 0);
  }

  /** Free starts that no caller waits for. A caller's own need goes before a minimum. */
  get surplusStarts(): PooledInstance[] {
    const free = this.freeStarts;
    return free.slice(startsNeeded(free, this.waiting));
  }

  /** How many callers the starts on the way will have room for. */
  get startingSeats(): number {
    let seats = 0;
    for (const { seats: all, leases, retired } of this.starts) if (retired === undefined) seats += all - leases;
    return seats;
  }

  /** Instances with room for a caller, idle ones included. */
  get ready(): number {
    return this.idle.length + this.shared.filter(({ leases, seats, retired }) => leases < seats && !retired).length;
  }

  /** Whether an instance runs that may come free for a caller. */
  get isServing(): boolean {
    for (const { state } of this.instances) if (state === 'ready') return true;
    return false;
  }

  /** The idle instance that would be used next, if it is too old for that. */
  outdated(now: number): PooledInstance | undefined {
    const next = this.idle.at(-1);
    return next !== undefined && next.expiresAt <= now ? next : undefined;
  }

  /** Whether a caller could be served now. */
  hasFree(now: number): boolean {
    return this.idle.length > 0 || this.leastLoaded(now) !== undefined;
  }

  /** The shared instance with room for another lease that has the fewest. */
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

/** How many of these starts it takes to serve so many callers. */
export function startsNeeded(starts: readonly PooledInstance[], callers: number): number {
  let needed = 0;
  for (let left = callers; left > 0 && needed < starts.length; needed++) left -= starts[needed]?.seats ?? 1;
  return needed;
}

export function classId(name: string, key: string): string {
  return `${name}\0${key}`;
}
