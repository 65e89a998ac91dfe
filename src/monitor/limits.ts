import type { NearPercents } from './levels.js';
import { ObservedTime } from './observed-time.js';
import type { TreeLevel } from './resource-sample.js';
import { ValueWindow } from './value-window.js';

/** The options `monitoring.windows`, ms. For CPU the long one is `cpuWindow`. */
export interface LimitWindows {
  readonly long: number;
  readonly short: number;
}

/** What is known of a value after a sample. */
export interface LimitAssessment {
  readonly level: TreeLevel;
  /** Reported once each: the limit is exceeded, or no longer. */
  readonly change: 'exceeded' | 'recovered' | undefined;
  /** Whether the level asks for an action now: the value is that high, does not fall fast, and no action is to show its effect. */
  readonly asksForAction: boolean;
  /** Whether it is so far over the limit that the action cannot wait. */
  readonly isUrgent: boolean;
}

/** The levels of a limit, the highest first. */
const RAISED = ['exceeded', 'critical', 'warning'] as const;
type Raised = (typeof RAISED)[number];

/** In percent of the limit: from here on an action cannot wait for the end of a lease. */
const URGENT_PERCENT = 110;

/** A value falls fast when it is below this share of the highest one in the short window. Source: oomd, `fast_fall_ratio`. */
const FAST_FALL = 0.85;
/** A level is left soon when the value was below this share of its threshold for the short window. */
const CLEARLY_BELOW = 0.9;
/** Otherwise it is left when the value was not over the threshold for this many long windows: noise must not end it. */
const JUST_BELOW_WINDOWS = 2;
/** An action has shown its effect when the value is below this share of what it was. */
const EFFECT = 0.95;

/**
 * One measured value and its limit. A level is entered when the value is over its threshold for most of a long and of a
 * short window, now too, and does not fall fast; so no start-up spike is a violation. It is left soon when the value is
 * clearly below, and later when it is just below. One watch for each instance and limit.
 */
export class LimitWatch {
  readonly #windows: LimitWindows;
  readonly #percents: NearPercents | undefined;
  readonly #time: ObservedTime;
  readonly #values: ValueWindow;
  #level: TreeLevel = 'normal';
  #latest = 0;
  #isKnown = false;
  /** The value at the last action, and until when (observed time) nothing more is done. */
  #resting: { readonly value: number; readonly until: number } | undefined;

  /** @param percents Undefined: it is exceeded or not, as a number of processes */
  constructor(windows: LimitWindows, percents?: NearPercents) {
    const longest = Math.max(windows.long, windows.short);
    this.#windows = windows;
    this.#percents = percents;
    this.#time = new ObservedTime(longest / 3);
    this.#values = new ValueWindow(longest * JUST_BELOW_WINDOWS);
  }

  get level(): TreeLevel {
    return this.#level;
  }

  /** Whether the last sample has shown how near the limit is. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /**
   * Takes a sample.
   *
   * @param at Clock time, ms.
   * @param value Undefined when it could not be measured, or the tree has vanished: nothing changes then.
   * @param limit In the unit of the value. `Infinity`: none. It may be another one each time.
   * @param isLeast Whether the value is at least so high: it may bring a level, and none is left for it.
   */
  update(at: number, value: number | undefined, limit: number, isLeast = false): LimitAssessment {
    this.#isKnown = Number.isFinite(value) && (!isLeast || this.#reaches(value as number, limit));
    if (value === undefined || !this.#isKnown) return this.#assessment(undefined, false, false);
    this.#values.add(this.#time.advance(at), value);
    this.#latest = value;
    const before = this.#level;
    this.#level = this.#next(limit);
    const isOver = this.#level !== 'normal' && this.#isOver(this.#level, limit);
    const isUrgent = this.#level === 'exceeded' && isOver && this.#isFarOver(limit);
    return this.#assessment(changeOf(before, this.#level), isOver && !this.#isResting(), isUrgent);
  }

  /** An action was taken: until its effect shows, but not longer than the long window, no other one is asked for. */
  acted(): void {
    this.#resting = { value: this.#latest, until: this.#time.now + this.#windows.long };
  }

  /** The tree has ended. Returns whether to report that its limit is no longer exceeded. */
  end(): 'recovered' | undefined {
    const wasExceeded = this.#level === 'exceeded';
    this.#level = 'normal';
    return wasExceeded ? 'recovered' : undefined;
  }

  #assessment(change: LimitAssessment['change'], asksForAction: boolean, isUrgent: boolean): LimitAssessment {
    return { level: this.#level, change, asksForAction, isUrgent };
  }

  /** The highest level that is entered now, or that is not yet left. */
  #next(limit: number): TreeLevel {
    const kept = RAISED.indexOf(this.#level as Raised);
    return (
      RAISED.find(
        (level, index) => this.#isOver(level, limit) || (kept >= 0 && index >= kept && !this.#isLeft(level, limit)),
      ) ?? 'normal'
    );
  }

  /** The threshold of the level of now, or of the lowest one. */
  #reaches(value: number, limit: number): boolean {
    const lowest = this.#percents === undefined ? 'exceeded' : 'warning';
    const level = this.#level === 'normal' ? lowest : this.#level;
    return overThreshold(level, this.#threshold(level, limit))(value);
  }

  #isOver(level: Raised, limit: number): boolean {
    const { long, short } = this.#windows;
    const isOver = overThreshold(level, this.#threshold(level, limit));
    return (
      isOver(this.#latest) &&
      this.#values.covered >= long &&
      this.#values.share(short, isOver) > 1 / 2 &&
      this.#values.share(long, isOver) > 1 / 2 &&
      this.#latest >= FAST_FALL * this.#values.highest(short)
    );
  }

  #isLeft(level: Raised, limit: number): boolean {
    const { long, short } = this.#windows;
    const threshold = this.#threshold(level, limit);
    const isNear = (value: number) => value >= CLEARLY_BELOW * threshold;
    const isOver = overThreshold(level, threshold);
    return this.#values.share(short, isNear) === 0 || this.#values.share(long * JUST_BELOW_WINDOWS, isOver) === 0;
  }

  #isFarOver(limit: number): boolean {
    const isFar = (value: number) => value >= (limit * URGENT_PERCENT) / 100;
    return isFar(this.#latest) && this.#values.share(this.#windows.short, isFar) > 1 / 2;
  }

  #isResting(): boolean {
    const resting = this.#resting;
    if (resting && (this.#latest < EFFECT * resting.value || this.#time.now >= resting.until))
      this.#resting = undefined;
    return this.#resting !== undefined;
  }

  #threshold(level: Raised, limit: number): number {
    if (level === 'exceeded') return limit;
    if (this.#percents === undefined) return Infinity;
    return (limit * this.#percents[`${level}Percent`]) / 100;
  }
}

/** What reaches its limit has not exceeded it: a tree may have `maxTreeProcesses` processes. */
function overThreshold(level: Raised, threshold: number): (value: number) => boolean {
  return level === 'exceeded' ? (value) => value > threshold : (value) => value >= threshold;
}

function changeOf(before: TreeLevel, now: TreeLevel): LimitAssessment['change'] {
  if ((before === 'exceeded') === (now === 'exceeded')) return undefined;
  return now === 'exceeded' ? 'exceeded' : 'recovered';
}
