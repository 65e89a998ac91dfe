import type { ServiceLevelTargets } from '../../config/service-level-options.js';
import { burnRate, type Events } from './burn-rate.js';
import { BURNING_LEVELS } from './burning-levels.js';
import type { BurningLevel, PoolLevels, ServerLevels, ServiceLevel, TimeLevel } from './service-level.js';
import { DAY, type ServiceSeries, type Timed, WEEK } from './service-series.js';

/** How a figure meets its target. `below`: issue 12 says "less than". */
const MEETS = {
  atLeast: (actual: number, target: number) => actual >= target,
  atMost: (actual: number, target: number) => actual <= target,
  below: (actual: number, target: number) => actual < target,
};

/** What was counted of a server, or of a pool, against its targets, at one moment. */
export class LevelReport {
  readonly #series: ServiceSeries;
  readonly #targets: ServiceLevelTargets;
  readonly #now: number;

  constructor(series: ServiceSeries, targets: ServiceLevelTargets, now: number) {
    this.#series = series;
    this.#targets = targets;
    this.#now = now;
  }

  ofServer(): ServerLevels {
    const { restartTime, detectionTime, startupTime, shutdownTime, unexpectedRestarts, criticalViolations } =
      this.#targets;
    const { restarts, violations } = this.#series.counts(this.#now, WEEK);
    return {
      availabilityPercent: this.availabilityPercent(),
      failurePercent: this.failurePercent(),
      acquireTime: this.acquireTime(),
      requestTime: this.#time('request'),
      restartTime: this.#time('restart', restartTime),
      detectionTime: this.#time('detection', detectionTime),
      startupTime: this.#time('startup', startupTime),
      shutdownTime: this.#time('shutdown', shutdownTime),
      unexpectedRestarts: countLevel(restarts, unexpectedRestarts),
      criticalViolations: countLevel(violations, criticalViolations),
      memoryMB: this.#memory(),
    };
  }

  ofPool(): PoolLevels {
    const { pressureEvents, alertsPerDay } = this.#targets;
    const { pressure, growths } = this.#series.counts(this.#now, WEEK);
    const { alerts } = this.#series.counts(this.#now, DAY);
    return {
      ...this.ofServer(),
      pressureEvents: countLevel(pressure, pressureEvents),
      alertsPerDay: { ...amountLevel(alerts, alertsPerDay, 'below', alerts), window: DAY },
      queueGrowth: countLevel(growths, undefined),
      concurrentSessions: this.#sessions(),
    };
  }

  availabilityPercent(): ServiceLevel {
    const { valid, bad } = this.#events('availabilityPercent');
    return this.#share('availabilityPercent', (100 * (valid - bad)) / valid, 'atLeast');
  }

  failurePercent(): ServiceLevel {
    const { valid, bad } = this.#events('failurePercent');
    return this.#share('failurePercent', (100 * bad) / valid, 'below');
  }

  acquireTime(): TimeLevel {
    const budgetLeft = this.#budgetLeft('acquireTime');
    // By the count of slow calls, which is exact.
    const isMet = budgetLeft === undefined ? undefined : budgetLeft >= 0;
    return { ...this.#time('acquire', this.#targets.acquireTime), isMet, budgetLeft };
  }

  /** @param actual of no meaning when nothing was counted */
  #share(level: 'availabilityPercent' | 'failurePercent', actual: number, rule: keyof typeof MEETS): ServiceLevel {
    const { window } = BURNING_LEVELS[level];
    const target = this.#targets[level];
    const samples = this.#events(level).valid;
    if (samples === 0) return { target, actual: undefined, budgetLeft: undefined, isMet: undefined, window, samples };
    const isMet = MEETS[rule](actual, target);
    return { target, actual, budgetLeft: this.#budgetLeft(level), isMet, window, samples };
  }

  #events(level: BurningLevel): Events {
    const { window, eventsOf } = BURNING_LEVELS[level];
    return eventsOf(this.#series.counts(this.#now, window));
  }

  /** What is left of the share that may fail. */
  #budgetLeft(level: BurningLevel): number | undefined {
    const events = this.#events(level);
    // By a rate of 1 all of it is used up.
    return events.valid === 0 ? undefined : 1 - burnRate(events, BURNING_LEVELS[level].allowed(this.#targets));
  }

  #time(timed: Timed, target?: number): TimeLevel {
    const times = this.#series.times(this.#now, timed);
    const [p50, p95, p99] = [times.percentile(50), times.percentile(95), times.percentile(99)];
    return { ...amountLevel(p95, target, 'below', times.count), p50, p95, p99 };
  }

  #memory(): ServiceLevel {
    const { memoryMB, memorySamples } = this.#series.peaks(this.#now);
    return amountLevel(memorySamples > 0 ? memoryMB : undefined, this.#targets.memoryMB, 'below', memorySamples);
  }

  /** Fewer sessions than the target, without a queue that grows, show neither that it is met nor that it is missed. */
  #sessions(): ServiceLevel {
    const { concurrentSessions: target } = this.#targets;
    const { sessions, sessionSamples: samples, sessionsAtGrowth } = this.#series.peaks(this.#now);
    const most = Math.min(sessions, sessionsAtGrowth);
    const isShort = sessionsAtGrowth < Infinity ? false : undefined;
    const isMet = most >= target ? true : isShort;
    const actual = samples > 0 ? most : undefined;
    return { target, actual, budgetLeft: undefined, isMet, window: WEEK, samples };
  }
}

function countLevel(count: number, target: number | undefined): ServiceLevel {
  return amountLevel(count, target, 'atMost', count);
}

function amountLevel(
  actual: number | undefined,
  target: number | undefined,
  rule: keyof typeof MEETS,
  samples: number,
): ServiceLevel {
  if (actual === undefined || target === undefined)
    return { target, actual, budgetLeft: undefined, isMet: undefined, window: WEEK, samples };
  const isMet = MEETS[rule](actual, target);
  return { target, actual, budgetLeft: unused(actual, target), isMet, window: WEEK, samples };
}

/** Where none is allowed, each one more is one too many. */
function unused(actual: number, target: number): number {
  if (target > 0) return 1 - actual / target;
  return actual === 0 ? 1 : -actual;
}
