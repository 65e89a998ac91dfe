import type { ResolvedLimits } from '../../config/limit-options.js';
import type { ResolvedDefinition } from '../../config/options.js';
import { processKey } from '../../config/process-key.js';
import type { PoolError } from '../../errors.js';
import type { EndReason } from '../../server/end-reason.js';
import { EssentialServers } from './essential-servers.js';
import { IdleInstances } from './idle-instances.js';
import { LeaseClasses } from './lease-classes.js';
import { type LeaseScope, reuseKey, SPARE, SPARE_KEY } from './lease-scope.js';
import type { PooledInstance } from './pooled-instance.js';
import { renew } from './renewal.js';
import { isOpen, type LeaseClass, type OpenEntry, ServerEntry } from './server-entry.js';
import { Slots } from './slots.js';
import { StartGate } from './start-gate.js';
import { StartPreflight } from './start-preflight.js';

/** The instances of a pool, by server and by use. Decides nothing. */
export class Fleet extends LeaseClasses {
  readonly entries = new Map<string, ServerEntry>();
  readonly slots: Slots;
  readonly essential = new EssentialServers();
  readonly idle = new IdleInstances(this.essential);
  #isOpen = true;
  /** Undefined after a change of the definitions. */
  #largestMemoryLimitMB: number | undefined;

  constructor(limits: Pick<ResolvedLimits, 'maxProcesses' | 'requires' | 'onUnmet'>) {
    super(new StartGate(new StartPreflight(limits)));
    this.slots = new Slots(limits.maxProcesses);
  }

  /** Whether anything may still be started; false once the pool ends. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  close(): void {
    this.#isOpen = false;
  }

  // Servers.

  define(definition: ResolvedDefinition): ServerEntry {
    const entry = this.entries.get(definition.name) ?? new ServerEntry(definition.name);
    this.entries.set(entry.name, entry);
    entry.definition = definition;
    this.#largestMemoryLimitMB = undefined;
    entry.processKey = processKey(definition);
    // Failures of the old definition say nothing about the new one.
    entry.lastFailure = undefined;
    entry.undeclared.clear();
    entry.sparePause.reset();
    this.essential.set(entry, definition.priority === 'essential');
    this.sparesChanged(entry);
    this.renew(definition);
    for (const leaseClass of entry.classes.values()) this.changed(leaseClass);
    return entry;
  }

  /** Instances with the same key differ in policy only, so the new policy applies to them at once. */
  renew(definition: ResolvedDefinition): void {
    const entry = this.entries.get(definition.name);
    if (entry === undefined) return;
    entry.definition = definition;
    for (const instance of entry.instances) renew(instance, definition, entry.processKey);
  }

  /** Removes a definition. The entry stays while its trees take slots. */
  undefine(entry: ServerEntry): void {
    entry.definition = undefined;
    this.#largestMemoryLimitMB = undefined;
    this.essential.set(entry, false);
    if (entry.instances.size === 0) this.entries.delete(entry.name);
  }

