import type { AlertLevel, LevelAction, ResolvedMonitoring } from '../config/monitoring-options.js';
import type { Overload, PoolDeed, Told, TreeDeed } from './finding.js';
import { isAtLeast, type Level } from './level.js';
import { ACTIONS, actionsOf } from './level-actions.js';
import { type LevelCause, type LevelChange, Levels } from './levels.js';
import type { ResourceSample, TreeLevel } from './resource-sample.js';
import { endingMB } from './totals-watch.js';
import type { TreeCandidate } from './tree-watch.js';
import { victims } from './victims.js';

/** What the level depends on at one moment. */
export interface LevelFacts {
  readonly at: number;
  readonly totals: ResourceSample['totals'];
  /** Of the memory of all trees, MB, and how near that is by its windows. */
  readonly memoryLimitMB: number;
  readonly memoryLevel: TreeLevel;
  readonly candidates: readonly TreeCandidate[];
}

/** From this multiple of the memory limit on, the moment counts for the level, and not the windows. */
const FAR = 1.5;

/** The level of a pool, and what is done at it. It is fed samples. */
export class LevelWatch {
  readonly #settings: ResolvedMonitoring;
  readonly #levels: Levels;

  constructor(settings: ResolvedMonitoring) {
    this.#settings = settings;
    this.#levels = new Levels(settings.levels, settings);
  }

  get level(): Level {
    return this.#levels.level;
  }

  /** Whether the next sample decides on a level. */
  get isUndecided(): boolean {
    return this.#levels.isUndecided;
  }

  /** Returns what is done with all trees. `told` and `deeds` get what else follows. */
  take(facts: LevelFacts, told: Told[], deeds: TreeDeed[]): PoolDeed[] {
    const change = this.#change(facts);
    if (change) told.push(['level:changed', { ...change, names: blamed(facts.candidates, change.by) }]);
    const { level, cause } = this.#levels;
    if (level === 'normal' || cause === undefined) return [];
    const { measured: value, threshold: limit, by } = cause;
    const reason = reasonOf(level, cause);
    const notice = { level, ...cause, names: blamed(facts.candidates, by) };
    const left = leftAbove(cause, facts);
    const poolDeeds: PoolDeed[] = [];
    for (const action of actionsOf(level, this.#settings.levels.actions)) {
      // When the level falls, what is done once was done before.
      const isDone = ACTIONS[action].taken === 'once' && !(change && isAtLeast(change.to, change.from));
      if (action === 'refuse-starts' || isDone) continue;
      if (action === 'call-host') poolDeeds.push({ action, reason, level, notice });
      // The level lasts only by its cooldown, or what is ending is enough: then no tree ends.
      if (left <= 0 || action === 'call-host') continue;
      if (action === 'end-all') {
        if (facts.candidates.some(({ isSpared }) => !isSpared)) poolDeeds.push({ action, reason, level, notice });
        continue;
      }
      for (const { id, name } of chosenBy(action, level, by, left, facts)) {
        deeds.push({ action, id, name, reason, level, kind: 'level', by, value, limit, isUrgent: true });
      }
    }
    return poolDeeds;
  }

  /** Why starts are refused at the level of now; undefined when they are not. */
  overload(): Overload | undefined {
    const { level, cause } = this.#levels;
    if (level === 'normal' || cause === undefined) return undefined;
    const { measured, threshold, by } = cause;
    return actionsOf(level, this.#settings.levels.actions).includes('refuse-starts')
      ? { level, measured, threshold, by }
      : undefined;
  }

  /** The trees that a level would end, the first first. */
  victimsAt(level: AlertLevel, candidates: readonly TreeCandidate[], now: number): readonly TreeCandidate[] {
    const chosen = actionsOf(level, this.#settings.levels.actions).flatMap((action) => {
      const reason = ACTIONS[action].ends;
      return reason === undefined ? [] : victims(candidates, { reason, level, now });
    });
    return [...new Set(chosen)];
  }

  /** Near the limit the windows decide on memory, so that no spike is a level; far above it, the moment. */
  #change({ at, totals, memoryLimitMB, memoryLevel }: LevelFacts): LevelChange | undefined {
    const counts = totals.memoryMB >= FAR * memoryLimitMB || memoryLevel !== 'normal';
    const memoryMB = counts ? totals.memoryMB : undefined;
    return this.#levels.update({ at, unexpected: totals.unexpected, memoryMB, memoryLimitMB });
  }
}

/** The servers that have most of what has brought the level, the first the most. */
function blamed(candidates: readonly TreeCandidate[], by: LevelCause['by']): string[] {
  const byName = new Map<string, number>();
  for (const { name, excess = 0, memoryMB } of candidates) {
    byName.set(name, (byName.get(name) ?? 0) + (by === 'processes' ? excess : memoryMB));
  }
  const some = [...byName].filter(([, figure]) => figure > 0);
  return some.sort(([, a], [, b]) => b - a).map(([name]) => name);
}

/** By how much the threshold is passed, without the trees that are ending: processes, or MB. */
function leftAbove({ threshold, by }: LevelCause, { candidates, totals }: LevelFacts): number {
  if (by === 'memory') return totals.memoryMB - endingMB(candidates) - threshold;
  const ending = candidates.filter(({ phase }) => phase === 'ending');
  // At the threshold it is reached.
  return totals.unexpected - ending.reduce((sum, { excess = 0 }) => sum + excess, 0) - threshold + 1;
}

/** The trees that an action ends. To bring the level down, no more of those that grow than needed; of idle ones for memory, too. */
function chosenBy(
  action: LevelAction,
  level: Level,
  by: LevelCause['by'],
  left: number,
  { at, candidates }: LevelFacts,
): readonly TreeCandidate[] {
  const chosen = victims(candidates, { reason: ACTIONS[action].ends ?? 'memory', level, now: at });
  if (by === 'memory' && action !== 'end-unexpected') return asManyAs(chosen, left, ({ memoryMB }) => memoryMB);
  return action === 'end-growing' ? asManyAs(chosen, left, ({ excess = 0 }) => excess) : chosen;
}

/** The first of these trees that together have so much. */
function asManyAs(
  chosen: readonly TreeCandidate[],
  much: number,
  figure: (tree: TreeCandidate) => number,
): readonly TreeCandidate[] {
  let left = much;
  return chosen.filter((tree) => {
    const isNeeded = left > 0;
    left -= figure(tree);
    return isNeeded;
  });
}

function reasonOf(level: Level, { measured, threshold, by }: LevelCause): string {
  const what = by === 'processes' ? 'processes more than expected' : 'MB of all trees';
  return `level ${level}: ${Math.round(measured)} ${what} (it begins at ${Math.round(threshold)})`;
}
