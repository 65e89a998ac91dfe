import type { Containment } from '../../config/containment-options.js';
import { checkJoined } from '../cgroup/cgroup-choice.js';
import type { EndOptions } from '../launcher.js';
import { InnerHosts } from '../marks/inner-hosts.js';
import { MarkSearch } from '../marks/mark-search.js';
import type { Platform } from '../platform.js';
import type { ProcessIdentity, ProcessRow } from '../process-table.js';
import type { EndMode, Graces, TerminationReport, TreePlan } from '../termination-report.js';
import { type ContainmentHandles, type KillReport, killEscaped } from './kill-escaped.js';
import { ProcessGroup } from './process-group.js';
import type { ProcessSet } from './process-set.js';
import { ProcessTree } from './process-tree.js';
import { endTree, killMembers, planEnd, signalTree } from './termination.js';

export interface LocalTreeParts {
  readonly leader: ProcessIdentity;
  /** How it was started. */
  readonly start: ContainmentHandles & { readonly containment: Containment };
  readonly platform: Platform;
  closeStdin(): void;
  /** No process of it lives. Called before the end is reported. */
  onDead(): void;
}

/**
 * All processes that end with one local server, and each way to end them: by the ladder, at once, or without the table.
 */
export class LocalTree {
  readonly #parts: LocalTreeParts;
  /** Pools that run in this server: found by the scans of its tree, and then known to the sweep. */
  readonly #inner: InnerHosts | undefined;
  readonly #processes: ProcessSet;
  #exited = false;
  /**
   * What the leader left behind; only in the tick of its exit, so that a kill in the same tick needs no second scan.
   */
  #left: ProcessRow[] | undefined;
  /** What was killed outside the ladder, and when. */
  readonly #kills: { readonly time: number; readonly processes: number }[] = [];
  readonly #onceExited = new Set<() => void>();

  constructor(parts: LocalTreeParts) {
    this.#parts = parts;
    const { mark } = parts.start;
    this.#inner = mark && new InnerHosts(mark);
    this.#processes = processSetOf(parts, this.#inner);
  }

  #killRest(): (() => Promise<KillReport>) | undefined {
    const { leader, start, platform } = this.#parts;
    const own = this.#processes.killRest?.bind(this.#processes, platform);
    return own ?? killEscaped(start, platform, { since: leader.startTime, inner: this.#inner });
  }

  /** Climbs the ladder, and proves that all processes are dead. */
  async end({ mode, signal }: Omit<EndOptions, 'graces'>, graces: Graces): Promise<TerminationReport> {
    const { leader, start, platform, closeStdin, onDead } = this.#parts;
    const target = {
      pid: leader.pid,
      platform,
      tree: this.#processes,
      closeStdin,
      hasExited: () => this.#exited,
      onceExited: (wake: () => void) => this.#onceExited.add(wake),
      killCgroup: () => start.cgroup?.kill(),
      killRest: this.#killRest(),
    };
    const started = performance.now();
    try {
      if (start.cgroup && !this.#exited) checkJoined(start.cgroup, leader);
      const report = this.#withKills(await endTree(target, graces, mode, signal), started);
      if (report.survivors.length === 0) {
        // A process that is not visible may still live: /proc mounted with hidepid hides processes that are not
        // dumpable. As long as Node has not reported the exit, the pid belongs to our leader. If the group is empty,
        // the signal has no effect.
        if (!this.#exited) platform.signalGroup(leader.pid, 'SIGKILL');
        onDead();
      }
      return report;
    } catch (error) {
      // The table cannot be read (EMFILE): nothing can be proven now, but what certainly belongs to the server can be
      // ended.
      closeStdin();
      if (mode === 'emergency') this.#killUnseen();
      throw error;
    }
  }

  /** What the ladder would do now. Sends no signal. */
  plan(mode: EndMode, graces: Graces): TreePlan {
    const { leader, platform } = this.#parts;
    return planEnd({ pid: leader.pid, platform, tree: this.#processes, hasExited: () => this.#exited }, graces, mode);
  }

  /** Kills what can be killed without waiting, before the ladder comes. */
  killNow(): void {
    const { platform } = this.#parts;
    if (!platform.withoutInit) return this.killAll();
    try {
      const living = this.#left ?? this.#processes.refresh();
      this.#noteKill(living.length);
      // Parents are killed later, when they have collected their children. The ladder follows in any case, and proves
      // it.
      killMembers(platform, this.#processes, living).catch(() => {});
    } catch {
      this.#killUnseen();
    }
  }

  /** Kills all members at once: in the last tick of the host, and where an init collects orphans. */
  killAll(): void {
    try {
      const living = this.#left ?? this.#processes.refresh();
      this.#noteKill(living.length);
      signalTree(this.#parts.platform, this.#processes, living, 'SIGKILL');
      this.#parts.start.cgroup?.kill();
    } catch {
      this.#killUnseen();
    }
  }

  /** Call it in the tick in which Node has collected the leader. */
  leaderExited(): void {
    this.#exited = true;
    this.#adoptOrphans();
    for (const wake of this.#onceExited) wake();
    this.#onceExited.clear();
  }

  /** Adopts what the leader left. If the table cannot be read in this tick, orphans are not recognized later. */
  #adoptOrphans(): void {
    try {
      this.#left = this.#processes.leaderExited();
      // A scan is valid only in its own tick.
      queueMicrotask(() => {
        this.#left = undefined;
      });
    } catch {
      // EMFILE. The ladder still ends the known members.
    }
  }

  /** Kills the group without reading the table: until Node has collected the leader, its number belongs to it. */
  #killUnseen(): void {
    const { leader, start, platform } = this.#parts;
    start.cgroup?.kill();
    if (this.#exited) return;
    this.#noteKill(1);
    platform.signalGroup(leader.pid, 'SIGKILL');
  }

  #noteKill(processes: number): void {
    if (processes > 0) this.#kills.push({ time: performance.now(), processes });
  }

  /** Adds what was killed outside the ladder to the report of the ladder. */
  #withKills(report: TerminationReport, started: number): TerminationReport {
    const kills = this.#kills.map(({ time, processes }) => {
      return { step: 'SIGKILL' as const, at: Math.max(0, Math.round(time - started)), processes };
    });
    const all = [...report.steps, ...kills].sort((a, b) => a.at - b.at);
    // Two kills in a row are reported as one step.
    const steps = all.filter(({ step }, index) => step !== all[index - 1]?.step);
    return { ...report, steps, endedBy: steps.at(-1)?.step ?? report.endedBy };
  }
}

/** Which processes end with the server. */
function processSetOf(
  { leader, start: { containment, mark, cgroup }, platform: { table, marks: readMark } }: LocalTreeParts,
  inner: InnerHosts | undefined,
): ProcessSet {
  if (containment === 'group') return new ProcessGroup(table, leader);
  const since = leader.startTime;
  const marks = mark && readMark ? new MarkSearch(mark, { table, readMark, since, inner }) : undefined;
  return new ProcessTree(table, leader, { marks, inCgroup: cgroup && (() => cgroup.pids()) });
}
