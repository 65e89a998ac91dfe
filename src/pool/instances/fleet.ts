import type { ResolvedDefinition } from '../../config/options.js';
import type { PoolError } from '../../errors.js';
import type { EndReason } from '../../server/end-reason.js';
import { type LeaseScope, reuseKey } from './lease-scope.js';
import type { PooledInstance } from './pooled-instance.js';
import { isOpen, LeaseClass, type OpenEntry, ServerEntry } from './server-entry.js';
import { Slots } from './slots.js';

/** Backoff after failed starts for `minIdle`, in ms: 1 s, 2 s, 4 s, … */
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;

/** The instances of a pool, by server and by use. Decides nothing. */
export class Fleet {
  readonly entries = new Map<string, ServerEntry>();
  /** Servers with a `minIdle`. */
  readonly withMinimum = new Set<ServerEntry>();
  readonly slots: Slots;
  idleCount = 0;
  /** Classes with instances: of all classes of a server most may only have callers. */
  readonly populated = new Set<LeaseClass>();
  /** Classes with starts on the way. */
  readonly starting = new Set<LeaseClass>();
  readonly #classes = new Map<PooledInstance, LeaseClass>();
  readonly #changes: LeaseClass[] = [];
  #isOpen = true;

  constructor(maxProcesses: number) {
    this.slots = new Slots(maxProcesses);
  }

  /** Whether anything may still be started; false once the pool ends. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  close(): void {
    this.#isOpen = false;
  }

  /** A class that has changed in a way that may matter to a caller; undefined when none is left. */
  takeChange(): LeaseClass | undefined {
    const leaseClass = this.#changes.pop();
    if (leaseClass) leaseClass.isChanged = false;
    return leaseClass;
  }

  /** A class has changed: the scheduler looks at its callers again. */
  changed(leaseClass: LeaseClass): void {
    if (leaseClass.isChanged) return;
    leaseClass.isChanged = true;
    this.#changes.push(leaseClass);
  }

  /** The same for the class of an instance. */
  instanceChanged(instance: PooledInstance): void {
    const leaseClass = this.#classes.get(instance);
    if (leaseClass) this.changed(leaseClass);
  }

  // Servers.

  define(definition: ResolvedDefinition): ServerEntry {
    const entry = this.entries.get(definition.name) ?? new ServerEntry(definition.name);
    this.entries.set(entry.name, entry);
    entry.definition = definition;
    // Failures of the old definition say nothing about the new one.
    entry.lastFailure = undefined;
    entry.undeclared.clear();
    entry.failures = 0;
    entry.retryAt = 0;
    if (definition.minIdle > 0) this.withMinimum.add(entry);
    else this.withMinimum.delete(entry);
    // Instances with the same key differ in policy only, so the new policy applies to them at once.
    for (const instance of entry.instances)
      if (instance.definition.key === definition.key) instance.definition = definition;
    for (const leaseClass of entry.classes.values()) this.changed(leaseClass);
    return entry;
  }

  /** Removes a definition. The entry stays while its trees take slots. */
  undefine(entry: ServerEntry): void {
    entry.definition = undefined;
    this.withMinimum.delete(entry);
    if (entry.instances.size === 0) this.entries.delete(entry.name);
  }

  /** The open entry of an instance or a caller; undefined when its server was removed. */
  openEntry({ name }: { readonly name: string }): OpenEntry | undefined {
    const entry = this.entries.get(name);
    return isOpen(entry) ? entry : undefined;
  }

  /** The class of a scope, made if there is none. */
  classFor(entry: OpenEntry, scope: LeaseScope): LeaseClass {
    return this.#class(entry, reuseKey(entry.definition, scope));
  }

  /** The class of an instance that has not ended. */
  classOf(instance: PooledInstance): LeaseClass | undefined {
    return this.#classes.get(instance);
  }

  /** Drops a class without instances and callers, since there may be many tenants. */
  prune(leaseClass: LeaseClass): void {
    const { entry, key, instances, waiting } = leaseClass;
    if (instances.size === 0 && waiting === 0 && entry.classes.get(key) === leaseClass) entry.classes.delete(key);
  }

  *instances(): Generator<PooledInstance> {
    for (const { instances } of this.entries.values()) yield* instances;
  }

  // Slots.

  /** Whether one more tree fits into both budgets. */
  hasRoom({ isFull }: OpenEntry): boolean {
    return !isFull && !this.slots.isFull;
  }

  /** Takes a slot for an instance that is about to be spawned. */
  addStart(entry: ServerEntry, instance: PooledInstance): void {
    this.#addStarting(entry, instance);
    this.slots.take(entry);
  }

  /** Adds an instance that gets the slot of `predecessor` when the predecessor is proven dead. */
  addSuccessor(entry: ServerEntry, successor: PooledInstance, predecessor: PooledInstance): void {
    this.slots.bequeath(entry, predecessor, successor);
    this.#addStarting(entry, successor);
  }

  /** An instance begins to end: it serves no caller any more, but keeps its slot. */
  markEnding(instance: PooledInstance): void {
    const leaseClass = this.#classes.get(instance);
    if (leaseClass === undefined) return;
    const { entry } = leaseClass;
    if (take(leaseClass.idle, instance)) this.#countIdle(entry, -1);
    take(leaseClass.shared, instance);
    this.slots.free(entry, instance);
    this.changed(leaseClass);
  }

