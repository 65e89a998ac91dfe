import type { Containment, MarkerChoice } from '../../config/containment-options.js';
import { checkJoined } from '../cgroup/cgroup-choice.js';
import type { InstanceCgroup } from '../cgroup/instance-cgroup.js';
import type { EndOptions, SignalReach } from '../launcher.js';
import { looksAt } from '../marks/looks.js';
import { MarkSearch } from '../marks/mark-search.js';
import type { InstanceMark } from '../marks/marker.js';
import { Sweeper } from '../marks/sweeper.js';
import type { Platform } from '../platform.js';
import type { ProcessIdentity, ProcessRow } from '../process-table.js';
import type { EndMode, Graces, TerminationReport, TreePlan } from '../termination-report.js';
import type { LeaderState, TreeActivity } from '../usage/tree-activity.js';
import { TreeMeter } from '../usage/tree-meter.js';
import type { DetailedUsage, TreeUsage } from '../usage/tree-usage.js';
import { KillNotes } from './kill-notes.js';
import { ProcessGroup } from './process-group.js';
import type { ProcessSet } from './process-set.js';
import { ProcessTree } from './process-tree.js';
import { killMembers, signalLeader, signalTree } from './signal-tree.js';
import { endTree, planEnd, type TerminationTarget } from './termination.js';

/** By what the processes of a server are held together. */
export interface ContainmentHandles {
  readonly containment: Containment;
  /** Undefined when the server has none. */
  readonly mark: InstanceMark | undefined;
  readonly markers: MarkerChoice;
  /** Undefined when the server has none. */
  readonly cgroup: InstanceCgroup | undefined;
  /** Whether the server joins its cgroup only when it runs: then what it has started before may be outside. */
  readonly joinsLater?: boolean;
}

export interface LocalTreeParts {
  readonly leader: ProcessIdentity;
  /** How it was started. */
  readonly start: ContainmentHandles;
  readonly platform: Platform;
  closeStdin(): void;
  /** No process of it lives. Called before the end is reported. */
  onDead(): void;
  /** Nothing of it is in the group of its leader any more, so that the number of the group may be given again. */
  onGroupLeft(): void;
}

/**
 * All processes that end with one local server, and each way to end them: by the ladder, at once, or without the table.
 */
export class LocalTree {
  readonly #parts: LocalTreeParts;
  /** Finds its processes by the mark. Undefined when the server has none. */
  readonly #search: MarkSearch | undefined;
  readonly #processes: ProcessSet;
  #exited = false;
  /** The living members, if a scan in this tick has shown them: what follows in this tick needs no second scan. */
  #seen: ProcessRow[] | undefined;
  readonly #kills = new KillNotes();
  #hasLeaderGroup = true;
  readonly #started = performance.now();
  /** Made when it is first asked what the tree uses. */
  #meter: TreeMeter | undefined;
  #isDead = false;
  readonly #onceExited = new Set<(living: readonly ProcessRow[] | undefined) => void>();

  constructor(parts: LocalTreeParts) {
    this.#parts = parts;
    this.#search = searchOf(parts);
    this.#processes = processSetOf(parts, this.#search);
  }

