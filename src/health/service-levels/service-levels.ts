import type { ServiceLevelTargets } from '../../config/service-level-options.js';
import { burning, burnRate, LONGEST_WINDOW } from './burn-rate.js';
import { BURNING_LEVELS } from './burning-levels.js';
import { FreshTimes } from './fresh-times.js';
import type { LevelCounts } from './level-counts.js';
import { LevelReport } from './level-report.js';
import { QueueGrowth } from './queue-growth.js';
import type { BurningLevel, ServerLevels, ServiceLevelEvent, ServiceLevelReport } from './service-level.js';
import { HOUR, MINUTE, MONTH, ServiceSeries, type Timed } from './service-series.js';

/** Most servers that are told apart. What comes of others counts for the pool. */
const MOST_SERVERS = 200;

const LEVELS = Object.keys(BURNING_LEVELS) as BurningLevel[];

/** How a request ended. `failed`: with an error of the server. `lost`: without an answer of it. */
export type RequestResult = 'answered' | 'failed' | 'lost';

/** A level that is breached from now on, or no more. */
export interface LevelChange {
  readonly to: 'breached' | 'recovered';
  readonly event: ServiceLevelEvent;
}

/** The levels of a pool and of each of its servers. It is fed what happens, with the clock time of that, and has no clock. */
export class ServiceLevels {
  readonly #targets: ServiceLevelTargets;
  readonly #isDefined: (name: string) => boolean;
  readonly #pool = new ServiceSeries();
  readonly #poolAlone = [this.#pool];
  /** By server: all series that its events count for. */
  readonly #servers = new Map<string, readonly [ServiceSeries, ServiceSeries]>();
  readonly #queue = new QueueGrowth();
  /** Of the minute that ends then: of calls and of requests. */
  readonly #waits = new FreshTimes();
  readonly #answers = new FreshTimes();
  #minuteEnd = -Infinity;
  /** Whether no server can make room for another, as was found since the last `evaluate()`. */
  #isFull = false;

  /** @param isDefined whether a pool has a server with this name now: only what is kept of others is forgotten */
  constructor(targets: ServiceLevelTargets, isDefined: (name: string) => boolean) {
    this.#targets = targets;
    this.#isDefined = isDefined;
  }

