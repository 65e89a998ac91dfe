import type { ResolvedPoolOptions } from '../config/options.js';
import { hostCgroups, onHostCgroup } from '../process/cgroup/host-cgroup.js';
import { knownProblems, onProblem } from '../process/containment-problems.js';
import { type ContainmentStatus, containmentStatus } from '../process/containment-status.js';
import { type ReapedHost, reapDeadHosts } from '../process/guardian/dead-hosts.js';
import { type HostGuard, hostGuard, type Watch } from '../process/guardian/host-guard.js';
import type { Launcher } from '../process/launcher.js';
import type { Platform } from '../process/platform.js';
import { noteMissingInit } from '../process/platforms/init.js';
import { localLauncher } from '../process/start/local-launcher.js';
import type { PoolEmitter } from './events.js';

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
  readonly #emitter: PoolEmitter;
  readonly #guard: HostGuard;
  readonly #unlisten: (() => void)[] = [];
  #hasServers = false;
  readonly #stop = new AbortController();
  readonly #looked: Promise<void>;

  /** @throws PoolError `INVALID_OPTIONS` when the guardian cannot be what the options say */
  constructor(options: ResolvedPoolOptions, platform: Platform, emitter: PoolEmitter) {
    const { cgroupParent } = options;
    const { enabled, ...choice } = options.guardian;
    this.#options = options;
    this.#platform = platform;
    this.#emitter = emitter;
    this.#guard = hostGuard(platform);
    this.#guard.configure(choice, enabled);
    if (platform.withoutInit) noteMissingInit(platform.table);
    this.launcher = localLauncher(platform, { cgroupParent, watch: () => this.#enter(enabled) });
    const before = knownProblems();
    // Not before whoever makes the pool could listen to it.
    this.#looked = Promise.resolve().then(async () => {
      for (const problem of before) emitter.emit('containment:degraded', problem);
      this.#listen();
      await this.#reapDeadHosts();
      // A pool without servers, which nobody shuts down, shall be collected.
      if (!this.#hasServers) this.#fallSilent();
    });
  }

  containment(pids: ReadonlySet<number>): ContainmentStatus | undefined {
    const { containment: asked, cgroupParent } = this.#options;
    return containmentStatus({ platform: this.#platform, asked, cgroupParent, guard: this.#guard.status(), pids });
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#looked, this.#guard.settled()]);
    this.#fallSilent();
  }

  #enter(guarded: boolean): Watch {
    this.#hasServers = true;
    this.#listen();
    return this.#guard.enter(guarded);
  }

  #listen(): void {
    if (this.#unlisten.length > 0) return;
    for (const folder of hostCgroups()) this.#guard.watchCgroup(folder);
    this.#unlisten.push(
      onHostCgroup((folder) => this.#guard.watchCgroup(folder)),
      onProblem((problem) => this.#emitter.emit('containment:degraded', problem)),
    );
  }

  #fallSilent(): void {
    for (const stop of this.#unlisten.splice(0)) stop();
  }

  async #reapDeadHosts(): Promise<void> {
    const place = globalThis as { [LOOKED]?: true };
    if (place[LOOKED] || !this.#platform.marks) return;
    place[LOOKED] = true;
    const onReaped = (host: ReapedHost) => this.#emitter.emit('orphan:reaped', host);
    await reapDeadHosts(this.#guard.folders, this.#platform, onReaped, this.#stop.signal);
  }
}
