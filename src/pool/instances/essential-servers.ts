import type { ServerEntry } from './server-entry.js';

/** The servers with `priority: 'essential'`: their trees make room for one another alone. */
export class EssentialServers {
  readonly servers = new Set<ServerEntry>();
  /** Number of their idle instances that may be ended. Also written by `IdleInstances`. */
  idle = 0;

  /** The definition of a server has changed, or was removed. */
  set(entry: ServerEntry, isEssential: boolean): void {
    if (entry.isEssential === isEssential) return;
    entry.isEssential = isEssential;
    if (isEssential) this.servers.add(entry);
    else this.servers.delete(entry);
    this.idle += isEssential ? entry.evictableIdle : -entry.evictableIdle;
  }
}
