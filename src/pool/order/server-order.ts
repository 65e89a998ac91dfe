import type { StopContext, StopMode } from '../../config/sequence-options.js';
import type { PoolError } from '../../errors.js';
import { reachable } from '../../runtime/graph.js';
import type { EndReason } from '../../server/end-reason.js';
import type { PoolEmitter } from '../events.js';
import type { DependencyKeeper, Shortage, WaitingForSlot } from '../instances/dependency-gate.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry, ServerEntry } from '../instances/server-entry.js';
import { ownFault } from '../refusals.js';
import type { InstanceWatch } from '../supervision/instance-watches.js';
import { OrderedEnds, type OrderedEndsDeps } from './ordered-ends.js';
import type { PoolStep } from './pool-step.js';
import { idleDependents, yields } from './relief.js';
import { type StepEnder, TenantSequence, type TenantSequenceDeps } from './tenant-sequence.js';

type FromOrder = 'ends' | 'ender' | 'onEmpty' | 'onOutdated' | 'onFault';

export type ServerOrderDeps = OrderedEndsDeps & Omit<TenantSequenceDeps, FromOrder> & { readonly emitter: PoolEmitter };

/** Ends the instances of a server and tenant within the end of everything. */
type Ender = (instances: readonly PooledInstance[], how: StopContext) => Promise<void>;

/**
 * Starts servers after those that they depend on, and ends them before. Each tenant has a sequence of its own, since a dependency is
 * an instance of the tenant of its dependent. It is made when a server with dependencies is asked for, and dropped when nothing of it is up.
 */
export class ServerOrder implements DependencyKeeper, InstanceWatch {
  readonly #deps: ServerOrderDeps;
  readonly #sequenceDeps: TenantSequenceDeps;
  readonly #sequences = new Map<string | undefined, TenantSequence>();
  /** Those that end everything now; the last one counts. */
  #enders: StepEnder[] = [];

  constructor(deps: ServerOrderDeps) {
    this.#deps = deps;
    this.#sequenceDeps = {
      ...deps,
      ends: new OrderedEnds(deps),
      ender: () => this.#enders.at(-1),
      onEmpty: (sequence) => {
        if (this.#sequences.get(sequence.tenant) === sequence) this.#sequences.delete(sequence.tenant);
      },
      onOutdated: (sequence) => this.#renew(sequence),
      onFault: (fault) => this.#fault(fault),
    };
    deps.fleet.gate.dependencies.connect(this);
  }

