import type { AlertLevel, LevelAction, ReachedLevel, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { MonitorNotice, Overload, PoolAction, TreeAction } from './finding.js';
import { isAtLeast, type Level } from './level.js';
import { ACTIONS, actionsOf } from './level-actions.js';
import { type LevelCause, type LevelChange, type LevelSample, Levels } from './levels.js';
import type { ResourceSample, TreeLevel } from './resource-sample.js';
import { RestingSpares } from './resting-spares.js';
import { asManyAs, endingSum, type TreeCandidate } from './tree-candidate.js';
import { victims } from './victims.js';

/** What the level depends on at one moment. */
export interface LevelFacts {
  readonly at: number;
  readonly totals: Pick<ResourceSample['totals'], 'unexpected' | 'memoryMB'>;
  /** Of the memory of all trees, MB, and how near that is by its windows. */
  readonly memoryLimitMB: number;
  /** Whether the host has set it: a default ends nothing that is in use, and refuses no start. */
  readonly isLimitSet: boolean;
  readonly memoryLevel: TreeLevel;
  /** Which of the totals are only the least that it can be: see `LevelSample`. */
  readonly isLeast: NonNullable<LevelSample['isLeast']>;
  /** Processes of no living tree; they are among the unexpected ones. */
  readonly unclaimed: number;
  /** All trees. It is called only at a level. */
  candidates(): readonly TreeCandidate[];
}

/** What the choice of the trees that a level ends depends on. */
type ChoiceFacts = Pick<LevelFacts, 'at' | 'totals' | 'unclaimed' | 'candidates'>;

/** What one action of a level ends. */
interface LevelEnds {
  readonly reached: ReachedLevel;
  readonly action: Extract<LevelAction, `end-${string}`>;
  readonly trees: readonly TreeCandidate[];
}

/** From this multiple of the memory limit on, the moment counts for the level, and not the windows. */
const FAR = 1.5;
/** A tree has brought a level if it has at least this share of what the one with most has. */
const NOTABLE = 1 / 2;
/** A level that the number of processes is to reach, by however much. */
const ASSUMED: LevelCause = { measured: Infinity, threshold: -Infinity, by: 'processes' };

/** The level of a pool, and what is done at it. It is fed samples. */
export class LevelWatch {
  readonly #settings: ResolvedMonitoring;
  #levels: Levels;
  /** By processes alone: what a default limit has brought must not hide what they bring. */
  #ofProcesses: Levels;
  #isLimitSet = false;
  /** The servers that have brought a level. */
  readonly spares: RestingSpares;

  constructor(settings: ResolvedMonitoring) {
    this.#settings = settings;
    // By then the level that the last one has brought is over.
    this.spares = new RestingSpares(2 * Math.max(settings.levels.cooldown, settings.windows.long));
    this.#levels = new Levels(settings.levels, settings);
    this.#ofProcesses = new Levels(settings.levels, settings);
  }

  get level(): Level {
    return this.#levels.level;
  }

  /** Whether the next sample decides on a level. */
  get isUndecided(): boolean {
    return this.#levels.isUndecided;
  }

  /** Whether the last sample has shown if the level is still reached. */
  get isKnown(): boolean {
    return this.#levels.isKnown;
  }

  /** Why starts are refused; undefined when they are not. @param isRecent whether the last sample need not have shown it */
  overload(isRecent: boolean): Overload | undefined {
    const shown = this.#acting.filter((levels) => isRecent || levels.isKnown).flatMap(overloadOf);
    return shown.find((reached) => this.#actionsOf(reached).includes('refuse-starts'));
  }

  /** Returns what is done for all trees. `notices` and `actions` get what else follows. */
  take(facts: LevelFacts, notices: MonitorNotice[], actions: TreeAction[]): PoolAction[] {
    const change = this.#change(facts);
    if (change) notices.push(['level:changed', { ...change, names: blamed(facts.candidates(), change.by) }]);
    const acting = this.#acting.flatMap(reachedOf);
    const [main] = acting;
    if (main === undefined) return [];
    const poolActions: PoolAction[] = [];
    for (const end of this.#ends(acting, facts)) {
      const { reached, action, trees } = end;
      for (const { name } of culprits(end, facts)) this.spares.ended(facts.at, name);
      const reason = reasonOf(reached);
      if (action === 'end-all') poolActions.push({ action, ids: trees.map(({ id }) => id), reason, reached });
      else for (const { id, name } of trees) actions.push({ action, id, name, ...asked(reason, reached) });
    }
    // When the level falls, the host was called before.
    const isEntered = change !== undefined && isAtLeast(change.to, change.from);
    if (isEntered && this.#actionsOf(main).includes('call-host')) {
      const names = blamed(facts.candidates(), main.by);
      poolActions.push({ action: 'call-host', reason: reasonOf(main), reached: { ...main, names } });
    }
    return poolActions;
  }

  /**
   * The trees that a level ends, the first first: those that end with the next sample if that is the level of now; else what it
   * would end if it were reached by the number of processes.
   */
  victimsAt(level: AlertLevel, facts: ChoiceFacts): readonly TreeCandidate[] {
    const acting = level === this.level ? this.#acting.flatMap(reachedOf) : [{ level, ...ASSUMED }];
    return this.#ends(acting, facts).flatMap(({ trees }) => trees);
  }

  /** Nothing is measured any more. Returns the change of the level, if there is any. */
  reset(): MonitorNotice | undefined {
    const { level: from, cause } = this.#levels;
    this.#levels = new Levels(this.#settings.levels, this.#settings);
    this.#ofProcesses = new Levels(this.#settings.levels, this.#settings);
    return cause && ['level:changed', { from, to: 'normal', ...cause, names: [] }];
  }

  /** What is acted on: the level; where a default limit has brought it, also what processes alone have brought. */
  get #acting(): readonly Levels[] {
    return this.#isByDefault(this.#levels.cause) ? [this.#levels, this.#ofProcesses] : [this.#levels];
  }

  #isByDefault(cause: LevelCause | undefined): boolean {
    return cause?.by === 'memory' && !this.#isLimitSet;
  }

  #actionsOf(reached: ReachedLevel): readonly LevelAction[] {
    return actionsOf(reached.level, this.#settings.levels.actions, this.#isByDefault(reached));
  }

  /**
   * What each action of a level ends. To bring the level down, no more of those that grow than needed, and for memory no more
   * of idle ones. While the level lasts only by its cooldown, or what is ending is enough, nothing.
   */
  #ends(acting: readonly ReachedLevel[], facts: ChoiceFacts): LevelEnds[] {
    const taken = new Set<TreeCandidate>();
    return acting.flatMap((reached) => this.#endsAt(reached, facts, taken));
  }

  #endsAt(reached: ReachedLevel, facts: ChoiceFacts, taken: Set<TreeCandidate>): LevelEnds[] {
    const { at, totals, unclaimed, candidates } = facts;
    const { level, by } = reached;
    const figure = by === 'memory' ? 'memoryMB' : 'unexpected';
    const all = candidates();
    let left = leftAbove(reached, totals, all);
    const ends: LevelEnds[] = [];
    for (const action of this.#actionsOf(reached)) {
      const { ends: reason, isOfProcesses = false } = ACTIONS[action];
      if (!isEnd(action) || reason === undefined || left <= 0) continue;
      if (isOfProcesses && figure === 'memoryMB') continue;
      const chosen = victims(all, { reason, level, now: at, unclaimed }).filter((tree) => !taken.has(tree));
      const isEnough = action === 'end-growing' || (action === 'end-idle' && figure === 'memoryMB');
      const trees = isEnough ? asManyAs(chosen, left, figure) : chosen;
      for (const tree of trees) {
        taken.add(tree);
        left -= tree[figure];
      }
      if (trees.length > 0) ends.push({ reached, action, trees });
    }
    return ends;
  }

  /** Near the limit the windows decide on memory, so that no spike is a level; far above it, the moment. */
  #change({ at, totals, memoryLimitMB, isLimitSet, memoryLevel, isLeast }: LevelFacts): LevelChange | undefined {
    this.#isLimitSet = isLimitSet;
    const { unexpected, memoryMB } = totals;
    const isMemorySpike = memoryMB < FAR * memoryLimitMB && memoryLevel === 'normal';
    this.#ofProcesses.update({ at, unexpected, isLeast });
    return this.#levels.update({ at, unexpected, memoryMB, isMemorySpike, memoryLimitMB, isLeast });
  }
}

