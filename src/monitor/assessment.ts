import type { AlertLevel, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { PoolDeed, StartRules, Told, TreeDeed } from './finding.js';
import { GrowthWatch } from './growth.js';
import type { HostSample } from './host/host-sample.js';
import { LeakDetector } from './leaks/leak-detector.js';
import { isAtLeast, type Level } from './level.js';
import { LevelWatch } from './level-watch.js';
import type { MonitoredTree, TotalLimits } from './monitored-tree.js';
import type { ResourceSample, TreeSample } from './resource-sample.js';
import { TotalsWatch } from './totals-watch.js';
import { type TreeCandidate, TreeWatch } from './tree-watch.js';

/** One tree, and what it uses. */
export interface MeasuredTree {
  readonly tree: MonitoredTree;
  /** Undefined when nothing of it lives, or it could not be measured. */
  readonly usage: TreeUsage | undefined;
  /** Whether it could be measured. */
  readonly isKnown: boolean;
}

/** What was measured at one moment. */
export interface Measurement {
  /** Clock time, ms. */
  readonly at: number;
  /** ms since the epoch. */
  readonly date: number;
  readonly host: HostSample;
  readonly trees: readonly MeasuredTree[];
  /** Processes that belong to no living tree, and should not be there. */
  readonly strays: number;
}

/** What one sample shows, and what follows from it. */
export interface Outcome {
  readonly sample: ResourceSample;
  readonly level: Level;
  readonly told: readonly Told[];
  /** Whether the next sample decides on something, so that it should come soon. */
  readonly isUndecided: boolean;
  readonly treeDeeds: readonly TreeDeed[];
  readonly poolDeeds: readonly PoolDeed[];
  readonly startRules: StartRules;
}

/** Compares what is measured with what was before, and with limits and levels. It has no clock and no effect. */
export class Assessment {
  readonly #settings: ResolvedMonitoring;
  readonly #limits: (host: HostSample) => TotalLimits;
  readonly #trees = new Map<string, TreeWatch>();
  readonly #leaks: LeakDetector;
  readonly #levels: LevelWatch;
  readonly #totals: TotalsWatch;
  readonly growth: GrowthWatch;

  constructor(settings: ResolvedMonitoring, limits: (host: HostSample) => TotalLimits) {
    this.#settings = settings;
    this.#limits = limits;
    this.#leaks = new LeakDetector(settings.leak);
    this.#levels = new LevelWatch(settings);
    this.#totals = new TotalsWatch(settings);
    this.growth = new GrowthWatch(settings.growth);
  }

  get level(): Level {
    return this.#levels.level;
  }

  take({ at, date, host, trees, strays }: Measurement): Outcome {
    const told: Told[] = [];
    const treeDeeds: TreeDeed[] = [];
    const cores = host.cpus?.allowed ?? Number.POSITIVE_INFINITY;
    for (const { tree, usage } of trees) {
      if (usage) this.#watchOf(tree).take(tree, usage, cores, told, treeDeeds);
    }
    this.#forgetGone(trees, told);
    const samples = trees.flatMap(({ tree, usage, isKnown }) => this.#sampleOf(tree, usage !== undefined || !isKnown));
    const totals = this.#sumOf(samples, strays);
    const isComplete = trees.every(({ tree, isKnown }) => isKnown || this.#trees.get(tree.id)?.sample !== undefined);
    const grown = isComplete ? this.growth.sample(at, samples) : undefined;
    if (grown) told.push(['growth:detected', grown]);
    const limits = this.#limits(host);
    const candidates = this.#candidates();
    const all = { at, host, limits, candidates };
    const { memoryMB, cpuPercent } = isComplete ? totals : { memoryMB: undefined, cpuPercent: undefined };
    const shortage = this.#totals.take({ ...all, memoryMB, cpuPercent }, told, treeDeeds);
    const memory = { memoryLimitMB: limits.memoryMB.limit, memoryLevel: this.#totals.memoryLevel };
    const poolDeeds = this.#levels.take({ at, totals, candidates, ...memory }, told, treeDeeds);
    return {
      sample: { at: date, host, trees: samples, totals },
      level: this.level,
      told,
      isUndecided: this.#levels.isUndecided || this.growth.isUndecided,
      treeDeeds: onceEach(treeDeeds),
      poolDeeds,
      startRules: { shortage, overload: this.#levels.overload(), holdsSpares: this.#holdsSpares() },
    };
  }

  /** Of a tree that cannot be measured just now, the last sample counts: it has not shrunk to nothing. */
  #sampleOf({ id }: MonitoredTree, isShown: boolean): TreeSample[] {
    const sample = isShown ? this.#trees.get(id)?.sample : undefined;
    return sample ? [sample] : [];
  }

  #sumOf(samples: readonly TreeSample[], strays: number): ResourceSample['totals'] {
    const totals = { processes: 0, unexpected: strays, memoryMB: 0, cpuPercent: 0 };
    for (const { processes, memoryMB, cpuPercent = 0 } of samples) {
      totals.processes += processes;
      totals.memoryMB += memoryMB;
      totals.cpuPercent += cpuPercent;
    }
    for (const { unexpected } of this.#trees.values()) totals.unexpected += unexpected;
    return totals;
  }

  /** The definition of a server has changed: its earlier lives say nothing of the next ones. */
  forgetLives(name: string): void {
    this.#leaks.forget(name);
  }

  /** What a level would end now, in the order of its actions. */
  victimsAt(level: AlertLevel, now: number): readonly TreeCandidate[] {
    return this.#levels.victimsAt(level, this.#candidates(), now);
  }

  #watchOf(tree: MonitoredTree): TreeWatch {
    const known = this.#trees.get(tree.id);
    if (known) return known;
    const watch = new TreeWatch(tree, this.#settings, this.#leaks);
    this.#trees.set(tree.id, watch);
    return watch;
  }

  #forgetGone(trees: Measurement['trees'], told: Told[]): void {
    const present = new Set(trees.map(({ tree }) => tree.id));
    for (const [id, watch] of this.#trees) {
      if (present.has(id)) continue;
      watch.end(told);
      this.#trees.delete(id);
    }
  }

  /** All trees, those that may not be ended included: the others are compared with them. */
  #candidates(): TreeCandidate[] {
    return [...this.#trees].map(([id, watch]) => watch.candidate(this.growth.growthOf(id)));
  }

  /** Nothing is started that no caller asks for while idle trees are ended. */
  #holdsSpares(): boolean {
    return isAtLeast(this.level, 'critical') || ['critical', 'exceeded'].includes(this.#totals.memoryLevel);
  }
}

/** A tree is ended once: for what cannot wait, else for the first reason. */
function onceEach(deeds: readonly TreeDeed[]): TreeDeed[] {
  const byId = new Map<string, TreeDeed>();
  for (const deed of deeds) {
    const known = byId.get(deed.id);
    if (known === undefined || (deed.isUrgent && !known.isUrgent)) byId.set(deed.id, deed);
  }
  return [...byId.values()];
}