  /** That of a tenant, made if there is none. */
  of(tenant: string | undefined): TenantSequence {
    const known = this.#sequences.get(tenant);
    if (known) return known;
    const made = new TenantSequence(tenant, this.#sequenceDeps);
    this.#sequences.set(tenant, made);
    return made;
  }

  // For the gate.

  get isEmpty(): boolean {
    return this.#sequences.size === 0;
  }

  isThere(entry: OpenEntry, tenant: string | undefined): boolean {
    return this.#sequences.get(tenant)?.allows(entry) ?? false;
  }

  bringUp(entry: OpenEntry, tenant: string | undefined): void {
    if (this.#deps.fleet.isOpen) this.#guard(() => this.of(tenant).forCallers.bringUp(entry));
  }

  left(name: string, tenant: string | undefined): void {
    const sequence = this.#sequences.get(tenant);
    const step = sequence?.steps.get(name);
    if (step === undefined) return;
    this.#guard(() => step.look());
    if (!step.own.areAlive) sequence?.reviewSoon();
  }

  missing(name: string, tenant: string | undefined): readonly string[] {
    return this.#sequences.get(tenant)?.missing(name) ?? [];
  }

  relieve(shortage: Shortage, waiter: WaitingForSlot): void {
    const { fleet } = this.#deps;
    const { name, tenant } = waiter;
    const caller = this.#rankOf(waiter);
    const counts = (instance: PooledInstance) =>
      shortage === 'pool' || (instance.name === name && (shortage === 'server' || instance.tenant === tenant));
    const ending = shortage === 'pool' ? fleet.slots.ending : endingOf(fleet.entries.get(name), counts);
    // One at a time: its slot may be enough.
    if (ending > 0) return;
    const kept = [...fleet.idle.needed].filter(counts);
    // The last one was kept for the latest caller.
    const yielding = kept.findLast((one) => {
      const sequence = this.#sequences.get(one.tenant);
      return sequence !== undefined && yields(one, caller, sequence, this.#deps.queue);
    });
    if (yielding) return void yielding.stop('evicted');
    if (shortage === 'pool') return;
    for (const instance of kept.sort((a, b) => a.idleSince - b.idleSince)) {
      const sequence = this.#sequences.get(instance.tenant);
      const idle = sequence ? idleDependents(instance, sequence) : [];
      for (const one of idle) void one.stop('evicted');
      if (idle.length > 0) return;
    }
  }

  /** The arrival number of a caller; of one that stands for the pool that of the first caller behind it. */
  #rankOf({ name, tenant, number, request }: WaitingForSlot): number {
    const steps = this.#sequences.get(tenant)?.steps;
    const step = steps?.get(name);
    if (request.onInstance === undefined || steps === undefined || step === undefined) return number;
    const behind = reachable([step], (one) => steps.dependentsOf(one.name));
    const first = (one: PoolStep) => this.#deps.queue.oldestOfTenant(one.name, tenant)?.number ?? Infinity;
    return Math.min(number, ...[...behind].map(first));
  }

  // For calls of the host.

  /** Starts what a server depends on, and one instance of it for a scope. @throws PoolError because of which that could not be done */
  async warm(entry: OpenEntry, scope: LeaseScope): Promise<void> {
    const error = await this.of(scope.tenant).forCallers.warm(entry, scope);
    if (error) throw error;
  }

  /** The names of the servers that depend on one. */
  dependentsOf(name: string): string[] {
    const { entries } = this.#deps.fleet;
    return [...entries.values()]
      .filter(({ definition }) => definition?.dependencies.some(({ id }) => id === name))
      .map((entry) => entry.name);
  }

  /** A definition was changed or removed. */
  redefined(name: string): void {
    for (const sequence of this.#sequences.values()) sequence.redefined(name);
  }

  /** A tenant is released: what it has is ended by others, and nothing is started for that any more. */
  forget(tenant: string): void {
    const sequence = this.#sequences.get(tenant);
    this.#sequences.delete(tenant);
    sequence?.detach(false);
  }

  /** Restarts a server with all that depends on it, for all tenants. */
  async restart(name: string, timeout: number): Promise<void> {
    const concerned = [...this.#sequences.values()].filter((one) => one.needs.isActive(name));
    await Promise.all(concerned.map((one) => one.restart(name, timeout)));
  }

  // For the end of everything.

  /** In which wave of a shutdown each instance ends; one that nothing depends on ends in the first. */
  waveOf(): (instance: PooledInstance) => number {
    const waves = new Map<TenantSequence, ReadonlyMap<string, number>>();
    for (const sequence of this.#sequences.values()) {
      const planned = sequence.manager.plan('shutdown').waves;
      waves.set(sequence, new Map(planned.flatMap((names, wave) => names.map((name) => [name, wave] as const))));
    }
    return ({ name, tenant }) => {
      const sequence = this.#sequences.get(tenant);
      return (sequence && waves.get(sequence)?.get(name)) ?? 0;
    };
  }

  /** Whether {@link stopAll} ends an instance. */
  covers({ name, tenant }: PooledInstance): boolean {
    return this.#sequences.get(tenant)?.needs.isActive(name) ?? false;
  }

  /**
   * Ends the instances of all sequences in reverse order.
   * @param timeout ms, divided among those that end one after the other
   */
  async stopAll(mode: StopMode, timeout: number, end: Ender): Promise<void> {
    const ender: StepEnder = (step, how) => end(step.instances, how);
    this.#enders.push(ender);
    const sequences = [...this.#sequences.values()];
    await Promise.all(sequences.map(({ manager }) => manager.stop({ mode, timeout })));
    this.#enders = this.#enders.filter((one) => one !== ender);
    for (const sequence of sequences) sequence.reviewSoon();
  }

  // As a watch of instances.

  spawned(instance: PooledInstance): void {
    this.#stepOf(instance)?.spawned();
  }

  ready(instance: PooledInstance): void {
    const { name, tenant } = instance;
    this.#stepOf(instance)?.ready(instance, this.#sequences.get(tenant)?.isUp(name) ?? false);
  }

  failed(instance: PooledInstance, error: PoolError): void {
    this.#stepOf(instance)?.failed(error);
    this.#lookLater(instance);
  }

  ending(instance: PooledInstance, reason: EndReason): void {
    this.#guard(() => this.#stepOf(instance)?.ending(instance, reason));
    this.#lookLater(instance);
  }

  #stepOf({ name, tenant }: PooledInstance): PoolStep | undefined {
    return this.#sequences.get(tenant)?.steps.get(name);
  }

  #lookLater({ name, tenant }: PooledInstance): void {
    if (this.#sequences.get(tenant)?.steps.has(name)) this.#deps.fleet.gate.dependencies.noteLeft(name, tenant);
  }

  /** Steps are made anew, and find what is up already. What was kept for others stays so until that is done. */
  #renew(old: TenantSequence): void {
    const { fleet } = this.#deps;
    const { tenant } = old;
    if (this.#sequences.get(tenant) !== old) return;
    const used = [...old.steps].filter(({ isUsed }) => isUsed);
    this.#sequences.delete(tenant);
    old.detach(true);
    const next = this.of(tenant);
    for (const { name } of used) {
      const entry = fleet.openEntry({ name });
      if (entry && entry.definition.dependencies.length > 0) this.#guard(() => next.forCallers.bringUp(entry));
    }
    next.reviewSoon();
    void next.forCallers.settled().then(() => old.letGo(next));
  }

  #guard(task: () => void): void {
    try {
      task();
    } catch (fault) {
      this.#fault(fault);
    }
  }

  #fault(fault: unknown): void {
    this.#deps.emitter.emit('internal:error', { error: ownFault(fault) });
  }
}

function endingOf(entry: ServerEntry | undefined, counts: (instance: PooledInstance) => boolean): number {
  return [...(entry?.ending ?? [])].filter(counts).length;
}
