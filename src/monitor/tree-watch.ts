import type { TreeUsage } from '../process/usage/tree-usage.js';
import { cpuPercent } from './cpu-percent.js';
import { ExpectedProcesses } from './expected.js';
import type { Told, TreeDeed } from './finding.js';
import type { LeakDetector } from './leaks/leak-detector.js';
import type { LeakWatch } from './leaks/leak-watch.js';
import { QuietMoment } from './leaks/quiet-moment.js';
import type { NearPercents } from './levels.js';
import { type LimitAssessment, LimitWatch, type LimitWindows } from './limits.js';
import type { LimitEvent, LimitKind } from './monitor-events.js';
import type { MonitoredTree, TreeLimit, TreePhase } from './monitored-tree.js';
import type { TreeLevel, TreeSample } from './resource-sample.js';
import type { Candidate } from './victims.js';

/** How limits are compared, as the option `monitoring` says. */
export interface WatchSettings extends NearPercents {
  readonly windows: LimitWindows;
  readonly leak: { readonly warmup: number };
}

/** A tree that could be ended, and its figures. */
export interface TreeCandidate extends Candidate {
  readonly id: string;
  readonly name: string;
  readonly phase: TreePhase;
  readonly memoryMB: number;
  readonly cpuPercent: number;
}

type TreeKind = Extract<LimitKind, 'memory' | 'cpu' | 'processes'>;

const UNITS: Readonly<Record<TreeKind, string>> = { memory: 'MB', cpu: '% of a core', processes: 'processes' };
const HOUR = 3_600_000;
const RANKS: readonly TreeLevel[] = ['normal', 'warning', 'critical', 'exceeded'];

/** What one tree has used so far, as far as the next sample is compared with it. */
export class TreeWatch {
  readonly #settings: WatchSettings;
  readonly #leak: LeakWatch;
  readonly #expected: ExpectedProcesses;
  readonly #limits = new Map<TreeKind, LimitWatch>();
  #tree: MonitoredTree;
  #before: TreeUsage | undefined;
  #unexpected = 0;
  /** When it is replaced because it leaks. */
  readonly #quiet: QuietMoment;
  /** Until then a leak is not acted on again: the replacement may have failed. */
  #leakRest = 0;
  #sample: TreeSample | undefined;

  constructor(tree: MonitoredTree, settings: WatchSettings, leaks: LeakDetector) {
    this.#tree = tree;
    this.#settings = settings;
    this.#leak = leaks.watch(tree.name);
    this.#quiet = new QuietMoment(settings.leak.warmup);
    this.#expected = new ExpectedProcesses(tree.expectedProcesses);
  }

  /** Processes beyond what is expected, in the last sample. */
  get unexpected(): number {
    return this.#unexpected;
  }

  get id(): string {
    return this.#tree.id;
  }

  /** Where it is in its life. */
  get phase(): TreePhase {
    return this.#tree.phase;
  }

  /** The last sample; undefined before the first. */
  get sample(): TreeSample | undefined {
    return this.#sample;
  }

