import { FLOORS_PER_PART, FLOORS_PER_WINDOW, type Floor, PARTS_PER_WINDOW, partOf } from './floors.js';
import { mannKendallZ } from './mann-kendall.js';
import { theilSenSlope } from './theil-sen.js';
import type { LeakEvidence } from './verdict.js';

/** What is asked of growth that lasts for so many windows. Tuned on one seed of `test/monitor/leaks/simulate.ts`. */
interface Demand {
  readonly windows: number;
  /** Mann–Kendall. More than chance among independent values asks for, since noise of servers lasts for minutes. */
  readonly z: number;
  /** The largest share of the growth that one part may have: a step has all of it. */
  readonly largestShare: number;
}

const RISING: Demand = { windows: 2, z: 4.5, largestShare: 0.33 };
const SUSTAINED: Demand = { windows: 3, z: 4, largestShare: 0.35 };
/** The least slope of one stretch, as a share of that of another. */
const LEAST_PACE = {
  /** Of now, to that of any half span before. */
  now: 0.65,
  /** Of the half span before, and of the oldest one that counts, to that of now. */
  before: 0.5,
  /** Of the first and the last window, to that of the fastest. */
  window: 0.35,
};
/** A span may lack one part, so that a leak is confirmed a little before its last window is full. */
const MISSING_PARTS = 1;
/** Share of the pairs of floors that must be comparable by their load. */
const LEAST_COMPARABLE = 0.25;

/** What the floors of an instance show. */
export interface Growth {
  readonly evidence: LeakEvidence;
  /** Of its last three windows; of the last one when it has settled. In MB from floor to floor. */
  readonly slope: number;
}

/**
 * What the floors of an instance show. Pure.
 *
 * @param minSlope in MB from floor to floor
 */
export function growthOf(floors: readonly Floor[], minSlope: number): Growth {
  const recent = slopeOf(lastWindows(floors, 1));
  if (recent < minSlope) return { evidence: 'settled', slope: recent };
  const slope = slopeOf(lastWindows(floors, SUSTAINED.windows));
  if (slope < minSlope) return { evidence: 'unclear', slope };
  if (meets(floors, SUSTAINED) && isEven(floors)) return { evidence: 'sustained', slope };
  return { evidence: meets(floors, RISING) ? 'rising' : 'unclear', slope };
}

/** Where an instance has settled, in MB; undefined if it grows, or has not been seen for a window. */
export function plateauOf(floors: readonly Floor[], minSlope: number): number | undefined {
  if (floors.length < FLOORS_PER_WINDOW || slopeOf(lastWindows(floors, SUSTAINED.windows)) >= minSlope)
    return undefined;
  return levelOf(floors);
}

/** The highest level before the last three windows, and the lowest in them, in MB. */
export function swingOf(floors: readonly Floor[]): { readonly highest: number; readonly lowest: number } {
  const span = lastWindows(floors, SUSTAINED.windows);
  return {
    highest: Math.max(0, ...partLevels(floors.slice(0, floors.length - span.length))),
    lowest: Math.min(...partLevels(span)),
  };
}

/** What it uses now, in MB: the least of its last part. */
export function levelOf(floors: readonly Floor[]): number {
  return Math.min(...floors.slice(-FLOORS_PER_PART).map(({ memoryMB }) => memoryMB));
}

/** The least that each part used, and that no later part has fallen below: memory that was given back did not leak. */
function retainedLevels(floors: readonly Floor[]): number[] {
  const levels = partLevels(floors);
  for (let part = levels.length - 2; part >= 0; part -= 1) {
    levels[part] = Math.min(levels[part] ?? 0, levels[part + 1] ?? 0);
  }
  return levels;
}

/** Whether the floors rise through all of the last windows. */
function meets(floors: readonly Floor[], { windows, z, largestShare }: Demand): boolean {
  const span = lastWindows(floors, windows);
  const levels = retainedLevels(span);
  if (levels.length < windows * PARTS_PER_WINDOW - MISSING_PARTS) return false;
  const growth = (levels.at(-1) ?? 0) - (levels[0] ?? 0);
  const largest = Math.max(...levels.map((level, part) => level - (levels[part - 1] ?? level)));
  return growth > 0 && largest <= largestShare * growth && mannKendallZ(span.map((floor) => floor.memoryMB)) >= z;
}

/**
 * Whether it grows evenly. Growth towards a plateau slows down, and one that begins late was not there before. Both show in
 * half spans, which are long enough for slow noise, and in single windows, which are short enough for early signs.
 */
function isEven(floors: readonly Floor[]): boolean {
  const begin = floors[0]?.index ?? 0;
  const end = (floors.at(-1)?.index ?? 0) + 1;
  const slopeBetween = (from: number, to: number) => slopeOf(floors.filter(({ index }) => index >= from && index < to));

  const half = (SUSTAINED.windows * FLOORS_PER_WINDOW) / 2;
  const now = slopeBetween(end - half, end);
  const oldest = Math.max(begin, end - 3 * half);
  if (
    Math.min(slopeBetween(end - 2 * half, end - half), slopeBetween(oldest, oldest + half)) <
    LEAST_PACE.before * now
  ) {
    return false;
  }
  for (let to = end - half; to === end - half || to - half >= begin; to -= FLOORS_PER_PART) {
    if (now < LEAST_PACE.now * slopeBetween(to - half, to)) return false;
  }

  const windows = [3, 2, 1].map((ago) =>
    slopeBetween(end - ago * FLOORS_PER_WINDOW, end - (ago - 1) * FLOORS_PER_WINDOW),
  );
  const fastest = Math.max(...windows);
  return [windows[0], windows[2]].every((slope = 0) => slope >= LEAST_PACE.window * fastest);
}

/**
 * By Theil–Sen, in MB from floor to floor. Where the load is known, only pairs in which the later one had no more load: what
 * comes and goes with the load is no leak. 0 if load rose nearly all the time, so that nothing can be compared.
 */
function slopeOf(floors: readonly Floor[]): number {
  const indexes = floors.map(({ index }) => index);
  const memory = floors.map(({ memoryMB }) => memoryMB);
  const loads = floors.map(({ requests }) => requests);
  if (loads.every((load) => load === undefined)) return theilSenSlope(indexes, memory);
  let comparable = 0;
  const slope = theilSenSlope(indexes, memory, (earlier, later) => {
    const before = loads[earlier];
    const after = loads[later];
    if (before !== undefined && after !== undefined && after > before) return false;
    comparable += 1;
    return true;
  });
  const pairs = (floors.length * (floors.length - 1)) / 2;
  return comparable >= LEAST_COMPARABLE * pairs ? slope : 0;
}

function lastWindows(floors: readonly Floor[], windows: number): readonly Floor[] {
  const end = floors.at(-1)?.index ?? 0;
  return floors.filter(({ index }) => index > end - windows * FLOORS_PER_WINDOW);
}

/** The least of each part that has floors. */
function partLevels(floors: readonly Floor[]): number[] {
  const levels = new Map<number, number>();
  for (const { index, memoryMB } of floors) {
    const part = partOf(index);
    levels.set(part, Math.min(levels.get(part) ?? Infinity, memoryMB));
  }
  return [...levels.values()];
}
