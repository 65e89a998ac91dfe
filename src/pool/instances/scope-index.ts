import type { LeaseScope } from './lease-scope.js';

/** Leases or callers by owner and by tenant, so that those of one label are found without a search through all. */
export class ScopeIndex<T extends LeaseScope> {
  readonly #owners = new Map<string, Set<T>>();
  readonly #tenants = new Map<string, Set<T>>();

  add(item: T): void {
    if (item.owner !== undefined) addTo(this.#owners, item.owner, item);
    if (item.tenant !== undefined) addTo(this.#tenants, item.tenant, item);
  }

  delete(item: T): void {
    if (item.owner !== undefined) deleteFrom(this.#owners, item.owner, item);
    if (item.tenant !== undefined) deleteFrom(this.#tenants, item.tenant, item);
  }

  /** The first item of one owner, or of one tenant, that is wanted. */
  find(by: 'owner' | 'tenant', label: string, isWanted: (item: T) => boolean): T | undefined {
    for (const item of (by === 'owner' ? this.#owners : this.#tenants).get(label) ?? [])
      if (isWanted(item)) return item;
    return undefined;
  }

  /** The items of one owner, or of one tenant, in the order in which they were added. */
  of(by: 'owner' | 'tenant', label: string): T[] {
    return [...((by === 'owner' ? this.#owners : this.#tenants).get(label) ?? [])];
  }
}

function addTo<T>(sets: Map<string, Set<T>>, label: string, item: T): void {
  const set = sets.get(label);
  if (set) set.add(item);
  else sets.set(label, new Set([item]));
}

function deleteFrom<T>(sets: Map<string, Set<T>>, label: string, item: T): void {
  const set = sets.get(label);
  if (set?.delete(item) && set.size === 0) sets.delete(label);
}
