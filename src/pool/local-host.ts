import type { ResolvedPoolOptions } from '../config/options.js';
import { type ContainmentStatus, containmentStatus } from '../process/containment/containment-status.js';
import { reapDeadHosts } from '../process/containment/dead-hosts.js';
import { hostGroups, onHostGroup } from '../process/containment/host-group.js';
import { type HostGuard, hostGuard } from '../process/containment/host-guard.js';
import { noteMissingInit } from '../process/containment/init.js';
import { knownProblems, onProblem } from '../process/containment/problems.js';
import type { Launcher } from '../process/launcher.js';
import type { Platform } from '../process/platform.js';
import { localLauncher } from '../process/spawn.js';
import type { News } from './pool-events.js';

/** Only the first pool of a thread looks for what dead hosts have left. */
const LOOKED = Symbol.for('mcp-server-pool.dead-hosts/1');

/** Where the servers of a pool live. */
export interface ServerHost {
  readonly launcher: Launcher;
  /** What keeps their processes together; undefined where this host does not know. `pids` are the leaders of the living. */
  containment(pids: ReadonlySet<number>): ContainmentStatus | undefined;
  /** Resolves when nothing of it is under way, and the guardian gone if no other pool needs it. It is silent then. */
  end(): Promise<void>;
}

/** The host of a pool, as far as it starts servers itself: its launcher, its guardian, and what it tells of both. */
export class LocalHost implements ServerHost {
  readonly launcher: Launcher;
  readonly #options: ResolvedPoolOptions;
  readonly #platform: Platform;
  readonly #news: News;
  readonly #guard: HostGuard;
  readonly #unlisten: () => void;
  readonly #looked: Promise<void>;

  /** @throws PoolError `INVALID_OPTIONS` when the guardian cannot be what the options say */
  constructor(options: ResolvedPoolOptions, platform: Platform, news: News) {
    const { cgroupParent } = options;
    const { enabled, ...choice } = options.guardian;
    this.#options = options;
    this.#platform = platform;
    this.#news = news;
    this.#guard = hostGuard(platform);
    this.#guard.configure(choice, enabled);
    if (platform.withoutInit) noteMissingInit(platform.table);
    this.launcher = localLauncher(platform, { cgroupParent, watch: () => this.#guard.enter(enabled) });
    for (const folder of hostGroups()) this.#guard.watchCgroup(folder);
    const unlisten = [
      onHostGroup((folder) => this.#guard.watchCgroup(folder)),
      onProblem((problem) => news.emit('containment:degraded', problem)),
    ];
    this.#unlisten = () => {
      for (const stop of unlisten) stop();
    };
    const before = knownProblems();
    // Not before whoever makes the pool could listen to it.
    this.#looked = Promise.resolve().then(() => {
      for (const problem of before) news.emit('containment:degraded', problem);
      return this.#reapDeadHosts();
    });
  }

  containment(pids: ReadonlySet<number>): ContainmentStatus {
    const { containment: asked, cgroupParent } = this.#options;
    return containmentStatus({ platform: this.#platform, asked, cgroupParent, guard: this.#guard.status(), pids });
  }

  async end(): Promise<void> {
    await Promise.all([this.#looked, this.#guard.settled()]);
    this.#unlisten();
  }

  async #reapDeadHosts(): Promise<void> {
    const place = globalThis as { [LOOKED]?: true };
    if (place[LOOKED] || !this.#platform.marks) return;
    place[LOOKED] = true;
    await reapDeadHosts(this.#guard.folders, this.#platform, (reaped) => this.#news.emit('orphan:reaped', reaped));
  }
}
