import type { Priority } from '../config/resource-options.js';
import { isAtLeast, type Level } from './level.js';

/** A tree that could be ended, as far as the choice looks at it. A figure that is not known counts as 0. */
export interface Candidate {
  readonly priority: Priority;
  /** Whether it is ready, and no lease uses it. */
  readonly isIdle: boolean;
  /** Leases on it now. */
  readonly leases: number;
  /** Clock time since which it is idle, ms. */
  readonly idleSince: number;
  /** Unique memory. */
  readonly memoryMB?: number | undefined;
  /** Percent of one core. */
  readonly cpuPercent?: number | undefined;
  /** Processes beyond what is expected. */
  readonly unexpected?: number | undefined;
  /** Processes that it got within the window of the growth. */
  readonly growth?: number | undefined;
  /** It is compared with the others, and never chosen: it ends already, or is not ours. */
  readonly isSpared?: boolean | undefined;
  /** Its figures are of an earlier sample. It is compared with the others, and chosen only where no figure counts. */
  readonly isStale?: boolean | undefined;
}

/**
 * Why trees are ended.
 *
 * - `room`: a caller needs a slot. Idle ones, the one idle longest first, then starts in the order in which they are given.
 * - `memory`: idle ones, old and large ones first.
 * - `largest`: one with leases must be replaced to free memory, the largest first.
 * - `busiest`: one with leases must be replaced to free CPU time, the one that uses most first.
 * - `growth`: those that grow fastest.
 * - `unexpected`: those that have more processes than expected.
 * - `all`: every one.
 */
export type ChoiceReason = 'room' | 'memory' | 'largest' | 'busiest' | 'growth' | 'unexpected' | 'all';

/** The reason, and the state of the host. */
export interface Choice {
  readonly reason: ChoiceReason;
  /** Default: `normal`. */
  readonly level?: Level;
  /** Clock time, ms. Only `memory` needs it. */
  readonly now?: number;
  /** For `room`: the priority of the server that needs it. An essential one may have the room of another essential one. */
  readonly caller?: Priority;
  /** Processes that belong to no candidate, and cannot be ended. Trees are compared with them, too. Default: 0. */
  readonly unclaimed?: number;
}

/** What candidates are compared with: those included that may not be ended, since for them no neighbour ends instead. */
interface Compared {
  /** The highest growth. */
  readonly fastest: number;
  /** The most that one has beyond what is expected, and what all have. */
  readonly most: number;
  readonly all: number;
}

const NOTHING: Compared = { fastest: 0, most: 0, all: 0 };

/** Which candidates are ended for a reason, and in which order those of one priority: by these figures, the highest first. */
interface Rule {
  /** Whether it goes by what trees use. */
  readonly isByUse: boolean;
  isChosen(candidate: Candidate, compared: Compared): boolean;
  figures(candidate: Candidate, now: number): readonly (number | undefined)[];
}

const PRIORITIES: Readonly<Record<Priority, number>> = { expendable: 0, normal: 1, essential: 2 };

/** A tree grows fast when it grows at least half as fast as the fastest: its neighbours may have been busy for a moment. */
const FAST = 1 / 2;
/**
 * A neighbour with a few short-lived helpers is healthy: it has less than this share of the largest unexpected, and has grown by no
 * more than this share of what all have beyond what is expected.
 */
const NOTABLE = 1 / 10;

const RULES: Readonly<Record<ChoiceReason, Rule>> = {
  room: {
    isByUse: false,
    isChosen: ({ leases }) => leases === 0,
    figures: ({ isIdle, idleSince }) => (isIdle ? [1, -idleSince] : [0, 0]),
  },
  memory: {
    isByUse: true,
    isChosen: ({ isIdle }) => isIdle,
    // The product puts none before another that is both older and larger, and both figures count.
    figures: ({ memoryMB = 0, idleSince }, now) => [Math.max(now - idleSince, 0) * memoryMB, -idleSince, memoryMB],
  },
  largest: {
    isByUse: true,
    isChosen: ({ leases }) => leases > 0,
    figures: ({ memoryMB, leases }) => [memoryMB, -leases],
  },
  busiest: {
    isByUse: true,
    isChosen: ({ leases }) => leases > 0,
    figures: ({ cpuPercent, leases }) => [cpuPercent, -leases],
  },
  growth: {
    isByUse: true,
    // Once those that have grown stand still, a neighbour with one helper more is the fastest: it is none of the reasons.
    isChosen: ({ unexpected = 0, growth = 0 }, { fastest, all }) =>
      unexpected > 0 && growth >= FAST * fastest && growth > NOTABLE * all,
    figures: ({ growth, unexpected, memoryMB }) => [growth, unexpected, memoryMB],
  },
  unexpected: {
    isByUse: true,
    isChosen: ({ unexpected = 0 }, { most }) => unexpected > 0 && unexpected >= NOTABLE * most,
    figures: ({ unexpected, growth, memoryMB }) => [unexpected, growth, memoryMB],
  },
  all: {
    isByUse: false,
    isChosen: () => true,
    figures: ({ unexpected, leases, isIdle, memoryMB }) => [unexpected, isIdle ? 1 : 0, -leases, memoryMB],
  },
};

/**
 * The one choice of which trees end, and in which order: expendable ones first, essential ones last, and these only from
 * `nuclear` on. Equal ones stay in the order in which they are given. Pure.
 */
export function victims<T extends Candidate>(
  candidates: readonly T[],
  { reason, level = 'normal', now = 0, caller, unclaimed = 0 }: Choice,
): T[] {
  const { isByUse, isChosen, figures } = RULES[reason];
  const mayEndEssential = isAtLeast(level, 'nuclear') || (reason === 'room' && caller === 'essential');
  // To make room is done often, and compares nothing.
  const compared = reason === 'growth' || reason === 'unexpected' ? comparedWith(candidates, unclaimed) : NOTHING;
  return candidates
    .filter(({ isSpared, priority }) => !isSpared && (priority !== 'essential' || mayEndEssential))
    .filter((candidate) => !(isByUse && candidate.isStale) && isChosen(candidate, compared))
    .map((candidate) => ({ candidate, rank: [-PRIORITIES[candidate.priority], ...figures(candidate, now)] }))
    .sort((a, b) => highestFirst(a.rank, b.rank))
    .map(({ candidate }) => candidate);
}

function comparedWith(candidates: readonly Candidate[], unclaimed: number): Compared {
  const figures = candidates.map(({ unexpected }) => sound(unexpected));
  return {
    fastest: candidates.reduce((fastest, { growth }) => Math.max(fastest, sound(growth)), 0),
    most: figures.reduce((most, unexpected) => Math.max(most, unexpected), unclaimed),
    all: figures.reduce((sum, unexpected) => sum + unexpected, unclaimed),
  };
}

/** Compares figure by figure. One that is no number would make the order undefined: it counts as 0. */
function highestFirst(a: readonly (number | undefined)[], b: readonly (number | undefined)[]): number {
  for (const [index, figure] of a.entries()) {
    const [mine, other] = [sound(figure), sound(b[index])];
    if (mine !== other) return other > mine ? 1 : -1;
  }
  return 0;
}

function sound(figure: number | undefined): number {
  return figure === undefined || Number.isNaN(figure) ? 0 : figure;
}
