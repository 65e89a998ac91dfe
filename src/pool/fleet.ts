import type { ResolvedDefinition } from '../config/options.js';
import type { PoolError } from '../errors.js';
import type { ServerInstance } from '../server/server-instance.js';

/** For whom an instance is. */
export interface Whose {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** Whose spare instances are: nobody knows which tenant comes next, so they serve calls that name none. */
export const SPARE: Whose = { tenant: undefined, owner: undefined };

/** Everything of one name: its definition now, and its instances, those of earlier definitions included. */
export interface ServerGroup {
  readonly name: string;
  /** Undefined once the server was removed; the group stays until its last instance is dead. */
  definition: ResolvedDefinition | undefined;
  /** Every tree that takes a slot. */
  readonly instances: Set<ServerInstance>;
  /** Idle instances by {@link reuseKey}, the one used last at the end. */
  readonly idle: Map<string, ServerInstance[]>;
  /** Starts on the way, by {@link reuseKey}, oldest first. */
  readonly starts: Map<string, ServerInstance[]>;
  idleCount: number;
  /** Trees being ended: their slots come free. */
  readonly ending: Set<ServerInstance>;
  /** The last start that failed, until one succeeds: for whom, and at which clock time. */
  lastFailure: { readonly error: PoolError; readonly key: string; readonly at: number } | undefined;
  /** Starts for `minIdle` that failed in a row, and when the next may be tried. */
  failures: number;
  retryAt: number;
}

/** A server that is defined now. */
export type OpenGroup = ServerGroup & { definition: ResolvedDefinition };

export function isOpen(group: ServerGroup | undefined): group is OpenGroup {
  return group?.definition !== undefined;
}

/** Who may use an instance that was started for `whose`. */
export function reuseKey({ reuse }: ResolvedDefinition, { tenant, owner }: Whose): string {
  return reuse === 'owner' ? `${tenant ?? ''}\0${owner ?? ''}` : (tenant ?? '');
}

/** Callers of one kind can be served by the same instances: those of one server and one reuse key. */
export function kindOf(definition: ResolvedDefinition, whose: Whose): string {
  return kind(definition.name, reuseKey(definition, whose));
}

export function kind(name: string, key: string): string {
  return `${name}\0${key}`;
}

/**
 * The trees of a pool, by server and by use. Counts slots: a tree has one from the tick before its spawn until its death is
 * proven. Decides nothing.
 */
export class Fleet {
  readonly groups = new Map<string, ServerGroup>();
  /** Those with a `minIdle`. */
  readonly withMinimum = new Set<ServerGroup>();
  /** Slots taken. */
  used = 0;
  idleCount = 0;
  /** Slots that come free. */
  endingCount = 0;
  startCount = 0;

  group(name: string): ServerGroup | undefined {
    return this.groups.get(name);
  }

