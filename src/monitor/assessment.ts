import type { AlertLevel, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import type { Overload, PoolDeed, StartRules, Told, TreeDeed } from './finding.js';
import { GrowthWatch } from './growth.js';
import type { HostSample } from './host/host-sample.js';
import { LeakDetector } from './leaks/leak-detector.js';
import { isAtLeast, type Level } from './level.js';
import { ACTIONS, actionsOf } from './level-actions.js';
import { type LevelCause, type LevelChange, Levels } from './levels.js';
import type { MonitoredTree, TotalLimits } from './monitored-tree.js';
import type { ResourceSample } from './resource-sample.js';
import { TotalsWatch } from './totals-watch.js';
import { type TreeCandidate, TreeWatch } from './tree-watch.js';
import { victims } from './victims.js';

/** What was measured at one moment. */
export interface Measurement {
  /** Clock time, ms. */
  readonly at: number;
  /** ms since the epoch. */
  readonly date: number;
  readonly host: HostSample;
  /** All trees; one without `usage` could not be measured, or nothing of it lives. */
  readonly trees: readonly { readonly tree: MonitoredTree; readonly usage: TreeUsage | undefined }[];
  /** Processes that belong to no living tree, and should not be there. */
  readonly strays: number;
}

/** What the actions of a level depend on. */
interface Circumstances {
  readonly change: LevelChange | undefined;
  readonly candidates: readonly TreeCandidate[];
  readonly now: number;
  /** What all trees use above the share of their limit that is critical, MB. */
  readonly excessMB: number;
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
  readonly #levels: Levels;
  readonly #totals: TotalsWatch;
  readonly growth: GrowthWatch;

  constructor(settings: ResolvedMonitoring, limits: (host: HostSample) => TotalLimits) {
    this.#settings = settings;
    this.#limits = limits;
    this.#leaks = new LeakDetector(settings.leak);
    this.#levels = new Levels(settings.levels, settings);
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
    const samples = trees.flatMap(({ tree, usage }) =>
      usage ? this.#watchOf(tree).take(tree, usage, cores, told, treeDeeds) : [],
    );
    this.#forgetGone(trees, told);
    const sum = (figure: (sample: (typeof samples)[number]) => number) =>
      samples.reduce((total, sample) => total + figure(sample), 0);
    const unexpected = strays + [...this.#trees.values()].reduce((total, watch) => total + watch.unexpected, 0);
    const totals = {
      processes: sum(({ processes }) => processes),
      unexpected,
      memoryMB: sum(({ memoryMB }) => memoryMB),
      cpuPercent: sum(({ cpuPercent }) => cpuPercent ?? 0),
    };
    const sample = { at: date, host, trees: samples, totals };
    const grown = this.growth.sample(at, samples);
    if (grown) told.push(['growth:detected', grown]);
    const limits = this.#limits(host);
    const change = this.#changeLevel(at, totals, limits, told);
    const candidates = this.#candidates();
    const shortage = this.#totals.take({ at, host, totals, limits, candidates }, told, treeDeeds);
    const excessMB = totals.memoryMB - (limits.memoryMB.limit * this.#settings.criticalPercent) / 100;
    const poolDeeds = this.#act({ change, candidates, now: at, excessMB }, treeDeeds);
    const { level } = this;
    const isUndecided = this.#levels.isUndecided || this.growth.isUndecided;
    return {
      ...{ sample, level, told, isUndecided, treeDeeds: onceEach(treeDeeds), poolDeeds },
      startRules: { shortage, overload: this.#overload() },
    };
  }

  /** The definition of a server has changed: its earlier lives say nothing of the next ones. */
  forgetLives(name: string): void {
    this.#leaks.forget(name);
  }

  /** What a level would end now, in the order of its actions. */
  victimsAt(level: AlertLevel, now: number): readonly TreeCandidate[] {
    const candidates = this.#candidates();
    const chosen = actionsOf(level, this.#settings.levels.actions).flatMap((action) => {
      const reason = ACTIONS[action].ends;
      return reason === undefined ? [] : victims(candidates, { reason, level, now });
    });
    return [...new Set(chosen)];
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

  #candidates(): TreeCandidate[] {
    const endable = [...this.#trees].filter(([, { mayEnd }]) => mayEnd);
    return endable.map(([id, watch]) => watch.candidate(this.growth.growthOf(id)));
  }

  #changeLevel(
    at: number,
    { unexpected, memoryMB }: ResourceSample['totals'],
    { memoryMB: { limit } }: TotalLimits,
    told: Told[],
  ): LevelChange | undefined {
    const change = this.#levels.update({ at, unexpected, memoryMB, memoryLimitMB: limit });
    if (change === undefined) return undefined;
    told.push(['level:changed', { ...change, names: this.#blamed(change.by) }]);
    return change;
  }

  /** The servers that have most of what brought the level, the first the most. */
  #blamed(by: LevelChange['by']): string[] {
    const byName = new Map<string, number>();
    for (const watch of this.#trees.values()) {
      const { name, memoryMB } = watch.sample ?? { name: '', memoryMB: 0 };
      byName.set(name, (byName.get(name) ?? 0) + (by === 'processes' ? watch.unexpected : memoryMB));
    }
    const blamed = [...byName].filter(([, figure]) => figure > 0);
    return blamed.sort(([, a], [, b]) => b - a).map(([name]) => name);
  }

  /** What the level of now does. */
  #act({ change, candidates, now, excessMB }: Circumstances, deeds: TreeDeed[]): PoolDeed[] {
    const { level } = this;
    const { cause } = this.#levels;
    if (level === 'normal' || cause === undefined) return [];
    const isNew = change !== undefined && isAtLeast(change.to, change.from);
    const reason = reasonOf(level, cause);
    const poolDeeds: PoolDeed[] = [];
    for (const action of actionsOf(level, this.#settings.levels.actions)) {
      if (action === 'refuse-starts') continue;
      if (ACTIONS[action].taken === 'once' && !isNew) continue;
      const { measured, threshold, by } = cause;
      const notice = { level, measured, threshold, by, names: this.#blamed(by) };
      if (action === 'call-host') poolDeeds.push({ action, reason, level, notice });
      else if (action === 'end-all') {
        if (candidates.length > 0) poolDeeds.push({ action, reason, level, notice });
      } else {
        const chosen = victims(candidates, { reason: ACTIONS[action].ends ?? 'memory', level, now });
        // Idle trees are of use to the next caller: for memory only as many end as must.
        const enough = action === 'end-idle' && by === 'memory' ? this.#asManyAs(chosen, excessMB) : chosen;
        for (const { id, name } of enough) {
          const figures = { value: cause.measured, limit: cause.threshold, isUrgent: true };
          deeds.push({ action, id, name, reason, level, kind: 'level', by, ...figures });
        }
      }
    }
    return poolDeeds;
  }

  /** The first of these trees, until what they use is `excessMB`. */
  #asManyAs(chosen: readonly TreeCandidate[], excessMB: number): readonly TreeCandidate[] {
    let left = excessMB;
    return chosen.filter(({ memoryMB }) => {
      const isNeeded = left > 0;
      left -= memoryMB;
      return isNeeded;
    });
  }

  #overload(): Overload | undefined {
    const { level } = this;
    const { cause } = this.#levels;
    if (level === 'normal' || cause === undefined) return undefined;
    if (!this.#settings.levels.actions[level].includes('refuse-starts')) return undefined;
    const { measured, threshold, by } = cause;
    return { level, measured, threshold, by };
  }
}

function reasonOf(level: Level, { measured, threshold, by }: LevelCause): string {
  const what = by === 'processes' ? 'processes more than expected' : 'MB of all trees';
  return `level ${level}: ${Math.round(measured)} ${what} (it begins at ${Math.round(threshold)})`;
}

/** A tree is ended once, for the first reason. */
function onceEach(deeds: readonly TreeDeed[]): TreeDeed[] {
  const seen = new Set<string>();
  return deeds.filter(({ id }) => !seen.has(id) && seen.add(id));
}
