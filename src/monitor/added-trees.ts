import { type AddedTree, resolveAddedTree } from '../config/added-tree.js';
import { errnoOf, messageOf, PoolError } from '../errors.js';
import type { Platform } from '../process/platform.js';
import { type WatchedTree, watchedTree } from '../process/tree/watched-tree.js';
import type { MonitoredTree } from './monitored-tree.js';

/** More are refused: each costs something at each sample. */
const MOST = 10_000;

/** Process trees that a host has added to a monitor. They are measured, and never get a signal. */
export class AddedTrees {
  readonly #platform: Platform;
  readonly #trees = new Map<string, { readonly tree: MonitoredTree; readonly watched: WatchedTree }>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** @throws PoolError `INVALID_OPTIONS` when no process has the pid, or the id is taken; `NOT_SUPPORTED` */
  add(given: AddedTree): void {
    const { id, name, pid, priority, expectedProcesses, limits } = resolveAddedTree(given);
    if (this.#trees.has(id)) throw refusal(`the id '${id}' is taken; remove() it first`);
    if (this.#trees.size >= MOST) throw refusal(`${MOST} trees are added already`);
    const watched = this.#watch(pid);
    const [startedAt, isSet] = [performance.now(), true];
    const tree: MonitoredTree = {
      ...{ id, name, priority, expectedProcesses, phase: 'foreign' as const, leases: 0, idleSince: startedAt },
      limits: {
        memoryMB: { limit: limits.memoryLimitMB, isSet },
        cpuPercent: { limit: limits.cpuLimitPercent, isSet },
        cpuWindow: limits.cpuWindow,
        processes: { limit: limits.maxTreeProcesses, isSet },
      },
      ...{ replacesLeaks: false, answered: undefined },
      usage: async () => {
        const usage = await watched.usage();
        // It has ended, and nothing of it will come back.
        if (usage === undefined) this.remove(id);
        return usage;
      },
    };
    this.#trees.set(id, { tree, watched });
  }

  /** False when none has this id. */
  remove(id: string): boolean {
    this.#trees.get(id)?.watched.close();
    return this.#trees.delete(id);
  }

  list(): MonitoredTree[] {
    return [...this.#trees.values()].map(({ tree }) => tree);
  }

  #watch(pid: number): WatchedTree {
    if (this.#platform.usage === undefined)
      throw new PoolError('NOT_SUPPORTED', 'processes cannot be measured on this platform');
    let watched: WatchedTree | undefined;
    try {
      watched = watchedTree(this.#platform, pid);
    } catch (error) {
      throw refusal(`process ${pid} cannot be looked up (${errnoOf(error) ?? messageOf(error)})`);
    }
    if (watched === undefined) throw refusal(`there is no process ${pid}`);
    return watched;
  }
}

function refusal(problem: string): PoolError {
  return new PoolError('INVALID_OPTIONS', `the call of monitor.add() was refused: ${problem}`, { problems: [problem] });
}
