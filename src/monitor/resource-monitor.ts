import type { AddedTree } from '../config/added-tree.js';
import { readLabel } from '../config/arguments.js';
import type { MonitoringOptions } from '../config/monitoring-options.js';
import { resolveMonitoringOptions } from '../config/resolve-monitoring.js';
import { messageOf } from '../errors.js';
import { SafeEmitter } from '../events.js';
import { currentPlatform } from '../process/platforms/current-platform.js';
import type { ProcessWatch } from '../process/strays/watch-processes.js';
import { checkedUsage } from '../process/usage/checked-usage.js';
import type { DetailedUsage } from '../process/usage/tree-usage.js';
import { systemClock } from '../runtime/clock.js';
import { within } from '../runtime/within.js';
import { AddedTrees } from './added-trees.js';
import { defaultMemoryLimitMB } from './host/auto-limits.js';
import { IncludedWatches } from './included-watches.js';
import type { Level } from './level.js';
import { poolOf, setLoop } from './loop-of.js';
import type { MonitorEvents } from './monitor-events.js';
import { MonitorLoop } from './monitor-loop.js';
import type { TreeSource } from './monitored-host.js';
import type { ResourceSample } from './resource-sample.js';

/** How long it may take to look at one tree, ms: a large process takes milliseconds, one that hangs ten seconds. */
const LONGEST_LOOK = 30_000;

/**
 * Knows what process trees and their host cost, and reports an explosion or a leak while it is small. Alone it only reports:
 * `add()` what you want to be measured, then `start()`, or call `sample()`. In a pool it is `pool.monitor`, which measures the
 * servers of the pool by itself. Its events are {@link MonitorEvents}.
 */
export class ResourceMonitor extends SafeEmitter<MonitorEvents> {
  readonly #added = new AddedTrees(currentPlatform());
  readonly #watches = new IncludedWatches((error) => {
    const consequence = 'what this watch lists does not count as unexpected';
    this.emit('monitor:degraded', { part: 'watches', reason: messageOf(error), consequence });
  });
  readonly #source: TreeSource;
  readonly #loop: MonitorLoop;

  /**
   * @param options as `monitoring` of a pool. Default: none
   * @throws PoolError `INVALID_OPTIONS` that lists every problem
   */
  constructor(options: MonitoringOptions = {}) {
    const pool = poolOf(options);
    super(pool?.source.outbox);
    this.#source = withAdded(pool?.source ?? ALONE, this.#added, this.#watches);
    const settings = pool?.settings ?? resolveMonitoringOptions(options);
    this.#loop = new MonitorLoop(settings, this.#source, (event, payload) => void this.emit(event, payload as never));
    setLoop(this, this.#loop);
  }

  override toJSON(): object {
    return { level: this.level, latest: this.latest };
  }

  /** The last sample; undefined before the first. */
  get latest(): ResourceSample | undefined {
    return this.#loop.latest;
  }

  /** How far the measured trees are from what is expected of them: see `levels`. Without a sample `normal`. */
  get level(): Level {
    return this.#loop.level;
  }

  /**
   * Begins to sample: in `interval` from now, and again and again. It never keeps the host alive. That of a pool does this by
   * itself while servers live. With `enabled: false` it only reports what it finds, and does nothing.
   */
  start(): void {
    this.#loop.start();
  }

  /**
   * Samples no more, also when servers are spawned, until `start()`. New starts are free again, and the level is `normal`. What
   * a sample under way finds is reported, and nothing follows from it. Nothing of what was added is kept open; it is measured
   * again with the next sample.
   */
  stop(): void {
    this.#loop.stop();
    this.#added.rest();
  }

  /**
   * Takes a sample now, and does what follows from it; while the monitor is stopped, it only emits what it finds. Calls at the
   * same time share one. A host may call it again and again: each sample begins in a later turn of the event loop than that in
   * which the last one has ended.
   */
  sample(): Promise<ResourceSample> {
    return this.#loop.sample();
  }

  /**
   * Measures one more process tree: the process with that pid and its descendants, also when they outlive it, until nothing of
   * it lives. The pid counts for the process that has it now. Nothing of it ever gets a signal, and in a pool it counts for no
   * limit and no level. At most 10,000.
   * @throws PoolError `INVALID_OPTIONS` when no process has the pid, or only a thread, the id is taken, or a value is wrong; `NOT_SUPPORTED`
   *   where the processes of the system cannot be listed
   */
  add(tree: AddedTree): void {
    this.#added.add(tree);
  }

  /**
   * Measures a tree no more that `add()` has added.
   * @returns false when none has this id
   * @throws PoolError `INVALID_OPTIONS` when the id is no string
   */
  remove(id: string): boolean {
    return this.#added.remove(readLabel(id, 'id', 'monitor.remove()'));
  }

  /**
   * What one tree uses now, with its open descriptors and proportional memory, which are too expensive for every sample: they
   * cost some tenths of a millisecond for a small process, and some milliseconds for a large one, which stands still meanwhile.
   * @param id of an instance of the pool, as in `status()`, or of a tree that was added
   * @returns undefined when no tree has this id, nothing of it lives, or its launcher cannot measure it
   * @throws PoolError `INVALID_OPTIONS` when the id is no string; the error of the system when it does not answer (EMFILE); an
   *   error when the tree is not measured after 30 s, or its launcher reports what is no amount
   */
  async inspect(id: string): Promise<DetailedUsage | undefined> {
    readLabel(id, 'id', 'monitor.inspect()');
    const found = this.#source.trees().find((tree) => tree.id === id);
    return found && checkedUsage(await within(this.#source.clock, LONGEST_LOOK, found.detailedUsage()));
  }

  /**
   * Counts what a watch lists as unexpected processes (`totals.unexpected`), so that it counts for the level, until the watch is
   * stopped. The list is that of the last look of the watch; `watch.list()` looks now. At most 100. One that cannot be read counts
   * as empty: `monitor:degraded`.
   * @param watch made by `watchProcesses()`
   * @throws PoolError `INVALID_OPTIONS`
   */
  include(watch: ProcessWatch): void {
    this.#watches.add(watch);
  }
}

/** Without a pool there is nothing but what is added. */
const ALONE: TreeSource = {
  isPool: false,
  clock: systemClock,
  trees: () => [],
  unclaimed: () => 0,
  limits: (host) => ({
    memoryMB: { limit: defaultMemoryLimitMB(host), isSet: false },
    cpuPercent: { limit: Infinity, isSet: false },
  }),
};

function withAdded(source: TreeSource, added: AddedTrees, watches: IncludedWatches): TreeSource {
  return {
    isPool: source.isPool,
    clock: source.clock,
    outbox: source.outbox,
    trees: () => [...source.trees(), ...added.list()],
    unclaimed: () => source.unclaimed() + watches.count(),
    limits: (host) => source.limits(host),
  };
}
