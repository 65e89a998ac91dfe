import { type LeaseScope, reuseKey } from './lease-scope.js';
import type { PooledInstance } from './pooled-instance.js';
import { ScopeIndex } from './scope-index.js';
import { LeaseClass, type OpenEntry, type ServerEntry } from './server-entry.js';
import type { StartGate } from './start-gate.js';

/** The classes of the instances of a pool, and those of them that have changed. */
export class LeaseClasses {
  /** Classes with instances: of all classes of a server most may only have callers. */
  readonly populated = new Set<LeaseClass>();
  /** Classes with starts that none of their callers needs. */
  readonly surplus = new Set<LeaseClass>();
  /** Servers whose spare instances may be fewer than `minIdle`: they have changed since they were looked at, or wait for room. */
  readonly mayLackSpares: ServerEntry[] = [];
  /** Whether anything new may be started now. */
  readonly gate: StartGate;
  readonly #scopes = new ScopeIndex<PooledInstance>();
  readonly #changes: LeaseClass[] = [];

  constructor(gate: StartGate) {
    this.gate = gate;
  }

  /** A class that has changed in a way that may matter to a caller; undefined when none is left. */
  takeChange(): LeaseClass | undefined {
    const leaseClass = this.#changes.pop();
    if (leaseClass === undefined) return undefined;
    leaseClass.isChanged = false;
    const { entry, hasSurplus } = leaseClass;
    if (hasSurplus) {
      this.surplus.add(leaseClass);
      entry.surplus.add(leaseClass);
    } else if (this.surplus.delete(leaseClass)) {
      entry.surplus.delete(leaseClass);
    }
    return leaseClass;
  }

  /** A class has changed: the scheduler looks at its callers again. */
  changed(leaseClass: LeaseClass): void {
    this.sparesChanged(leaseClass.entry);
    if (leaseClass.isChanged) return;
    leaseClass.isChanged = true;
    this.#changes.push(leaseClass);
  }

  /** The same for the class of an instance. */
  instanceChanged(instance: PooledInstance): void {
    const leaseClass = this.classOf(instance);
    if (leaseClass) this.changed(leaseClass);
  }

  /** A server may have fewer spare instances than before. Of most servers `minIdle` asks for none. */
  sparesChanged(entry: ServerEntry): void {
    if (entry.mayLackSpares || entry.definition === undefined || entry.definition.minIdle === 0) return;
    entry.mayLackSpares = true;
    this.mayLackSpares.push(entry);
  }

  /** The class of a scope, made if there is none. */
  classFor(entry: OpenEntry, scope: LeaseScope): LeaseClass {
    return this.classOfKey(entry, reuseKey(entry.definition, scope), scope);
  }

  /** The class of an instance that has not ended. */
  classOf(instance: PooledInstance): LeaseClass | undefined {
    return instance.home as LeaseClass | undefined;
  }

  /** Drops a class without instances and callers, since there may be many tenants. False when it has some. */
  prune(leaseClass: LeaseClass): boolean {
    const { entry, key, instances, waiting } = leaseClass;
    if (instances.size > 0 || waiting > 0 || entry.classes.get(key) !== leaseClass) return false;
    const ofTenant = entry.tenants.get(leaseClass.tenant);
    if (ofTenant?.delete(leaseClass) && ofTenant.size === 0) entry.tenants.delete(leaseClass.tenant);
    return entry.classes.delete(key);
  }

  /** The instances that belong to one tenant, or, with `reuse: 'owner'`, to one owner. */
  ofScope(by: 'owner' | 'tenant', label: string): PooledInstance[] {
    return this.#scopes.of(by, label);
  }

  /** An instance serves this scope from now on. */
  protected join(instance: PooledInstance, leaseClass: LeaseClass, { tenant, owner }: LeaseScope): void {
    instance.tenant = tenant;
    instance.owner = instance.definition.reuse === 'owner' ? owner : undefined;
    this.#scopes.add(instance);
    instance.home = leaseClass;
    leaseClass.instances.add(instance);
    this.populated.add(leaseClass);
  }

  protected leave(instance: PooledInstance, leaseClass: LeaseClass): void {
    this.#scopes.delete(instance);
    instance.home = undefined;
    leaseClass.instances.delete(instance);
    if (leaseClass.instances.size === 0) this.populated.delete(leaseClass);
    this.gate.dependencies.lost(leaseClass);
  }

  protected classOfKey(entry: ServerEntry, key: string, { tenant, variant }: LeaseScope): LeaseClass {
    const known = entry.classes.get(key);
    if (known) return known;
    const made = new LeaseClass(entry, key, tenant, variant);
    entry.classes.set(key, made);
    const ofTenant = entry.tenants.get(tenant);
    if (ofTenant) ofTenant.add(made);
    else entry.tenants.set(tenant, new Set([made]));
    return made;
  }
}
