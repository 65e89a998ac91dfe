import type { ResolvedDefinition } from '../config/options.js';
import type { ServerInstance } from '../server/server-instance.js';
import { newGroup, type OpenGroup, type ServerGroup, seatsFor } from './server-group.js';
import { reuseKey } from './whose.js';

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
  /** Instances that wait for the slot of the one they replace, by that. */
  readonly #heirs = new Map<ServerInstance, ServerInstance>();

  group(name: string): ServerGroup | undefined {
    return this.groups.get(name);
  }

  /** The group of `name`, made if there is none; one of a removed server may still have instances. */
  #ensureGroup(name: string): ServerGroup {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = newGroup(name);
      this.groups.set(name, group);
    }
    return group;
  }

  define(definition: ResolvedDefinition): void {
    const group = this.#ensureGroup(definition.name);
    group.definition = definition;
    // What failed before the change says nothing about what comes after it.
    group.lastFailure = undefined;
    group.undeclared.clear();
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
  hasRoom({ definition, used }: OpenGroup, maxProcesses: number): boolean {
    return used < definition.maxInstances && this.used < maxProcesses;
  }

  *instances(): Generator<ServerInstance> {
    for (const group of this.groups.values()) yield* group.instances;
  }

  /** Takes a slot for an instance that is about to be spawned. */
  addStart(group: ServerGroup, instance: ServerInstance): void {
    group.used += 1;
    this.used += 1;
    this.#addStarting(group, instance);
  }

  /** The same for an instance that gets the slot of `predecessor`, as soon as that is proven dead. */
  addHeir(group: ServerGroup, heir: ServerInstance, predecessor: ServerInstance): void {
    this.#heirs.set(predecessor, heir);
    this.#noLongerFrees(group, predecessor);
    this.#addStarting(group, heir);
  }

  /** The slot of `predecessor` stays taken by what could not be ended: its heir needs one of its own. */
  disinherit(group: ServerGroup, predecessor: ServerInstance): void {
    if (!this.#heirs.delete(predecessor)) return;
    group.used += 1;
    this.used += 1;
  }

  #addStarting(group: ServerGroup, instance: ServerInstance): void {
    group.instances.add(instance);
    push(group.starts, reuseKey(instance.definition, instance), instance);
    this.startCount += 1;
  }

  /** A start that succeeded, failed, or was given up: nobody counts on it any more. */
  removeStart(instance: ServerInstance): boolean {
    const group = this.groups.get(instance.name);
    const removed = group !== undefined && take(group.starts, reuseKey(instance.definition, instance), instance);
    if (removed) this.startCount -= 1;
    return removed;
  }

  isStarting(instance: ServerInstance): boolean {
    const starts = this.groups.get(instance.name)?.starts.get(reuseKey(instance.definition, instance));
    return starts?.includes(instance) ?? false;
  }

  /** How many callers of a kind the starts on the way will have room for. */
  seatsForKind(wanted: string): number {
    const separator = wanted.indexOf('\0');
    const group = this.groups.get(wanted.slice(0, separator));
    return group === undefined ? 0 : seatsFor(group, wanted.slice(separator + 1));
  }

  park(group: ServerGroup, instance: ServerInstance): void {
    const key = reuseKey(instance.definition, instance);
    const idle = group.idle.get(key);
    if (idle === undefined) group.idle.set(key, [instance]);
    // A listener may have led here already.
    else if (idle.includes(instance)) return;
    else idle.push(instance);
    group.idleCount += 1;
    this.idleCount += 1;
  }

  /** The idle instance used last, so that the others can grow old and end. */
  takeIdle(group: ServerGroup, key: string): ServerInstance | undefined {
    const instance = group.idle.get(key)?.pop();
    if (instance === undefined) return undefined;
    group.idleCount -= 1;
    this.idleCount -= 1;
    return instance;
  }

  /** A shared instance that has leases now. */
  addShared(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    const key = reuseKey(instance.definition, instance);
    if (group && !group.shared.get(key)?.includes(instance)) push(group.shared, key, instance);
  }

  /** A shared instance that has no lease any more. */
  removeShared(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (group) take(group.shared, reuseKey(instance.definition, instance), instance);
  }

  /** Idle instances, of one group or of all, in the order in which they make room for others: the one idle longest first. */
  idleLongestFirst(group?: ServerGroup): ServerInstance[] {
    const groups = group ? [group] : [...this.groups.values()];
    return groups.flatMap(({ idle }) => [...idle.values()].flat()).sort((a, b) => a.idleSince - b.idleSince);
  }

  /** An instance begins to end: it is neither idle nor starting any more, but keeps its slot. */
  markEnding(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (group === undefined) return;
    const key = reuseKey(instance.definition, instance);
    if (take(group.idle, key, instance)) {
      group.idleCount -= 1;
      this.idleCount -= 1;
    }
    take(group.shared, key, instance);
    // The slot of one that has an heir does not come free, and an heir may have none yet.
    if (!this.#heirs.has(instance) && this.predecessorOf(instance) === undefined) this.#frees(group, instance);
  }

  /** It was not proven dead: its slot will not come free by itself. */
  markQuarantined(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (group) this.#noLongerFrees(group, instance);
  }

  /** Gives the slot back, or to its heir. */
  remove(instance: ServerInstance): void {
    const group = this.groups.get(instance.name);
    if (!group?.instances.delete(instance)) return;
    this.#noLongerFrees(group, instance);
    const predecessor = this.predecessorOf(instance);
    const heir = this.#heirs.get(instance);
    this.#heirs.delete(instance);
    if (predecessor) {
      // It never had the slot: that goes to its own heir, or comes free with its predecessor.
      this.#heirs.delete(predecessor);
      if (heir) this.#heirs.set(predecessor, heir);
      else if (predecessor.state === 'stopping') this.#frees(group, predecessor);
    } else if (heir === undefined) {
      group.used -= 1;
      this.used -= 1;
    }
    if (group.definition === undefined && group.instances.size === 0) this.groups.delete(group.name);
  }

  /** The one whose slot an instance waits for; undefined when it has one of its own. */
  predecessorOf(instance: ServerInstance): ServerInstance | undefined {
    for (const [predecessor, heir] of this.#heirs) if (heir === instance) return predecessor;
    return undefined;
  }

  #frees(group: ServerGroup, instance: ServerInstance): void {
    group.ending.add(instance);
    this.endingCount += 1;
  }

  #noLongerFrees(group: ServerGroup, instance: ServerInstance): void {
    if (group.ending.delete(instance)) this.endingCount -= 1;
  }
}

function push(lists: Map<string, ServerInstance[]>, key: string, instance: ServerInstance): void {
  const list = lists.get(key);
  if (list) list.push(instance);
  else lists.set(key, [instance]);
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