  /** What the choice of whom to end looks at. */
  candidate(growth: number): TreeCandidate {
    const { id, name, priority, phase, leases, idleSince } = this.#tree;
    const isSpared = phase === 'ending' || phase === 'foreign';
    const use = { phase, isSpared, isIdle: phase === 'ready' && leases === 0, leases, idleSince };
    const { memoryMB = 0, cpuPercent = 0 } = this.#sample ?? {};
    return { id, name, priority, ...use, memoryMB, cpuPercent, excess: this.#unexpected, growth };
  }

  /** Takes what the tree uses now. `told` and `deeds` get what follows from it. */
  take(tree: MonitoredTree, usage: TreeUsage, cores: number, told: Told[], deeds: TreeDeed[]): TreeSample {
    this.#tree = tree;
    const { id, name } = tree;
    const { at, memoryMB, residentMB, processes, zombies, threads, uptime } = usage;
    const cpu = cpuPercent(this.#before, usage, cores);
    this.#before = usage;
    this.#unexpected = this.#expected.update(at, processes, tree.phase !== 'starting');
    const { limits } = tree;
    const levels = [
      this.#compare('memory', at, memoryMB, limits.memoryMB, told, deeds),
      this.#compare('cpu', at, cpu, limits.cpuPercent, told, deeds),
      this.#compare('processes', at, processes, limits.processes, told, deeds),
    ];
    this.#lookForLeak(at, memoryMB, told, deeds);
    const level = RANKS[Math.max(...levels.map((one) => RANKS.indexOf(one)))] ?? 'normal';
    const measured = { memoryMB, residentMB, cpuPercent: cpu, processes, zombies, threads, uptime };
    this.#sample = { id, name, ...measured, level };
    return this.#sample;
  }

  /** The tree has ended, or is not watched any more. */
  end(told: Told[]): void {
    for (const [kind, watch] of this.#limits) {
      const limit = limitOf(this.#tree, kind)?.limit ?? Infinity;
      if (watch.end()) told.push(['limit:recovered', { ...this.#limitEvent(kind, 0, limit) }]);
    }
    this.#leak.end();
  }

  #compare(
    kind: TreeKind,
    at: number,
    value: number | undefined,
    limit: TreeLimit | undefined,
    told: Told[],
    deeds: TreeDeed[],
  ): TreeLevel {
    // What it uses while it starts is a start: npx may fill a cache first.
    if (limit === undefined || this.phase === 'starting') return 'normal';
    const watch = this.#limits.get(kind) ?? this.#newWatch(kind);
    this.#limits.set(kind, watch);
    const assessment = watch.update(at, value, limit.limit);
    const event = this.#limitEvent(kind, value ?? 0, limit.limit);
    if (assessment.change) told.push([`limit:${assessment.change}`, event]);
    if (limit.isSet && mustAct(assessment) && this.#canReplace(assessment.isUrgent)) {
      watch.acted();
      deeds.push(this.#replacement(event, kind, assessment.isUrgent));
    }
    return assessment.level;
  }

  /** One that leaves already is ended only if that cannot wait for its lease. */
  #canReplace(isUrgent: boolean): boolean {
    return this.phase === 'ready' || (this.phase === 'leaving' && isUrgent);
  }

  #newWatch(kind: TreeKind): LimitWatch {
    const { windows } = this.#settings;
    const long = kind === 'cpu' ? (this.#tree.limits.cpuWindow ?? windows.long) : windows.long;
    // One process is a large share of a few, so a number of processes is exceeded or not.
    const percents = kind === 'processes' ? undefined : this.#settings;
    return new LimitWatch({ long, short: Math.min(windows.short, long) }, percents);
  }

  #lookForLeak(at: number, memoryMB: number, told: Told[], deeds: TreeDeed[]): void {
    const { id, name, answered, leases, replacesLeaks } = this.#tree;
    const changed = this.#leak.add({ at, memoryMB, ...(answered === undefined ? {} : { requests: answered }) });
    const { verdict, slopeMBPerHour } = this.#leak.finding;
    if (verdict !== 'confirmed') this.#quiet.forget();
    if (verdict === 'none') return;
    if (changed) told.push([`leak:${verdict}`, { name, instanceId: id, slopeMBPerHour }]);
    // One that cannot be replaced at the moment is looked at again with the next sample.
    if (verdict !== 'confirmed' || !replacesLeaks || !this.#canReplace(false) || at < this.#leakRest) return;
    if (!this.#quiet.isNow(at, leases, this.#timeUntilCritical(memoryMB, slopeMBPerHour))) return;
    this.#leakRest = at + this.#settings.windows.long;
    const reason = `its memory grows by ${Math.round(slopeMBPerHour)} MB an hour, and does not come back`;
    deeds.push({
      ...{ action: 'replace', id, name, reason, kind: 'leak' },
      value: memoryMB,
      limit: 0,
      isUrgent: false,
    });
  }

  /** How long a leak takes until it is near the limit of the tree, ms. */
  #timeUntilCritical(memoryMB: number, slopeMBPerHour: number): number {
    const { limit = Infinity } = this.#tree.limits.memoryMB ?? {};
    const left = (limit * this.#settings.criticalPercent) / 100 - memoryMB;
    if (left <= 0) return 0;
    return slopeMBPerHour > 0 ? (left / slopeMBPerHour) * HOUR : Infinity;
  }

  #replacement({ value, limit }: LimitEvent, kind: TreeKind, isUrgent: boolean): TreeDeed {
    const { id, name } = this.#tree;
    const unit = UNITS[kind];
    const reason = `it uses ${Math.round(value)} ${unit}, more than its limit of ${limit} ${unit}`;
    return { action: 'replace', id, name, reason, kind, value, limit, isUrgent };
  }

  #limitEvent(kind: TreeKind, value: number, limit: number): LimitEvent {
    return { kind, name: this.#tree.name, instanceId: this.#tree.id, value, limit };
  }
}

function mustAct({ level, asksForAction }: LimitAssessment): boolean {
  return level === 'exceeded' && asksForAction;
}

function limitOf({ limits }: MonitoredTree, kind: TreeKind): TreeLimit | undefined {
  return { memory: limits.memoryMB, cpu: limits.cpuPercent, processes: limits.processes }[kind];
}