  /** The group of `name`, made if there is none; one of a removed server may still have instances. */
  #ensureGroup(name: string): ServerGroup {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = {
        name,
        definition: undefined,
        instances: new Set(),
        idle: new Map(),
        starts: new Map(),
        idleCount: 0,
        ending: new Set(),
        lastFailure: undefined,
        failures: 0,
        retryAt: 0,
      };
      this.groups.set(name, group);
    }
    return group;
  }

  define(definition: ResolvedDefinition): void {
    const group = this.#ensureGroup(definition.name);
    group.definition = definition;
    // What failed before the change says nothing about what comes after it.
    group.lastFailure = undefined;
    group.failures = 0;
    group.retryAt = 0;
    if (definition.minIdle > 0) this.withMinimum.add(group);
    else this.withMinimum.delete(group);
  }

  /** Takes a definition away. The group stays while trees of it take slots. */
  undefine(group: ServerGroup): void {
    group.definition = undefined;
    this.withMinimum.delete(group);
    if (group.instances.size === 0) this.groups.delete(group.name);
  }

  /** An instance served somebody: failures of starts before it are history. */
  provenUseful(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (group) group.failures = 0;
  }

  /** Whether one more tree fits into both budgets. To be asked before each start: a listener may have used the room. */
  hasRoom({ definition, instances }: OpenGroup, maxProcesses: number): boolean {
    return instances.size < definition.maxInstances && this.used < maxProcesses;
  }

  /** Whether more of its trees run than its definition allows, because that was changed. */
  isOverLimit({ definition, instances, ending }: ServerGroup): boolean {
    return definition !== undefined && instances.size - ending.size > definition.maxInstances;
  }

  *instances(): Generator<ServerInstance> {
    for (const group of this.groups.values()) yield* group.instances;
  }

  /** Takes a slot for an instance that is about to be spawned. */
  addStart(group: ServerGroup, instance: ServerInstance): void {
    group.instances.add(instance);
    this.used += 1;
    const key = reuseKey(instance.definition, instance);
    const starts = group.starts.get(key);
    if (starts) starts.push(instance);
    else group.starts.set(key, [instance]);
    this.startCount += 1;
  }

  /** A start that succeeded, failed, or was given up: nobody counts on it any more. */
  removeStart(instance: ServerInstance): boolean {
    const group = this.groups.get(instance.name);
    const removed = group !== undefined && take(group.starts, reuseKey(instance.definition, instance), instance);
    if (removed) this.startCount -= 1;
    return removed;
  }

  startsFor(group: ServerGroup, key: string): readonly ServerInstance[] {
    return group.starts.get(key) ?? [];
  }

  isStarting(instance: ServerInstance): boolean {
    const starts = this.groups.get(instance.name)?.starts.get(reuseKey(instance.definition, instance));
    return starts?.includes(instance) ?? false;
  }

  /** Starts on the way for a kind of callers. */
  startsOfKind(wanted: string): number {
    const separator = wanted.indexOf('\0');
    const group = this.groups.get(wanted.slice(0, separator));
    return group?.starts.get(wanted.slice(separator + 1))?.length ?? 0;
  }

  park(group: ServerGroup, instance: ServerInstance): void {
    const key = reuseKey(instance.definition, instance);
    const idle = group.idle.get(key);
    if (idle) idle.push(instance);
    else group.idle.set(key, [instance]);
    group.idleCount += 1;
    this.idleCount += 1;
  }

  idleFor(group: ServerGroup, key: string): number {
    return group.idle.get(key)?.length ?? 0;
  }

  /** The idle instance used last, so that the others can grow old and end. */
  takeIdle(group: ServerGroup, key: string): ServerInstance | undefined {
    const instance = group.idle.get(key)?.pop();
    if (instance === undefined) return undefined;
    group.idleCount -= 1;
    this.idleCount -= 1;
    return instance;
  }

  /** The instance that was idle longest, of one group or of all. */
  longestIdle(group?: ServerGroup): ServerInstance | undefined {
    let longest: ServerInstance | undefined;
    for (const { idle } of group ? [group] : this.groups.values()) {
      for (const [oldest] of idle.values()) {
        if (oldest && (longest === undefined || oldest.idleSince < longest.idleSince)) longest = oldest;
      }
    }
    return longest;
  }

  /** An instance begins to end: it is neither idle nor starting any more, but keeps its slot. */
  markEnding(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (group === undefined) return;
    if (take(group.idle, reuseKey(instance.definition, instance), instance)) {
      group.idleCount -= 1;
      this.idleCount -= 1;
    }
    group.ending.add(instance);
    this.endingCount += 1;
  }

  /** It was not proven dead: its slot will not come free by itself. */
  markQuarantined(instance: ServerInstance): void {
    if (this.groups.get(instance.name)?.ending.delete(instance)) this.endingCount -= 1;
  }

  /** Gives the slot back. */
  remove(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (!group?.instances.delete(instance)) return;
    this.used -= 1;
    this.markQuarantined(instance);
    if (group.definition === undefined && group.instances.size === 0) this.groups.delete(group.name);
  }
}

/** Takes `instance` out of the list under `key`, and the list out of the map when it is empty. */
function take(lists: Map<string, ServerInstance[]>, key: string, instance: ServerInstance): boolean {
  const list = lists.get(key);
  const index = list?.indexOf(instance) ?? -1;
  if (list === undefined || index === -1) return false;
  list.splice(index, 1);
  if (list.length === 0) lists.delete(key);
  return true;
}
