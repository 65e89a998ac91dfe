import type { EssentialServers } from './essential-servers.js';
import type { PooledInstance } from './pooled-instance.js';
import type { ServerEntry } from './server-entry.js';

/** Counts the instances without a lease, of the pool and of each server, and those of them that others depend on. */
export class IdleInstances {
  readonly #essential: EssentialServers;
  count = 0;
  /** Those that others depend on: they make no room for callers. */
  readonly needed = new Set<PooledInstance>();

  constructor(essential: EssentialServers) {
    this.#essential = essential;
  }

  add(entry: ServerEntry, instance: PooledInstance): void {
    this.#change(entry, instance, 1);
  }

  delete(entry: ServerEntry, instance: PooledInstance): void {
    this.#change(entry, instance, -1);
  }

  /** Whether others depend on an idle instance has changed. */
  setNeeded(entry: ServerEntry, instance: PooledInstance): void {
    this.#countNeeded(entry, instance, instance.isNeeded ? 1 : -1);
  }

  #change(entry: ServerEntry, instance: PooledInstance, change: 1 | -1): void {
    entry.idleCount += change;
    this.count += change;
    if (entry.isEssential) this.#essential.idle += change;
    if (instance.isNeeded) this.#countNeeded(entry, instance, change);
  }

  #countNeeded(entry: ServerEntry, instance: PooledInstance, change: 1 | -1): void {
    entry.neededIdle += change;
    if (change === 1) this.needed.add(instance);
    else this.needed.delete(instance);
    if (entry.isEssential) this.#essential.idle -= change;
  }
}
