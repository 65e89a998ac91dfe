import type { AlertLevel, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { HostSample } from '../process/host/host-sample.js';
import type { TreeUsage } from '../process/usage/tree-usage.js';
import { DryEnds } from './dry-ends.js';
import type { ActionKind, EndAll, GateState, MonitorNotice, PoolAction, Shortage, TreeAction } from './finding.js';
import { GrowthWatch } from './growth.js';
import { LeakDetector } from './leaks/leak-detector.js';
import { isAtLeast, type Level } from './level.js';
import { type LevelFacts, LevelWatch } from './level-watch.js';
import type { TreeSource } from './monitored-host.js';
import { keyOf, type MonitoredTree } from './monitored-tree.js';
import { ReplacedServers } from './replaced-servers.js';
import type { ResourceSample, TreeSample } from './resource-sample.js';
import type { Busyness } from './sample-interval.js';
import { type TotalKind, TotalsWatch } from './totals-watch.js';
import { candidateOf, type TreeCandidate } from './tree-candidate.js';
import { TreeWatch } from './tree-watch.js';

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
  readonly unclaimed: number;
  /** Whether they could be counted now; else they are those of the last time. */
  readonly isUnclaimedKnown: boolean;
}

/** What one sample shows, and what follows from it. */
export interface Outcome {
  readonly sample: ResourceSample;
  /** The trees that `totals` are of. */
  readonly counted: readonly TreeSample[];
  readonly notices: readonly MonitorNotice[];
  readonly treeActions: readonly TreeAction[];
  readonly poolActions: readonly PoolAction[];
  readonly gate: GateState;
  /** Whether too many samples in a row did not show what all trees use. */
  readonly isUnknown: boolean;
}

/** After so many samples in a row that do not show what all trees use, nothing is known that new starts should wait for. */
export const MOST_UNKNOWN = 3;

/** Compares what is measured with what was before, and with limits and levels. It has no clock and no effect. */
export class Assessment {
  readonly #settings: ResolvedMonitoring;
  readonly #source: Pick<TreeSource, 'isPool' | 'limits' | 'trees'>;
  readonly #trees = new Map<string, TreeWatch>();
  readonly #leaks: LeakDetector;
  /** Apart: what a host has added may have the name of a server, and shows nothing of it. */
  readonly #addedLeaks: LeakDetector;
  readonly #levels: LevelWatch;
  readonly #totals: TotalsWatch;
  readonly #replaced: ReplacedServers;
  /** Empty without `dryRun`. */
  readonly #dryEnds = new DryEnds();
  /** Clock time of the last sample, ms. */
  #at = 0;
  /** Samples in a row that could not measure all. */
  #unknown = 0;
  /** Of the last sample. */
  #latest: Pick<LevelFacts, 'totals' | 'unclaimed'> = { totals: { unexpected: 0, memoryMB: 0 }, unclaimed: 0 };
  readonly growth: GrowthWatch;

  constructor(settings: ResolvedMonitoring, source: Pick<TreeSource, 'isPool' | 'limits' | 'trees'>) {
    this.#settings = settings;
    this.#source = source;
    this.#leaks = new LeakDetector(settings.leak);
    this.#addedLeaks = new LeakDetector(settings.leak);
    this.#levels = new LevelWatch(settings);
    this.#replaced = new ReplacedServers(settings.windows.long * 2);
    this.#totals = new TotalsWatch(settings, this.#replaced);
    this.growth = new GrowthWatch(settings.growth);
  }

  get level(): Level {
    return this.#levels.level;
  }