  /** An instance was not proven dead: its slot will not come free soon. */
  markQuarantined(instance: PooledInstance): void {
    const leaseClass = this.#classes.get(instance);
    if (leaseClass === undefined) return;
    this.slots.keep(leaseClass.entry, instance);
    this.changed(leaseClass);
  }

  /** Removes an instance that is dead. Its slot comes free, or goes to its successor. */
  remove(instance: PooledInstance): void {
    const leaseClass = this.#classes.get(instance);
    if (leaseClass === undefined) return;
    const { entry } = leaseClass;
    this.removeStart(instance);
    this.#classes.delete(instance);
    entry.instances.delete(instance);
    leaseClass.instances.delete(instance);
    if (leaseClass.instances.size === 0) this.populated.delete(leaseClass);
    this.slots.giveBack(entry, instance);
    this.changed(leaseClass);
    this.prune(leaseClass);
    if (entry.definition === undefined && entry.instances.size === 0) this.entries.delete(entry.name);
  }

  // Use.

  /** A start has succeeded, failed or been given up: it has no seats for callers any more. */
  removeStart(instance: PooledInstance): void {
    const leaseClass = this.#classes.get(instance);
    if (leaseClass === undefined || !take(leaseClass.starts, instance)) return;
    leaseClass.entry.startCount -= 1;
    if (leaseClass.starts.length === 0) this.starting.delete(leaseClass);
    this.changed(leaseClass);
  }

  /** A start has succeeded: earlier failures are forgotten. */
  startSucceeded(instance: PooledInstance): void {
    const entry = this.#classes.get(instance)?.entry;
    if (entry) entry.lastFailure = undefined;
    this.removeStart(instance);
  }

  startFailed(instance: PooledInstance, error: PoolError, at: number): void {
    const leaseClass = this.#classes.get(instance);
    if (leaseClass) leaseClass.entry.lastFailure = { error, key: leaseClass.key, at };
  }

  /** A start for `minIdle` has failed. Returns the clock time at which the next one may be tried. */
  spareFailed(entry: ServerEntry, now: number): number {
    entry.retryAt = now + Math.min(FIRST_RETRY * 2 ** entry.failures, LONGEST_RETRY);
    entry.failures += 1;
    return entry.retryAt;
  }

  /** An instance serves a caller: earlier failures of starts for `minIdle` are forgotten. */
  provenUseful({ entry }: LeaseClass): void {
    entry.failures = 0;
  }

  /** Those of `capabilities` that were not reported since the definition was changed; marks them as reported. */
  newlyUndeclared(instance: PooledInstance, capabilities: readonly string[]): readonly string[] {
    const undeclared = this.entries.get(instance.name)?.undeclared;
    const first = capabilities.filter((name) => undeclared?.has(name) === false);
    for (const name of first) undeclared?.add(name);
    return first;
  }

  isStarting(instance: PooledInstance): boolean {
    return this.#classes.get(instance)?.starts.includes(instance) ?? false;
  }

  /** Adds an instance without a lease to the idle ones. */
  park(leaseClass: LeaseClass, instance: PooledInstance, now: number): void {
    instance.idleSince = now;
    leaseClass.idle.push(instance);
    this.#countIdle(leaseClass.entry, 1);
    this.changed(leaseClass);
  }

  /** Takes the idle instance that was used last, so that the others can reach their `idleTimeout`. */
  takeIdle(leaseClass: LeaseClass): PooledInstance | undefined {
    const instance = leaseClass.idle.pop();
    if (instance === undefined) return undefined;
    this.#countIdle(leaseClass.entry, -1);
    if (leaseClass.waiting > 0) this.changed(leaseClass);
    return instance;
  }

  /** Adds a shared instance that has its first lease. */
  addShared(leaseClass: LeaseClass, instance: PooledInstance): void {
    leaseClass.shared.push(instance);
    this.changed(leaseClass);
  }

  /** Removes a shared instance that has no lease any more. */
  removeShared(leaseClass: LeaseClass, instance: PooledInstance): void {
    take(leaseClass.shared, instance);
  }

  /** An instance may not be leased again: it ends with its last lease. The first reason stays. */
  retire(instance: PooledInstance, reason: EndReason): void {
    instance.retired ??= reason;
    this.instanceChanged(instance);
  }

  /** An instance may be leased again, since its replacement could not be started. */
  unretire(instance: PooledInstance): void {
    instance.retired = undefined;
    this.instanceChanged(instance);
  }

  #class(entry: ServerEntry, key: string): LeaseClass {
    const known = entry.classes.get(key);
    if (known) return known;
    const made = new LeaseClass(entry, key);
    entry.classes.set(key, made);
    return made;
  }

  #addStarting(entry: ServerEntry, instance: PooledInstance): void {
    const leaseClass = this.#class(entry, reuseKey(instance.definition, instance));
    this.#classes.set(instance, leaseClass);
    entry.instances.add(instance);
    leaseClass.instances.add(instance);
    this.populated.add(leaseClass);
    leaseClass.starts.push(instance);
    entry.startCount += 1;
    this.starting.add(leaseClass);
    this.changed(leaseClass);
  }

  #countIdle(entry: ServerEntry, change: 1 | -1): void {
    entry.idleCount += change;
    this.idleCount += change;
  }
}

/** Removes `instance` from the list. False when it was not there. */
function take(list: PooledInstance[], instance: PooledInstance): boolean {
  const index = list.indexOf(instance);
  if (index !== -1) list.splice(index, 1);
  return index !== -1;
}
