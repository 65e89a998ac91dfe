import { type AddedTree, type ResolvedAddedTree, resolveAddedTree } from '../config/added-tree.js';
import { errnoOf, messageOf, PoolError } from '../errors.js';
import type { Platform } from '../process/platform.js';
import { isThread } from '../process/process-table.js';
import { type WatchedTree, watchedTree } from '../process/tree/watched-tree.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { MonitoredTree } from './monitored-tree.js';

/** More are refused: each costs something at each sample. */
const MOST = 10_000;

/** Process trees that a host has added to a monitor. They are measured, and never get a signal. */
export class AddedTrees {
  readonly #platform: Platform;
  readonly #trees = new Map<string, Added>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** @throws PoolError `INVALID_OPTIONS` when no process has the pid, or the id is taken; `NOT_SUPPORTED` */
  add(given: AddedTree): void {
    const tree = resolveAddedTree(given);
    const { id, pid } = tree;
    if (this.#trees.has(id)) throw refusal(`the id '${id}' is taken; remove() it first`);
    if (this.#trees.size >= MOST) throw refusal(`${MOST} trees are added already`);
    if (this.#platform.usage === undefined)
      throw new PoolError('NOT_SUPPORTED', 'processes cannot be measured on this platform');
    let watched: WatchedTree | undefined;
    try {
      watched = watchedTree(this.#platform, pid);
    } catch (error) {
      throw refusal(`process ${pid} cannot be looked up (${errnoOf(error) ?? messageOf(error)})`);
    }
    if (watched === undefined) throw refusal(absence(this.#platform, pid));
    const added = new Added(this.#platform, tree, watched, () => this.remove(id));
    this.#trees.set(id, added);
  }

  /** False when none has this id. */
  remove(id: string): boolean {
    this.#trees.get(id)?.close();
    return this.#trees.delete(id);
  }

  list(): MonitoredTree[] {
    return [...this.#trees.values()].map(({ tree }) => tree);
  }

  /** Nothing is kept open, until they are measured again. */
  rest(): void {
    for (const added of this.#trees.values()) added.rest();
  }
}

/** One of them. */
class Added {
  readonly tree: MonitoredTree;
  readonly #platform: Platform;
  readonly #identity: WatchedTree['identity'];
  readonly #onGone: () => void;
  /** Undefined while nothing of it is kept open. */
  #watched: WatchedTree | undefined;
  #isClosed = false;

  /** @param onGone nothing of it lives, and nothing will come back */
  constructor(platform: Platform, tree: ResolvedAddedTree, watched: WatchedTree, onGone: () => void) {
    this.#platform = platform;
    this.#identity = watched.identity;
    this.#watched = watched;
    this.#onGone = onGone;
    const { id, name, priority, expectedProcesses, limits } = tree;
    const idleSince = performance.now();
    this.tree = {
      ...{ id, name, priority, expectedProcesses, phase: 'foreign', leases: 0, idleSince },
      limits: {
        memoryMB: limits.memoryLimitMB,
        cpuPercent: limits.cpuLimitPercent,
        cpuWindow: limits.cpuWindow,
        processes: limits.maxTreeProcesses,
      },
      ...{ replacesLeaks: false, answered: undefined },
      usage: () => this.#measure((watched) => watched.usage()),
      detailedUsage: () => this.#measure((watched) => watched.detailedUsage()),
    };
  }

  /** Nothing is kept open, until it is measured again. */
  rest(): void {
    this.#watched?.close();
    this.#watched = undefined;
  }

  /** It is measured no more. */
  close(): void {
    this.#isClosed = true;
    this.rest();
  }

  async #measure<U extends TreeUsage>(by: (watched: WatchedTree) => Promise<U | undefined>): Promise<U | undefined> {
    if (this.#isClosed) return undefined;
    this.#watched ??= this.#watchAgain();
    const watched = this.#watched;
    const usage = watched && (await by(watched));
    if (usage && usage.processes + usage.zombies > 0) return usage;
    // Else it was given back, or removed, while it was measured: that shows nothing of it, and another may have its id.
    if (watched === this.#watched) this.#onGone();
    return undefined;
  }

  /** Undefined when its first process has ended meanwhile: what that has left behind is not known. */
  #watchAgain(): WatchedTree | undefined {
    const { pid, startTime } = this.#identity;
    const watched = watchedTree(this.#platform, pid);
    if (watched?.identity.startTime === startTime) return watched;
    watched?.close();
    return undefined;
  }
}

function absence({ table }: Platform, pid: number): string {
  if (!isThread(table, pid)) return `there is no process ${pid}`;
  return `${pid} is the id of a thread; add its process ${table.processOf?.(pid)}`;
}

function refusal(problem: string): PoolError {
  return new PoolError('INVALID_OPTIONS', `the call of monitor.add() was refused: ${problem}`, { problems: [problem] });
}
