import { Breaches } from './breaches.js';
import { Histogram } from './histogram.js';
import { type LevelCounts, noCounts, sumOf } from './level-counts.js';
import { SliceRing } from './slice-ring.js';

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;
export const WEEK = 7 * DAY;
export const MONTH = 30 * DAY;

/** What takes time: until a caller has its lease, a request its answer, … */
export type Timed = 'acquire' | 'request' | 'restart' | 'detection' | 'startup' | 'shutdown';

/** The most of a day. */
export interface Peaks {
  /** Of one tree. */
  memoryMB: number;
  /** How often memory was measured. */
  memorySamples: number;
  /** Leases at once. */
  sessions: number;
  /** How often they were counted. */
  sessionSamples: number;
  /** The fewest of them with which the queue began to grow; `Infinity` if it did not. */
  sessionsAtGrowth: number;
}

const noPeaks = (): Peaks => ({
  memoryMB: 0,
  memorySamples: 0,
  sessions: 0,
  sessionSamples: 0,
  sessionsAtGrowth: Infinity,
});

/** What was counted of one server, or of all of a pool: by minutes for the last hour, by hours for a day, and by days. */
export class ServiceSeries {
  readonly #minutes = new SliceRing(MINUTE, HOUR, noCounts);
  readonly #hours = new SliceRing(HOUR, DAY, noCounts);
  readonly #days = new SliceRing(DAY, MONTH, noCounts);
  readonly #peaks = new SliceRing(DAY, WEEK, noPeaks);
  /** Made when the first of its times is recorded. */
  readonly #times: { [K in Timed]?: SliceRing<Histogram> } = {};
  readonly breaches = new Breaches();
  /** Clock time at which something was recorded last. */
  lastAt = -Infinity;
  /** The same for what uses a budget up. */
  lastBadAt = -Infinity;

  count(now: number, counter: keyof LevelCounts, times = 1): void {
    this.lastAt = now;
    this.#minutes.at(now)[counter] += times;
    this.#hours.at(now)[counter] += times;
    this.#days.at(now)[counter] += times;
  }

  /** The same for what uses a budget up. */
  countBad(now: number, counter: keyof LevelCounts, times = 1): void {
    this.lastBadAt = now;
    this.count(now, counter, times);
  }

  time(now: number, timed: Timed, ms: number): void {
    this.lastAt = now;
    this.#day(now, timed).record(ms);
  }

  /** Each of these times is counted, too. */
  add(now: number, counter: keyof LevelCounts, timed: Timed, times: Histogram): void {
    this.count(now, counter, times.count);
    this.#day(now, timed).add(times);
  }

  memory(now: number, memoryMB: number): void {
    this.lastAt = now;
    const peaks = this.#peaks.at(now);
    peaks.memoryMB = Math.max(peaks.memoryMB, memoryMB);
    peaks.memorySamples += 1;
  }

  sessions(now: number, sessions: number, grows: boolean): void {
    const peaks = this.#peaks.at(now);
    peaks.sessions = Math.max(peaks.sessions, sessions);
    peaks.sessionSamples += 1;
    if (grows) peaks.sessionsAtGrowth = Math.min(peaks.sessionsAtGrowth, sessions);
  }

  /** What was counted in the last `window` ms, at most `MONTH`. */
  counts(now: number, window: number): LevelCounts {
    const ring = window <= HOUR ? this.#minutes : window <= DAY ? this.#hours : this.#days;
    return sumOf(ring.last(now, window));
  }

  /** The times of the last week. */
  times(now: number, timed: Timed): Histogram {
    const sum = new Histogram();
    for (const day of this.#times[timed]?.last(now, WEEK) ?? []) sum.add(day);
    return sum;
  }

  /** The peaks of the last week. */
  peaks(now: number): Peaks {
    const week = noPeaks();
    for (const day of this.#peaks.last(now, WEEK)) {
      week.memoryMB = Math.max(week.memoryMB, day.memoryMB);
      week.memorySamples += day.memorySamples;
      week.sessions = Math.max(week.sessions, day.sessions);
      week.sessionSamples += day.sessionSamples;
      week.sessionsAtGrowth = Math.min(week.sessionsAtGrowth, day.sessionsAtGrowth);
    }
    return week;
  }

  #day(now: number, timed: Timed): Histogram {
    let ring = this.#times[timed];
    if (ring === undefined) {
      ring = new SliceRing(DAY, WEEK, () => new Histogram());
      this.#times[timed] = ring;
    }
    return ring.at(now);
  }
}
