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
import { type ProcessSet, ProcessTree } from './process-tree.js';
import { endTree, killMembers, planEnd, signalTree } from './termination.js';

export interface LocalTreeParts {
  readonly leader: ProcessIdentity;
  /** How it was started. */
  readonly start: ContainmentHandles & { readonly containment: Containment };
  readonly platform: Platform;
  closeStdin(): void;
  /** Nothing of it lives: told before its end is reported. */
  onDead(): void;
}

/** All that ends with one local process, and each way to end it: on the ladder, at once, or unseen. */
export class LocalTree {
  readonly #parts: LocalTreeParts;
  /** Pools that run in this server: known to the looks of its tree, and then to the sweep. */
  readonly #inner: InnerHosts | undefined;
  readonly #processes: ProcessSet;
  #exited = false;
  /** What the leader left, in the tick of its exit: whoever kills it then need not look again. */
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

  /** Climbs the ladder, and proves that all are dead. */
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
        // Not to be seen is not to be dead: a /proc that hides others' processes hides one that is not dumpable as well.
        // Its exit was not told, so its number is ours. If it is dead, this reaches nobody.
        if (!this.#exited) platform.signalGroup(leader.pid, 'SIGKILL');
        onDead();
      }
      return report;
    } catch (error) {
      // The table cannot be read (EMFILE). Nothing can be proven now, but what is surely ours need not live on.
      closeStdin();
      if (mode === 'emergency') this.#killUnseen();
      throw error;
    }
  }

  /** What the ladder would do now. Signals nobody. */
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
      // Parents come later, when they have collected. The ladder, which comes anyway, proves that it was done.
      killMembers(platform, this.#processes, living).catch(() => {});
    } catch {
      this.#killUnseen();
    }
  }

  /** All at once: for the last tick of the host, and where an init collects them. */
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

  /** To be called in the tick in which the leader is collected. */
  leaderExited(): void {
    this.#exited = true;
    this.#adoptOrphans();
    for (const wake of this.#onceExited) wake();
    this.#onceExited.clear();
  }

  /** Takes in what the leader left. If the table cannot be read now, they cannot be told from strangers any more. */
  #adoptOrphans(): void {
    try {
      this.#left = this.#processes.leaderExited();
      // A look is good for its own tick.
      queueMicrotask(() => {
        this.#left = undefined;
      });
    } catch {
      // EMFILE. The ladder ends the members that are known.
    }
  }

  /** Kills the group without a look at it: until the leader was collected, its number is nobody else's. */
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

  /** What was killed outside the ladder belongs into its report. */
  #withKills(report: TerminationReport, started: number): TerminationReport {
    const kills = this.#kills.map(({ time, processes }) => {
      return { step: 'SIGKILL' as const, at: Math.max(0, Math.round(time - started)), processes };
    });
    const all = [...report.steps, ...kills].sort((a, b) => a.at - b.at);
    // Killed twice in a row is killed once.
    const steps = all.filter(({ step }, index) => step !== all[index - 1]?.step);
    return { ...report, steps, endedBy: steps.at(-1)?.step ?? report.endedBy };
  }
}

/** Who shall end with the server. */
function processSetOf(
  { leader, start: { containment, mark, cgroup }, platform: { table, marks: reads } }: LocalTreeParts,
  inner: InnerHosts | undefined,
): ProcessSet {
  if (containment === 'group') return new ProcessGroup(table, leader);
  const since = leader.startTime;
  const marks = mark && reads ? new MarkSearch(mark, { table, reads, since, inner }) : undefined;
  return new ProcessTree(table, leader, { marks, inCgroup: cgroup && (() => cgroup.pids()) });
}