  /** Climbs the ladder, and proves that all processes are dead. */
  async end({ mode, signal, onStep }: Omit<EndOptions, 'graces'>, graces: Graces): Promise<TerminationReport> {
    const { leader, start, platform, closeStdin, onDead } = this.#parts;
    const started = performance.now();
    this.#kills.tell(onStep);
    try {
      // A leader that was killed a moment ago may have left its cgroup by its death.
      if (start.cgroup && !this.#exited && this.#kills.isEmpty) checkJoined(start.cgroup, leader);
      const report = this.#kills.addTo(await endTree(this.#target(), graces, mode, { signal, onStep }), started);
      if (report.survivors.length === 0) {
        // A process that is not visible may still live: /proc mounted with hidepid hides processes that are not
        // dumpable. As long as its exit was not reported, the pid belongs to our leader. If the group is empty, the
        // signal has no effect.
        if (!this.#exited) await reported();
        if (!this.#exited) platform.signalGroup(leader.pid, 'SIGKILL');
        this.#processes.forget();
        this.#meter?.close();
        this.#isDead = true;
        onDead();
      } else this.#noteGroup();
      return report;
    } catch (error) {
      // The table cannot be read (EMFILE): nothing can be proven now, but what certainly belongs to the server can be
      // ended.
      closeStdin();
      if (mode === 'emergency') {
        if (!this.#exited) await reported();
        this.#killUnseen();
      }
      throw error;
    }
  }

  /** What the ladder would do now. Sends no signal. */
  plan(mode: EndMode, graces: Graces): TreePlan {
    return planEnd(this.#target(), graces, mode);
  }

  /** What its processes use now. Trees that are asked in the same tick share one look at the process table. */
  async usage(): Promise<TreeUsage | undefined> {
    return this.#meterNow()?.measure(() => this.#present());
  }

  async detailedUsage(): Promise<DetailedUsage | undefined> {
    return this.#meterNow()?.measureAll(() => this.#present());
  }

  async activity(): Promise<TreeActivity | undefined> {
    return this.#meterNow()?.activity(() => this.#present());
  }

  /** How the leader is now. What cannot be read is not known to have ended. */
  leaderState(): LeaderState {
    if (this.#exited) return 'gone';
    const { leader, platform } = this.#parts;
    // Where processes cannot be held, each look costs a child process.
    if (platform.table.hold === undefined) return 'running';
    try {
      const row = platform.table.read(leader.pid);
      if (row === undefined || row.startTime !== leader.startTime || row.dead) return 'gone';
      return row.state === 'T' ? 'stopped' : 'running';
    } catch {
      // EMFILE.
      return 'running';
    }
  }

  /** Kills what can be killed without waiting, before the ladder comes. */
  killNow(): void {
    const { platform } = this.#parts;
    if (!platform.withoutInit) return this.killAll('the ladder follows');
    try {
      const living = this.#scan();
      this.#kills.note(living.length);
      // Parents are killed later, when they have collected their children. The ladder follows in any case, and proves
      // it.
      killMembers(platform, this.#processes, living).catch(() => {});
    } catch {
      this.#killUnseen();
    }
  }

  /** Kills all members at once: in the last tick of the host, and where an init collects orphans. */
  killAll(next?: 'the ladder follows'): void {
    const { platform, start } = this.#parts;
    try {
      const living = this.#scan();
      this.#kills.note(living.length);
      const reached = signalTree(platform, this.#processes, living, 'SIGKILL');
      // A signal to a group is an error only when it reaches none: one that has changed its user is killed by its cgroup.
      if (next) start.cgroup?.killUnless((pid) => reached.has(pid) && platform.mayNotSignal?.(pid) !== true);
      else start.cgroup?.kill();
    } catch {
      this.#killUnseen();
    }
  }

  /** Signals living processes of it, outside of any end: no step is reported. False when the leader got no signal. */
  signal(signal: NodeJS.Signals, reach: SignalReach): boolean {
    const { leader, platform } = this.#parts;
    if (this.#exited) return false;
    if (reach === 'leader') return signalLeader(platform, leader, signal);
    return signalTree(platform, this.#processes, this.#processes.refresh(), signal).has(leader.pid);
  }

  /** Call it in the tick in which Node has collected the leader. */
  leaderExited(): void {
    this.#exited = true;
    const left = this.#adoptOrphans();
    this.#noteGroup();
    for (const wake of this.#onceExited) wake(left);
    this.#onceExited.clear();
  }

  #noteGroup(): void {
    if (!this.#exited || !this.#hasLeaderGroup || this.#processes.hasLeaderGroup) return;
    const { leader, start, platform } = this.#parts;
    // A look may have missed one.
    if (start.containment !== 'group' && platform.hasGroup?.(leader.pid)) return;
    this.#hasLeaderGroup = false;
    this.#parts.onGroupLeft();
  }

  #target(): TerminationTarget {
    const { leader, start, platform, closeStdin } = this.#parts;
    return {
      pid: leader.pid,
      platform,
      tree: this.#processes,
      seen: this.#seen,
      cgroup: start.cgroup,
      sweeper: this.#search && new Sweeper(platform, this.#search),
      isCgroupEmpty: () => start.joinsLater === false && start.cgroup?.isOurs === true && !start.cgroup.isPopulated(),
      closeStdin,
      hasExited: () => this.#exited,
      onceExited: (wake) => this.#onceExited.add(wake),
    };
  }

  /** Undefined where the platform measures nothing. */
  #meterNow(): TreeMeter | undefined {
    const { platform, start } = this.#parts;
    const { usage: source } = platform;
    if (source === undefined) return undefined;
    const cgroup = () => (this.#isDead ? undefined : start.cgroup?.figures());
    this.#meter ??= new TreeMeter({ source, age: performance.now() - this.#started, cgroup });
    return this.#meter;
  }

  /** The members at the moment, zombies too. */
  #present(): ProcessRow[] {
    return this.#isDead ? [] : this.#processes.present();
  }

  #scan(): ProcessRow[] {
    return this.#seen ?? this.#keep(this.#processes.refresh());
  }

  #keep(living: ProcessRow[]): ProcessRow[] {
    this.#seen = living;
    // A scan is valid only in its own tick.
    queueMicrotask(() => {
      this.#seen = undefined;
    });
    return living;
  }

  /** Adopts what the leader left. If the table cannot be read in this tick, orphans are not recognized later. */
  #adoptOrphans(): ProcessRow[] | undefined {
    try {
      return this.#keep(this.#processes.leaderExited());
    } catch {
      // EMFILE. The ladder still ends the known members.
      return undefined;
    }
  }

  /** Kills the group without a scan: until Node has collected the leader, its number belongs to it. */
  #killUnseen(): void {
    const { leader, start, platform } = this.#parts;
    start.cgroup?.kill();
    if (this.#exited || this.#isCollected()) return;
    this.#kills.note(1);
    platform.signalGroup(leader.pid, 'SIGKILL');
  }

  /** Whether Node has collected the leader, and has not reported it yet. What is held can be read without a descriptor. */
  #isCollected(): boolean {
    const { leader, platform } = this.#parts;
    try {
      return platform.table.hold !== undefined && platform.table.read(leader.pid)?.startTime !== leader.startTime;
    } catch {
      return false;
    }
  }
}

/**
 * libuv collects all children that have ended, and then reports one after the other: in between a pid may be free already.
 * After a turn of the event loop all that it has collected are reported, and it collects none before the next.
 */
function reported(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function searchOf({ leader, start, platform: { table, marks } }: LocalTreeParts): MarkSearch | undefined {
  const { mark, markers } = start;
  if (!mark || !marks) return undefined;
  const { startTime: since } = leader;
  const { rlimit: limits } = markers;
  return new MarkSearch(mark, { looks: looksAt(table, marks), table, readMark: marks, since, limits });
}

/** Which processes end with the server. */
function processSetOf(
  { leader, start, platform: { table, marks: readMark, hasGroup } }: LocalTreeParts,
  marks: MarkSearch | undefined,
): ProcessSet {
  const { containment, cgroup } = start;
  const looks = looksAt(table, readMark);
  if (containment === 'group') return new ProcessGroup(table, leader, looks, hasGroup);
  return new ProcessTree(table, leader, { looks, marks, inCgroup: cgroup && (() => cgroup.pids()) });
}