  take(measurement: Measurement): Outcome {
    const { at, date, host, unclaimed, isUnclaimedKnown } = measurement;
    this.#at = at;
    const notices: MonitorNotice[] = [];
    const treeActions: TreeAction[] = [];
    this.#dryEnds.keep((id, kind) => this.#isOver(id, kind));
    const trees = measurement.trees.map((one) => ({ ...one, tree: this.#dryEnds.seen(one.tree) }));
    const cores = host.cpus?.allowed ?? Number.POSITIVE_INFINITY;
    for (const { tree, usage, isKnown } of trees) {
      if (usage) this.#watchOf(tree).take({ at, tree, usage, cores }, notices, treeActions);
      else if (isKnown) this.#trees.get(keyOf(tree))?.vanish();
      else this.#trees.get(keyOf(tree))?.miss();
    }
    this.#forgetGone(trees, notices);
    const counted = trees.filter(({ tree }) => this.#counts(tree));
    const samples = this.#samplesOf(counted);
    const measured = counted.filter(({ isKnown }) => isKnown);
    const unknown = counted.filter(({ isKnown }) => !isKnown).map(({ tree }) => tree.id);
    const current = unknown.length === 0 ? samples : this.#samplesOf(measured);
    // The least that all use: what is not known now decides nothing.
    const least = sumOf(current, this.#unexpected(measured) + (isUnclaimedKnown ? unclaimed : 0));
    const isLeast = { processes: unknown.length > 0 || !isUnclaimedKnown, memory: unknown.length > 0 };
    this.#unknown = isLeast.processes ? this.#unknown + 1 : 0;
    this.#latest = { totals: least, unclaimed };
    const grown = this.growth.sample(at, current, unknown);
    if (grown) notices.push(['growth:detected', grown]);
    const limits = this.#source.limits(host);
    // Most samples need none.
    let known: readonly TreeCandidate[] | undefined;
    const candidates = () => {
      known ??= this.#candidates(counted.map(({ tree }) => tree));
      return known;
    };
    const { memoryMB, cpuPercent } = least;
    const together = { at, host, limits, candidates, memoryMB, cpuPercent, isLeast: isLeast.memory };
    const shortage = this.#totals.take(together, notices, treeActions);
    const { limit: memoryLimitMB, isSet: isLimitSet } = limits.memoryMB;
    const memory = { memoryLimitMB, isLimitSet, memoryLevel: this.#totals.memoryLevel };
    const facts = { at, totals: least, isLeast, unclaimed, candidates, ...memory };
    const poolActions = this.#levels.take(facts, notices, treeActions);
    return {
      sample: {
        ...{ at: date, host, trees: this.#samplesOf(trees) },
        totals: isLeast.processes ? sumOf(samples, unclaimed + this.#unexpected(counted)) : least,
      },
      counted: samples,
      notices,
      treeActions: onceEach(treeActions),
      poolActions,
      gate: this.#gate(shortage),
      isUnknown: !this.#isRecent,
    };
  }

  /**
   * An action was carried out: its reason rests until the effect shows. With `dryRun` it was only reported, and its trees count as
   * if they were in that phase.
   */
  done(action: TreeAction | EndAll, phase: 'leaving' | 'ending'): void {
    const [ids, kind] = 'ids' in action ? [action.ids, 'level' as const] : [[action.id], action.kind];
    if (this.#settings.dryRun) this.#dryEnds.note(ids, { kind, phase });
    if ('ids' in action || kind === 'level') return;
    if (isOfTree(kind)) this.#trees.get(action.id)?.replaced(this.#at, action.isUrgent);
    else this.#totals.acted(kind);
    if (action.replaced) this.#replaced.note(this.#at, action.replaced);
  }

  /** Nothing is measured any more: what is not looked at has no level. Returns the change of the level, if there is any. */
  reset(): MonitorNotice | undefined {
    return this.#levels.reset();
  }

  /**
   * Whether no sample is needed while no tree lives: none then uses anything, but a level cools down, and others may use the
   * memory of the host.
   */
  get isQuiet(): boolean {
    return this.level === 'normal' && !this.#totals.isOver('host-memory');
  }

  /** What decides how soon the next sample should come. A level that samples do not show any more may last for ever. */
  get busyness(): Omit<Busyness, 'trees'> {
    const level = this.#isLevelShown ? this.level : 'normal';
    return { level, isUndecided: this.#levels.isUndecided || this.growth.isUndecided };
  }

  /** Nothing is measured any more, until it begins anew. Returns the events that follow. */
  rest(): MonitorNotice[] {
    const notices = this.#totals.rest();
    for (const watch of this.#trees.values()) watch.rest(notices);
    return notices;
  }

  /** The definition of a server has changed: its earlier lives, and those of now, show nothing of the next ones. */
  forgetLives(name: string): void {
    this.#leaks.forget(name);
    this.#replaced.forget(name);
    this.#levels.spares.forget(name);
    for (const watch of this.#trees.values()) if (!watch.isAdded && watch.name === name) watch.outlive();
  }

  /** What a level would end now: see `LevelWatch`. */
  victimsAt(level: AlertLevel, at: number): readonly TreeCandidate[] {
    const trees = this.#source.trees().filter((tree) => this.#counts(tree));
    const candidates = () => this.#candidates(trees);
    return this.#levels.victimsAt(level, { at, ...this.#latest, candidates });
  }

  /** Whether it counts for totals and levels: what a host has added to the monitor of a pool is only measured. */
  #counts({ phase }: MonitoredTree): boolean {
    return !this.#source.isPool || phase !== 'foreign';
  }

  /** Of a tree that cannot be measured just now, the last sample counts: it has not shrunk to nothing. */
  #samplesOf(trees: readonly MeasuredTree[]): TreeSample[] {
    return trees.flatMap(({ tree }) => this.#trees.get(keyOf(tree))?.sample ?? []);
  }

  #unexpected(trees: readonly MeasuredTree[]): number {
    return trees.reduce((sum, { tree }) => sum + (this.#trees.get(keyOf(tree))?.unexpected ?? 0), 0);
  }

  /** All trees, those that may not be ended included: the others are compared with them. */
  #candidates(trees: readonly MonitoredTree[]): TreeCandidate[] {
    return trees.map((tree) => {
      const watch = this.#trees.get(keyOf(tree));
      return watch ? watch.candidate(tree, this.growth.growthOf(tree.id)) : candidateOf(tree);
    });
  }

  #watchOf(tree: MonitoredTree): TreeWatch {
    const key = keyOf(tree);
    const known = this.#trees.get(key);
    if (known) return known;
    const leaks = tree.phase === 'foreign' ? this.#addedLeaks : this.#leaks;
    const watch = new TreeWatch(tree, this.#settings, leaks, this.#replaced);
    this.#trees.set(key, watch);
    return watch;
  }

  #forgetGone(trees: readonly MeasuredTree[], notices: MonitorNotice[]): void {
    const present = new Set(trees.map(({ tree }) => keyOf(tree)));
    for (const [key, watch] of this.#trees) {
      if (present.has(key)) continue;
      watch.end(notices);
      this.#trees.delete(key);
    }
  }

  /** Whether there is still a reason to end a tree of the pool. */
  #isOver(id: string, kind: ActionKind): boolean {
    if (kind === 'level') return this.level !== 'normal' && this.#trees.has(id);
    if (isOfTree(kind)) return this.#trees.get(id)?.isOver(kind) === true;
    return this.#totals.isOver(kind) && this.#trees.has(id);
  }

  /** Whether one of the last samples could tell what all trees use. */
  get #isRecent(): boolean {
    return this.#unknown < MOST_UNKNOWN;
  }

  get #isLevelShown(): boolean {
    return this.#isRecent || this.#levels.isKnown;
  }

  /** Of what was not known for long nothing holds starts. */
  #gate(shortage: Shortage | undefined): GateState {
    const isMemoryShown = this.#isRecent || this.#totals.isMemoryKnown;
    return {
      shortage: isMemoryShown ? shortage : undefined,
      overload: this.#levels.overload(this.#isRecent),
      // Nothing is started that no caller asks for while idle trees are ended.
      holdsSpares:
        (this.#isLevelShown && isAtLeast(this.level, 'critical')) ||
        (isMemoryShown && this.#totals.isOver('total-memory')) ||
        this.#totals.isOver('host-memory'),
      restingSpares: this.#levels.spares.pauses,
    };
  }
}

/** Whether it is a reason of one tree, and not of all together. */
function isOfTree(kind: ActionKind): kind is Exclude<ActionKind, TotalKind | 'level'> {
  return kind === 'memory' || kind === 'cpu' || kind === 'processes' || kind === 'leak';
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

/** A tree is ended once: for what cannot wait, else for the first reason. */
function onceEach(actions: readonly TreeAction[]): TreeAction[] {
  const byId = new Map<string, TreeAction>();
  for (const action of actions) {
    const known = byId.get(action.id);
    if (known === undefined || (action.isUrgent && !known.isUrgent)) byId.set(action.id, action);
  }
  return [...byId.values()];
}