  /** The largest `memoryLimitMB` that the host has set for a server; 0 for none. There may be many servers, and it is asked often. */
  get largestMemoryLimitMB(): number {
    this.#largestMemoryLimitMB ??= [...this.entries.values()].reduce((largest, { definition }) => {
      const { memoryLimitMB = Infinity } = definition ?? {};
      return memoryLimitMB < Infinity ? Math.max(largest, memoryLimitMB) : largest;
    }, 0);
    return this.#largestMemoryLimitMB;
  }

  /** The open entry of an instance or a caller; undefined when its server was removed. */
  openEntry({ name }: { readonly name: string }): OpenEntry | undefined {
    const entry = this.entries.get(name);
    return isOpen(entry) ? entry : undefined;
  }

  *instances(): Generator<PooledInstance> {
    for (const { instances } of this.entries.values()) yield* instances;
  }

  // Slots.

  /** Whether one more tree fits into both budgets. */
  hasSlot({ isFull }: OpenEntry): boolean {
    return !isFull && !this.slots.isFull;
  }

  /** Whether one more tree may be started now: there is a slot, and nothing holds new starts back. */
  hasRoom(entry: OpenEntry): boolean {
    return this.hasSlot(entry) && this.gate.isOpen;
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
    const leaseClass = this.classOf(instance);
    if (leaseClass === undefined) return;
    const { entry } = leaseClass;
    if (take(leaseClass.idle, instance)) this.idle.delete(entry, instance);
    take(entry.clean, instance);
    take(leaseClass.shared, instance);
    this.slots.free(entry, instance);
    this.changed(leaseClass);
  }

  /** An instance was not proven dead: its slot will not come free soon. */
  markQuarantined(instance: PooledInstance): void {
    const leaseClass = this.classOf(instance);
    if (leaseClass === undefined) return;
    this.slots.keep(leaseClass.entry, instance);
    this.changed(leaseClass);
  }

  /** Removes an instance that is dead. Its slot comes free, or goes to its successor. */
  remove(instance: PooledInstance): void {
    const leaseClass = this.classOf(instance);
    if (leaseClass === undefined) return;
    const { entry } = leaseClass;
    this.removeStart(instance);
    this.leave(instance, leaseClass);
    if (entry.instances.delete(instance)) entry.pastUses += instance.uses;
    this.slots.giveBack(entry, instance);
    this.changed(leaseClass);
    this.prune(leaseClass);
    if (entry.definition === undefined && entry.instances.size === 0) this.entries.delete(entry.name);
  }

  // Use.

  /** An instance will have room for callers, unless it fails: it is being started, or tested before the next lease. */
  addSeat(leaseClass: LeaseClass, instance: PooledInstance): void {
    leaseClass.starts.push(instance);
    leaseClass.entry.startCount += 1;
    this.changed(leaseClass);
  }

  /** A start has succeeded, failed or been given up: it has no seats for callers any more. */
  removeStart(instance: PooledInstance): void {
    const leaseClass = this.classOf(instance);
    if (leaseClass === undefined || !take(leaseClass.starts, instance)) return;
    leaseClass.entry.startCount -= 1;
    this.changed(leaseClass);
  }

  /** A start has succeeded: earlier failures are forgotten. */
  startSucceeded(instance: PooledInstance): void {
    const entry = this.classOf(instance)?.entry;
    if (entry) entry.lastFailure = undefined;
    this.removeStart(instance);
  }

  startFailed(instance: PooledInstance, error: PoolError, at: number): void {
    const leaseClass = this.classOf(instance);
    if (leaseClass) leaseClass.entry.lastFailure = { error, tenant: instance.tenant, variant: instance.variant, at };
  }

  isStarting(instance: PooledInstance): boolean {
    return this.classOf(instance)?.starts.includes(instance) ?? false;
  }

  /**
   * Adds an instance without a lease to the idle ones of its class; a clean one that no caller of its class waits for to the
   * spare ones. Returns its class.
   */
  park(instance: PooledInstance, now: number): LeaseClass | undefined {
    const own = this.classOf(instance);
    const isSpare = instance.isClean && own?.waiting === 0;
    const leaseClass = isSpare && instance.mayServe(SPARE) ? this.#moveToSpares(instance) : own;
    if (leaseClass === undefined) return undefined;
    instance.idleSince = now;
    leaseClass.idle.push(instance);
    if (isSpare) leaseClass.entry.clean.push(instance);
    this.idle.add(leaseClass.entry, instance);
    this.changed(leaseClass);
    return leaseClass;
  }

  /** Gives a clean instance, idle or on its way, to the callers of another class: it serves this scope from now on. */
  adopt(instance: PooledInstance, to: LeaseClass, scope: LeaseScope): void {
    const from = this.classOf(instance);
    if (from === undefined || from === to) return;
    if (take(from.idle, instance)) to.idle.push(instance);
    if (take(from.starts, instance)) to.starts.push(instance);
    this.leave(instance, from);
    this.join(instance, to, scope);
    this.changed(from);
    this.changed(to);
    this.prune(from);
  }

  /** Takes the idle instance that was used last, so that the others can reach their `idleTimeout`. */
  takeIdle(leaseClass: LeaseClass, scope: LeaseScope): PooledInstance | undefined {
    const instance = leaseClass.nextIdle(scope);
    if (instance === undefined) return undefined;
    if (instance === leaseClass.idle.at(-1)) leaseClass.idle.pop();
    else take(leaseClass.idle, instance);
    this.idle.delete(leaseClass.entry, instance);
    if (instance.uses === 0) take(leaseClass.entry.clean, instance);
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

  /** Whether others depend on an instance. When they do no more, its idle time begins anew. Returns whether it is idle. */
  setNeeded(instance: PooledInstance, isNeeded: boolean, now: number): boolean {
    const leaseClass = this.classOf(instance);
    if (leaseClass === undefined || instance.isNeeded === isNeeded) return false;
    instance.isNeeded = isNeeded;
    instance.wasNeeded ||= isNeeded;
    const isIdle = leaseClass.idle.includes(instance);
    if (isIdle) this.idle.setNeeded(leaseClass.entry, instance);
    if (isIdle && !isNeeded) instance.idleSince = now;
    this.changed(leaseClass);
    return isIdle;
  }

  /** The instances of a server that serve a tenant, or are to. */
  ofTenant(name: string, tenant: string | undefined): PooledInstance[] {
    return this.classesOf(name, tenant).flatMap(({ instances }) => [...instances]);
  }

  /** Its classes. */
  classesOf(name: string, tenant: string | undefined): LeaseClass[] {
    return [...(this.entries.get(name)?.tenants.get(tenant) ?? [])];
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

  /** An instance that any caller may use belongs to none. Returns its class. */
  #moveToSpares(instance: PooledInstance): LeaseClass | undefined {
    const entry = this.classOf(instance)?.entry;
    if (entry === undefined) return undefined;
    const spares = this.classOfKey(entry, SPARE_KEY, SPARE);
    this.adopt(instance, spares, SPARE);
    return spares;
  }

  #addStarting(entry: ServerEntry, instance: PooledInstance): void {
    const leaseClass = this.classOfKey(entry, reuseKey(instance.definition, instance), instance);
    this.join(instance, leaseClass, instance);
    entry.instances.add(instance);
    this.addSeat(leaseClass, instance);
  }
}

/** Removes `instance` from the list. False when it was not there. */
function take(list: PooledInstance[], instance: PooledInstance): boolean {
  const index = list.indexOf(instance);
  if (index !== -1) list.splice(index, 1);
  return index !== -1;
}
