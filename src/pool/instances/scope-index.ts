import type { ScopeLabels } from './lease-scope.js';

/** Leases or callers by owner and by tenant, so that those of one label are found without a search through all. */
export class ScopeIndex<T extends ScopeLabels> {
  readonly #owners = new Map<string, Items<T>>();
  readonly #tenants = new Map<string, Items<T>>();

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
    for (const item of listOf((by === 'owner' ? this.#owners : this.#tenants).get(label)))
      if (isWanted(item)) return item;
    return undefined;
  }

  /** The items of one owner, or of one tenant, in the order in which they were added. */
  of(by: 'owner' | 'tenant', label: string): T[] {
    return [...listOf((by === 'owner' ? this.#owners : this.#tenants).get(label))];
  }
}

/** The items of one label: most owners have one only. */
type Items<T> = T | Set<T>;

function addTo<T extends object>(all: Map<string, Items<T>>, label: string, item: T): void {
  const items = all.get(label);
  if (items === undefined) all.set(label, item);
  else if (items instanceof Set) items.add(item);
  else all.set(label, new Set([items, item]));
}

function deleteFrom<T extends object>(all: Map<string, Items<T>>, label: string, item: T): void {
  const items = all.get(label);
  if (items === item || (items instanceof Set && items.delete(item) && items.size === 0)) all.delete(label);
}

function listOf<T extends object>(items: Items<T> | undefined): Iterable<T> {
  if (items === undefined) return [];
  return items instanceof Set ? items : [items];
}
