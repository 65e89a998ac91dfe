import type { ResolvedDefinition, ResolvedPoolOptions } from '../config/options.js';
import { hostCgroups, onHostCgroup } from '../process/cgroup/host-cgroup.js';
import { knownProblems, onProblem } from '../process/containment-problems.js';
import { type ContainmentStatus, containmentStatus } from '../process/containment-status.js';
import { noteUnread, type ReapedHost, reapDeadHosts } from '../process/guardian/dead-hosts.js';
import { type HostGuard, hostGuard, type Watch } from '../process/guardian/host-guard.js';
import { LEDGER_FORMAT } from '../process/guardian/ledger.js';
import type { Launcher } from '../process/launcher.js';
import { countUnclaimed } from '../process/marks/unclaimed.js';
import type { Platform } from '../process/platform.js';
import { noteMissingInit } from '../process/platforms/init.js';
import { registeredProcesses } from '../process/process-registry.js';
import { localLauncher } from '../process/start/local-launcher.js';
import type { PoolEmitter } from './events.js';

/** Set by the first pool of a thread that reads ledgers of this format: the others need not look for processes of dead hosts. */
const LOOKED = Symbol.for(`mcp-server-pool.dead-hosts/${LEDGER_FORMAT}`);

/** The machine on which the servers of a pool run. */
export interface ServerHost {
  /**
   * The launcher for the servers of a definition: what a definition asks for decides what kind of process it gets. Without one,
   * that of the commands of the pool itself.
   */
  launcherFor(definition?: ResolvedDefinition): Launcher;
  /** What keeps the processes of servers together; undefined if unknown. `pids`: of the processes that were spawned and live. */
  containment(pids: ReadonlySet<number>): ContainmentStatus | undefined;
  /** How many processes a server has left that belong to no tree. Throws when the process table cannot be read. */
  unclaimed(): number;
  /** Resolves when all its work is done, and the guardian has ended if no other pool needs it. No event is emitted after that. */
  end(): Promise<void>;
}

/** This machine: starts servers as child processes, runs the guardian, and emits the events of both. */
export class LocalHost implements ServerHost {
  readonly #launcher: Launcher;
  readonly #options: ResolvedPoolOptions;
  readonly #platform: Platform;
  readonly #emitter: PoolEmitter;
  readonly #guard: HostGuard;
  readonly #unlisten: (() => void)[] = [];
  #hasServers = false;
  readonly #stop = new AbortController();
  readonly #looked: Promise<void>;

  /** @throws PoolError `INVALID_OPTIONS` when the guardian cannot run, or another pool of this host runs it with other options */
  constructor(options: ResolvedPoolOptions, platform: Platform, emitter: PoolEmitter) {
    const { cgroupParent } = options;
    const { enabled, ...choice } = options.guardian;
    this.#options = options;
    this.#platform = platform;
    this.#emitter = emitter;
    this.#guard = hostGuard(platform);
    this.#guard.configure(choice, enabled);
    if (platform.withoutInit) noteMissingInit(platform.table);
    this.#launcher = localLauncher(platform, { cgroupParent, watch: () => this.#enter(enabled) });
    const before = knownProblems();
    // In the next turn, so that the maker of the pool can add its listeners first.
    this.#looked = Promise.resolve().then(async () => {
      for (const problem of before) emitter.emit('containment:degraded', problem);
      this.#listen();
      await this.#reapDeadHosts();
      // Otherwise a pool without servers that is never shut down could not be garbage-collected.
      if (!this.#hasServers) this.#fallSilent();
    });
  }

  /** Every definition of today asks for a child process. */
  launcherFor(): Launcher {
    return this.#launcher;
  }

  containment(pids: ReadonlySet<number>): ContainmentStatus | undefined {
    const { containment: asked, cgroupParent } = this.#options;
    return containmentStatus({ platform: this.#platform, asked, cgroupParent, guard: this.#guard.status(), pids });
  }

  unclaimed(): number {
    const { table, marks } = this.#platform;
    return countUnclaimed(table, marks, registeredProcesses);
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
    const { signal: abort } = this.#stop;
    const folders = await this.#guard.findFolders(noteUnread, { abort });
    await reapDeadHosts(folders, this.#platform, onReaped, abort);
  }
}
