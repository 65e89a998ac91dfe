import type { AlertLevel, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { PoolDeed, StartRules, Told, TreeDeed } from './finding.js';
import { GrowthWatch } from './growth.js';
import type { HostSample } from './host/host-sample.js';
import { LeakDetector } from './leaks/leak-detector.js';
import { isAtLeast, type Level } from './level.js';
import { LevelWatch } from './level-watch.js';
import type { TreeSource } from './monitored-host.js';
import type { MonitoredTree, TreePhase } from './monitored-tree.js';
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
  /** The trees that `totals` are of. */
  readonly counted: readonly TreeSample[];
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
  readonly #source: Pick<TreeSource, 'isPool' | 'limits'>;
  readonly #trees = new Map<string, TreeWatch>();
  readonly #leaks: LeakDetector;
  readonly #levels: LevelWatch;
  readonly #totals: TotalsWatch;
  readonly growth: GrowthWatch;

  constructor(settings: ResolvedMonitoring, source: Pick<TreeSource, 'isPool' | 'limits'>) {
    this.#settings = settings;
    this.#source = source;
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
    const counted = trees.filter(({ tree }) => this.#counts(tree));
    const samples = this.#samplesOf(counted);
    const totals = sumOf(samples, strays + this.#unexpected());
    const isComplete = counted.every(
      ({ tree, isKnown }) => isKnown || this.#trees.get(keyOf(tree))?.sample !== undefined,
    );
    const grown = isComplete ? this.growth.sample(at, samples) : undefined;
    if (grown) told.push(['growth:detected', grown]);
    const limits = this.#source.limits(host);
    const candidates = this.#candidates();
    const { memoryMB, cpuPercent } = isComplete ? totals : { memoryMB: undefined, cpuPercent: undefined };
    const shortage = this.#totals.take({ at, host, limits, candidates, memoryMB, cpuPercent }, told, treeDeeds);
    const memory = { memoryLimitMB: limits.memoryMB.limit, memoryLevel: this.#totals.memoryLevel };
    const poolDeeds = this.#levels.take({ at, totals, candidates, ...memory }, told, treeDeeds);
    return {
      sample: { at: date, host, trees: this.#samplesOf(trees), totals },
      counted: samples,
      level: this.level,
      told,
      isUndecided: this.#levels.isUndecided || this.growth.isUndecided,
      treeDeeds: onceEach(treeDeeds),
      poolDeeds,
      startRules: { shortage, overload: this.#levels.overload(), holdsSpares: this.#holdsSpares() },
    };
  }

  /** Whether it counts for totals and levels: what a host has added to the monitor of a pool is only measured. */
  #counts({ phase }: { readonly phase: TreePhase }): boolean {
    return !this.#source.isPool || phase !== 'foreign';
  }

  /** Of a tree that cannot be measured just now, the last sample counts: it has not shrunk to nothing. */
  #samplesOf(trees: readonly MeasuredTree[]): TreeSample[] {
    const shown = trees.filter(({ usage, isKnown }) => usage !== undefined || !isKnown);
    return shown.flatMap(({ tree }) => this.#trees.get(keyOf(tree))?.sample ?? []);
  }

  #unexpected(): number {
    const counted = [...this.#trees.values()].filter((watch) => this.#counts(watch));
    return counted.reduce((sum, { unexpected }) => sum + unexpected, 0);
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
    const key = keyOf(tree);
    const known = this.#trees.get(key);
    if (known) return known;
    const watch = new TreeWatch(tree, this.#settings, this.#leaks);
    this.#trees.set(key, watch);
    return watch;
  }

  #forgetGone(trees: Measurement['trees'], told: Told[]): void {
    const present = new Set(trees.map(({ tree }) => keyOf(tree)));
    for (const [key, watch] of this.#trees) {
      if (present.has(key)) continue;
      watch.end(told);
      this.#trees.delete(key);
    }
  }

  /** All trees, those that may not be ended included: the others are compared with them. */
  #candidates(): TreeCandidate[] {
    const counted = [...this.#trees.values()].filter((watch) => this.#counts(watch));
    return counted.map((watch) => watch.candidate(this.growth.growthOf(watch.id)));
  }

  /** Nothing is started that no caller asks for while idle trees are ended. */
  #holdsSpares(): boolean {
    return isAtLeast(this.level, 'critical') || ['critical', 'exceeded'].includes(this.#totals.memoryLevel);
  }
}

function sumOf(samples: readonly TreeSample[], unexpected: number): ResourceSample['totals'] {
  const totals = { processes: 0, unexpected, memoryMB: 0, cpuPercent: 0 };
  for (const { processes, memoryMB, cpuPercent = 0 } of samples) {
    totals.processes += processes;
    totals.memoryMB += memoryMB;
    totals.cpuPercent += cpuPercent;
  }
  return totals;
}

/** A host may give an added tree the id of an instance. */
function keyOf({ id, phase }: MonitoredTree): string {
  return phase === 'foreign' ? `added ${id}` : id;
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