  /** So many callers got a lease, each after it had waited so many ms. @param name undefined: known for the pool only */
  called(now: number, name: string | undefined, waited: number, times = 1): void {
    this.#begin(now);
    this.#waits.record(name, waited, times);
    if (waited <= this.#targets.acquireTime) return;
    for (const series of this.#of(name)) series.countBad(now, 'slow', times);
  }

  /** A caller got none, though the host had not given up. */
  refused(now: number, name: string): void {
    for (const series of this.#of(name)) {
      series.count(now, 'calls');
      series.countBad(now, 'refused');
    }
  }

  /**
   * @param duration from the request to its end, ms
   * @param times so many requests ended in the same way
   */
  requestDone(now: number, name: string, result: RequestResult, duration: number, times = 1): void {
    this.#begin(now);
    if (result !== 'lost') this.#answers.record(name, duration, times);
    if (result === 'answered') return;
    for (const series of this.#of(name)) {
      if (result === 'lost') series.count(now, 'requests', times);
      series.countBad(now, result, times);
    }
  }

  /** Something took so many ms. @param name undefined: it concerns the pool only */
  took(now: number, name: string | undefined, timed: Timed, ms: number): void {
    for (const series of this.#of(name)) series.time(now, timed, ms);
  }

  /** @param name undefined: it concerns the pool only */
  happened(now: number, name: string | undefined, what: keyof LevelCounts): void {
    for (const series of this.#of(name)) series.count(now, what);
  }

  /** What one tree uses. */
  memory(now: number, name: string, memoryMB: number): void {
    for (const series of this.#of(name)) series.memory(now, memoryMB);
  }

  /**
   * To be called every 10 s.
   * @param sessions leases that are held now
   * @param waited the least number of callers that waited since the last call
   */
  load(now: number, sessions: number, waited: number): void {
    const grows = this.#queue.add(waited);
    this.#pool.sessions(now, sessions, grows);
    if (grows) this.#pool.count(now, 'growths');
  }

  /** Whether a level is breached. */
  get isBreached(): boolean {
    return this.#all.some(([, { breaches }]) => breaches.any);
  }

  /** Decides which levels are breached. Forgets servers that were removed and of which nothing is in a window any more. */
  evaluate(now: number): LevelChange[] {
    this.#settle();
    this.#isFull = false;
    for (const [name, [, series]] of this.#servers)
      if (now - series.lastAt > MONTH && !this.#isDefined(name)) this.#servers.delete(name);
    return this.#all.flatMap(([name, series]) => this.#judge(now, name, series));
  }

  report(now: number): ServiceLevelReport {
    this.#settle();
    const servers = [...this.#servers].map(([name, [, series]]): [string, ServerLevels] => [
      name,
      new LevelReport(series, this.#targets, now).ofServer(),
    ]);
    return { pool: new LevelReport(this.#pool, this.#targets, now).ofPool(), servers: Object.fromEntries(servers) };
  }

  /** What is fresh is of one minute: no slice of any series begins within it. */
  #begin(now: number): void {
    if (now < this.#minuteEnd) return;
    this.#settle();
    this.#minuteEnd = MINUTE * (Math.floor(now / MINUTE) + 1);
  }

  /** Tells the series what is fresh. */
  #settle(): void {
    const at = this.#minuteEnd - MINUTE;
    for (const [name, times] of this.#waits.take())
      for (const series of this.#of(name)) series.add(at, 'calls', 'acquire', times);
    for (const [name, times] of this.#answers.take())
      for (const series of this.#of(name)) series.add(at, 'requests', 'request', times);
  }

  get #all(): readonly (readonly [name: string | undefined, series: ServiceSeries])[] {
    return [[undefined, this.#pool], ...[...this.#servers].map(([name, [, series]]) => [name, series] as const)];
  }

  #judge(now: number, name: string | undefined, series: ServiceSeries): LevelChange[] {
    if (!series.breaches.any && now - series.lastBadAt > LONGEST_WINDOW) return [];
    return LEVELS.flatMap((level): LevelChange[] => {
      const { eventsOf, allowed } = BURNING_LEVELS[level];
      const share = allowed(this.#targets);
      const events = (window: number) => eventsOf(series.counts(now, window));
      const rate = burning(events, share);
      const to = series.breaches.update(now, level, rate !== undefined);
      if (to === undefined) return [];
      const target = this.#targets[level];
      // Where nothing is left in the window, nothing has failed in it.
      const { actual = target, budgetLeft = 1 } = new LevelReport(series, this.#targets, now)[level]();
      const figures = { target, actual, burnRate: rate ?? burnRate(events(HOUR), share), budgetLeft };
      return [{ to, event: { level, name, ...figures } }];
    });
  }

  #of(name: string | undefined): readonly ServiceSeries[] {
    if (name === undefined) return this.#poolAlone;
    return this.#servers.get(name) ?? this.#add(name) ?? this.#poolAlone;
  }

  /** Undefined where there is no room for one more. */
  #add(name: string): readonly [ServiceSeries, ServiceSeries] | undefined {
    if (this.#isFull) return undefined;
    if (this.#servers.size >= MOST_SERVERS && !this.#makeRoom()) {
      // A request must not look through all of them, again and again.
      this.#isFull = true;
      return undefined;
    }
    const added = [this.#pool, new ServiceSeries()] as const;
    this.#servers.set(name, added);
    return added;
  }

  /** Forgets the removed server that was silent for longest. False when there is none. */
  #makeRoom(): boolean {
    let [oldest, silentSince]: [string | undefined, number] = [undefined, Infinity];
    for (const [name, [, { lastAt, breaches }]] of this.#servers) {
      if (lastAt >= silentSince || breaches.any || this.#isDefined(name)) continue;
      [oldest, silentSince] = [name, lastAt];
    }
    return oldest !== undefined && this.#servers.delete(oldest);
  }
}
