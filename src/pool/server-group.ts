import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError } from '../errors.js';
import type { ServerInstance } from '../server/server-instance.js';
import { reuseKey } from './whose.js';

/** Everything of one name: its definition now, and its instances, those of earlier definitions included. */
export interface ServerGroup {
  readonly name: string;
  /** Undefined once the server was removed; the group stays until its last instance is dead. */
  definition: ResolvedDefinition | undefined;
  /** Every tree that takes a slot, or waits for that of another. */
  readonly instances: Set<ServerInstance>;
  /** Slots taken. */
  used: number;
  /** Idle instances by {@link reuseKey}, the one used last at the end. */
  readonly idle: Map<string, ServerInstance[]>;
  /** Shared instances that have leases, by {@link reuseKey}. */
  readonly shared: Map<string, ServerInstance[]>;
  /** Starts on the way, by {@link reuseKey}, oldest first. */
  readonly starts: Map<string, ServerInstance[]>;
  idleCount: number;
  /** Trees being ended: their slots come free. */
  readonly ending: Set<ServerInstance>;
  /** The last start that failed, until one succeeds: for whom, and at which clock time. */
  lastFailure: { readonly error: PoolError; readonly key: string; readonly at: number } | undefined;
  /** Client capabilities that it was told of that clients count on them in vain. */
  readonly undeclared: Set<string>;
  /** Starts for `minIdle` that failed in a row, and when the next may be tried. */
  failures: number;
  retryAt: number;
}

/** A server that is defined now. */
export type OpenGroup = ServerGroup & { definition: ResolvedDefinition };

export function isOpen(group: ServerGroup | undefined): group is OpenGroup {
  return group?.definition !== undefined;
}

/** Of a name that has nothing yet. */
export function newGroup(name: string): ServerGroup {
  return {
    name,
    definition: undefined,
    instances: new Set(),
    used: 0,
    idle: new Map(),
    shared: new Map(),
    starts: new Map(),
    idleCount: 0,
    ending: new Set(),
    lastFailure: undefined,
    undeclared: new Set(),
    failures: 0,
    retryAt: 0,
  };
}

/** Whether more of its trees run than its definition allows, because that was changed. */
export function isOverLimit({ definition, used, ending }: ServerGroup): boolean {
  return definition !== undefined && used - ending.size > definition.maxInstances;
}

export function startsFor(group: ServerGroup, key: string): readonly ServerInstance[] {
  return group.starts.get(key) ?? [];
}

/** Starts on the way that serve no lease yet, so that they can be called off. */
export function freeStarts(group: ServerGroup, key: string): ServerInstance[] {
  return startsFor(group, key).filter(({ leases }) => leases === 0);
}

/** How many callers the starts on the way will have room for. */
export function seatsFor(group: ServerGroup, key: string): number {
  let seats = 0;
  for (const { seats: all, leases, retired } of startsFor(group, key)) {
    if (retired === undefined) seats += all - leases;
  }
  return seats;
}

/** How many of these starts it takes to serve so many callers. */
export function startsNeeded(starts: readonly ServerInstance[], callers: number): number {
  let needed = 0;
  for (let left = callers; left > 0 && needed < starts.length; needed++) left -= starts[needed]?.seats ?? 1;
  return needed;
}

export function idleFor(group: ServerGroup, key: string): number {
  return group.idle.get(key)?.length ?? 0;
}

/** Whether an instance runs that may come free for callers of this kind. */
export function isServing(group: ServerGroup, key: string): boolean {
  for (const instance of group.instances) {
    if (instance.state === 'ready' && reuseKey(instance.definition, instance) === key) return true;
  }
  return false;
}

/** Instances with room for a caller, idle ones included. */
export function readyFor(group: ServerGroup, key: string): number {
  const shared = group.shared.get(key)?.filter(({ leases, seats, retired }) => leases < seats && !retired);
  return idleFor(group, key) + (shared?.length ?? 0);
}

/** The shared instance with room for another lease that has the fewest. */
export function leastLoaded(group: ServerGroup, key: string, now: number): ServerInstance | undefined {
  let least: ServerInstance | undefined;
  for (const instance of group.shared.get(key) ?? []) {
    const { leases, seats, retired, uses, definition, expiresAt } = instance;
    if (leases >= seats || retired !== undefined || uses >= definition.maxUses || expiresAt <= now) continue;
    if (least === undefined || leases < least.leases) least = instance;
  }
  return least;
}
