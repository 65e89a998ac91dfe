import type { ResolvedMonitoring } from '../../config/monitoring-options.js';
import type { EarlierLives } from './earlier-lives.js';
import { FLOORS_PER_WINDOW, FloorSeries, PARTS_PER_WINDOW } from './floors.js';
import { growthOf, levelOf, plateauOf, swingOf } from './growth.js';
import { type LeakEvidence, type LeakVerdict, nextVerdict } from './verdict.js';

/** When memory that grows is a leak. */
export type LeakOptions = ResolvedMonitoring['leak'];

/** What an instance uses at one moment. */
export interface LeakSample {
  /** Clock time in ms. */
  readonly at: number;
  readonly memoryMB: number;
  /** Requests of its whole life. Where they are known, memory that comes and goes with the load is no leak. */
  readonly requests?: number;
}

/** What is known of an instance. */
export interface LeakFinding {
  readonly verdict: LeakVerdict;
  /** By the windows that the verdict looks at, in MB an hour. 0 until one part of a window is complete. */
  readonly slopeMBPerHour: number;
}

const HOUR = 3_600_000;
/** No two lives of a server come to quite the same. */
const MARGIN = 1.1;
const NOTHING: LeakFinding = { verdict: 'none', slopeMBPerHour: 0 };

/** Watches the memory of one instance, from its start to its end. */
export class LeakWatch {
  readonly #name: string;
  readonly #options: LeakOptions;
  readonly #lives: EarlierLives;
  #series: FloorSeries;
  /** When the observation began, and when the last sample was taken. */
  #begin: number | undefined;
  #last = 0;
  #finding = NOTHING;
  /** The highest level that it had before the windows that the verdict looks at, in MB. */
  #highest = 0;
  /** The lowest one since then. */
  #lowest = Infinity;

  constructor(name: string, options: LeakOptions, lives: EarlierLives) {
    this.#name = name;
    this.#options = options;
    this.#lives = lives;
    this.#series = new FloorSeries(options.window);
  }

  get finding(): LeakFinding {
    return this.#finding;
  }

  /**
   * Takes a sample. Returns the finding if the verdict has changed. A sample that is not later than the last one is dropped.
   * After a pause of a quarter of a window (the machine was suspended, the clock was set) a new observation begins, warm-up
   * included, and the verdict with it, since what was used meanwhile is not known.
   */
  add({ at, memoryMB, requests }: LeakSample): LeakFinding | undefined {
    if (!Number.isFinite(at) || !Number.isFinite(memoryMB)) return undefined;
    const before = this.#begin;
    if (before !== undefined && Math.abs(at - this.#last) > this.#options.window / PARTS_PER_WINDOW) {
      this.#series = new FloorSeries(this.#options.window);
      this.#starts(at);
      return this.#conclude('interrupted', 0);
    }
    if (before === undefined) return this.#starts(at);
    if (at <= this.#last) return undefined;
    this.#last = at;
    if (at - before < this.#options.warmup) return undefined;
    return this.#series.add(at, memoryMB, requests) ? this.#judge() : undefined;
  }

  /** The instance has ended: what it had settled at, or had given back, is known to the next ones of its server. */
  end(): void {
    const { floors } = this.#series;
    const givenBack = this.#highest > levelOf(floors) ? this.#highest : 0;
    const level = Math.max(givenBack, plateauOf(floors, this.#minSlope) ?? 0);
    if (level > 0) this.#lives.ended(this.#name, level);
  }

  get #floorsPerHour(): number {
    return (HOUR / this.#options.window) * FLOORS_PER_WINDOW;
  }

  /** In MB from floor to floor. */
  get #minSlope(): number {
    return this.#options.minSlopeMBPerHour / this.#floorsPerHour;
  }

  #starts(at: number): undefined {
    this.#begin = at;
    this.#last = at;
  }

  #judge(): LeakFinding | undefined {
    const { floors } = this.#series;
    const { highest, lowest } = swingOf(floors);
    if (highest > this.#highest) {
      this.#highest = highest;
      this.#lowest = lowest;
    }
    this.#lowest = Math.min(this.#lowest, lowest);
    const { evidence, slope } = growthOf(floors, this.#minSlope);
    return this.#conclude(this.#compared(evidence, levelOf(floors)), slope * this.#floorsPerHour);
  }

  /** Growth up to where an earlier life had settled is what this server does. Up to where this life had been, it may be. */
  #compared(evidence: LeakEvidence, level: number): LeakEvidence {
    if (level <= this.#lives.highest(this.#name) * MARGIN) return 'settled';
    // What comes and goes does not come to the same height each time.
    const known = this.#highest + (this.#highest - this.#lowest);
    return evidence === 'sustained' && level <= known ? 'rising' : evidence;
  }

  /** The one place where the verdict changes. */
  #conclude(evidence: LeakEvidence, slopeMBPerHour: number): LeakFinding | undefined {
    const verdict = nextVerdict(this.#finding.verdict, evidence);
    const changed = verdict !== this.#finding.verdict;
    this.#finding = { verdict, slopeMBPerHour };
    return changed ? this.#finding : undefined;
  }
}