function reachedOf({ level, cause }: Levels): ReachedLevel[] {
  return level === 'normal' || cause === undefined ? [] : [{ level, ...cause }];
}

function overloadOf(levels: Levels): Overload[] {
  const { cooldownLeft } = levels;
  return reachedOf(levels).map((reached) => ({ ...reached, ...(cooldownLeft !== undefined && { cooldownLeft }) }));
}

function isEnd(action: LevelAction): action is LevelEnds['action'] {
  return ACTIONS[action].ends !== undefined;
}

/** The servers that have most of what has brought the level, the first the most. */
function blamed(candidates: readonly TreeCandidate[], by: LevelCause['by']): string[] {
  const byName = new Map<string, number>();
  for (const { name, unexpected, memoryMB } of candidates) {
    byName.set(name, (byName.get(name) ?? 0) + (by === 'processes' ? unexpected : memoryMB));
  }
  const some = [...byName].filter(([, figure]) => figure > 0);
  return some.sort(([, a], [, b]) => b - a).map(([name]) => name);
}

/** Of the trees that are ended, those that have brought the level: they have much of what is too much. */
function culprits(
  { reached: { by }, trees }: LevelEnds,
  { unclaimed, candidates }: LevelFacts,
): readonly TreeCandidate[] {
  const figure = by === 'memory' ? 'memoryMB' : 'unexpected';
  const most = Math.max(by === 'memory' ? 0 : unclaimed, ...candidates().map((tree) => tree[figure]));
  return trees.filter((tree) => tree[figure] > 0 && tree[figure] >= NOTABLE * most);
}

/** By how much the threshold is passed, without the trees that are ending: processes, or MB. */
function leftAbove(
  { threshold, by }: LevelCause,
  totals: LevelFacts['totals'],
  candidates: readonly TreeCandidate[],
): number {
  if (by === 'memory') return totals.memoryMB - endingSum(candidates, 'memoryMB') - threshold;
  // At the threshold it is reached.
  return totals.unexpected - endingSum(candidates, 'unexpected') - threshold + 1;
}

/** What is the same for all trees that a level ends. */
function asked(reason: string, reached: ReachedLevel): Omit<TreeAction, 'action' | 'id' | 'name'> {
  const { measured: value, threshold: limit } = reached;
  return { reason, kind: 'level', value, limit, reached, isUrgent: true };
}

function reasonOf({ level, measured, threshold, by }: ReachedLevel): string {
  const what = by === 'processes' ? 'processes more than expected' : 'MB of all trees';
  return `level ${level}: ${Math.round(measured)} ${what} (it begins at ${Math.round(threshold)})`;
}
