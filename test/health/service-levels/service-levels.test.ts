import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolvePoolOptions } from '../../../src/config/resolve-options.js';
import type { ServerLevels, TimeLevel } from '../../../src/health/service-levels/service-level.js';
import {
  type LevelChange,
  type RequestResult,
  ServiceLevels,
} from '../../../src/health/service-levels/service-levels.js';
import { memoryOf } from '../../helpers/heap.js';
import { percentileOf } from '../../helpers/traffic.js';
import { randomOf } from '../../monitor/leaks/simulate.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MB = 1_048_576;

const { targets } = resolvePoolOptions({}).serviceLevels;
const newLevels = (isDefined: (name: string) => boolean = () => true) => new ServiceLevels(targets, isDefined);

/** Something that counts, with all that a level needs of it. */
interface Sample {
  readonly at: number;
  readonly name: string;
  readonly kind: 'call' | 'refused' | RequestResult;
  /** How long it took, ms. */
  readonly took: number;
}

/** How much comes at a moment, from 0 to 1. */
const SHAPES = {
  steady: () => 1,
  nights: (at: number) => (at % DAY < DAY / 3 ? 0 : 1),
  bursts: (at: number) => (at % DAY < HOUR ? 1 : 0.02),
  growing: (at: number) => at / (40 * DAY),
  /** Almost nothing, and at the end an outage. */
  outage: (at: number) => (at > 38 * DAY ? 1 : 0.05),
} as const;

interface Traffic {
  readonly seed: number;
  readonly shape: keyof typeof SHAPES;
  readonly samples: number;
  readonly failing: number;
  /** Of the times: their median in ms, and how far they are apart. */
  readonly median: number;
  readonly spread: number;
}

/** What came in the last 40 days, oldest first. */
function samplesOf({ seed, shape, samples, failing, median, spread }: Traffic): Sample[] {
  const random = randomOf(seed);
  const found: Sample[] = [];
  while (found.length < samples) {
    const at = random() * 40 * DAY;
    if (random() > SHAPES[shape](at)) continue;
    const fails = random() < (shape === 'outage' && at > 39 * DAY ? 0.5 : failing);
    const isCall = random() < 0.4;
    const isAtOnce = isCall && random() < 0.5;
    const took = isAtOnce ? 0 : Math.min(DAY, median * Math.exp(spread * (random() + random() + random() - 1.5)));
    const failed = random() < 0.5 ? 'failed' : 'lost';
    const kind = isCall ? (fails ? 'refused' : 'call') : fails ? failed : 'answered';
    found.push({ at, name: random() < 0.7 ? 'often' : 'rare', kind, took });
  }
  return found.toSorted((a, b) => a.at - b.at);
}

function tell(levels: ServiceLevels, { at, name, kind, took }: Sample): void {
  if (kind === 'call') levels.called(at, name, took);
  else if (kind === 'refused') levels.refused(at, name);
  else levels.requestDone(at, name, kind, took);
}

/** The same figures, from the samples themselves. */
function rawLevels(samples: readonly Sample[], now: number) {
  const within = (window: number) => samples.filter(({ at }) => at >= DAY * Math.floor((now - window) / DAY));
  const of = (some: readonly Sample[], ...kinds: Sample['kind'][]) => some.filter(({ kind }) => kinds.includes(kind));
  const [month, week] = [within(30 * DAY), within(7 * DAY)];
  const requests = of(week, 'answered', 'failed', 'lost');
  const timesOf = (some: readonly Sample[]) => some.map(({ took }) => took);
  return {
    availability: (100 * (month.length - of(month, 'refused', 'lost').length)) / month.length,
    failures: (100 * of(week, 'failed', 'lost').length) / requests.length,
    waits: timesOf(of(week, 'call')),
    answers: timesOf(of(week, 'answered', 'failed')),
  };
}

const traffic: fc.Arbitrary<Traffic> = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  shape: fc.constantFrom(...(Object.keys(SHAPES) as (keyof typeof SHAPES)[])),
  samples: fc.integer({ min: 1, max: 6_000 }),
  failing: fc.constantFrom(0, 0.0005, 0.02, 0.6),
  median: fc.constantFrom(0.2, 40, 900, 60_000),
  spread: fc.constantFrom(0.1, 2, 6),
});

describe('service levels of 30 days', () => {
  it('[SLO-1] are those of the raw samples, within 1 %, whatever the traffic', () => {
    fc.assert(
      fc.property(traffic, fc.nat(DAY), (given, later) => {
        const samples = samplesOf(given);
        const levels = newLevels();
        for (const sample of samples) tell(levels, sample);
        const now = 40 * DAY + later;
        const { pool, servers } = levels.report(now);
        assertAlike(pool, rawLevels(samples, now));
        for (const [name, found] of Object.entries(servers))
          assertAlike(
            found,
            rawLevels(
              samples.filter((sample) => sample.name === name),
              now,
            ),
          );
      }),
      { numRuns: 60 },
    );
  });

  function assertAlike(found: ServerLevels, raw: ReturnType<typeof rawLevels>): void {
    assertFigure(found.availabilityPercent.actual, raw.availability);
    assertFigure(found.failurePercent.actual, raw.failures);
    assertTimes(found.acquireTime, raw.waits);
    assertTimes(found.requestTime, raw.answers);
    const slow = raw.waits.filter((wait) => wait > targets.acquireTime).length;
    if (raw.waits.length > 0) expect(found.acquireTime.budgetLeft).toBeCloseTo(1 - slow / raw.waits.length / 0.05, 6);
  }

  function assertTimes(found: TimeLevel, raw: readonly number[]): void {
    expect(found.samples).toBe(raw.length);
    expect(found.actual).toBe(found.p95);
    for (const percent of [50, 95, 99] as const) assertFigure(found[`p${percent}`], percentileOf(raw, percent));
  }

  /** Without a sample there is no figure. */
  function assertFigure(found: number | undefined, raw: number | undefined): void {
    if (raw === undefined || Number.isNaN(raw)) return expect(found).toBeUndefined();
    expect(Math.abs((found ?? Number.NaN) - raw)).toBeLessThanOrEqual(0.01 * raw + 0.01);
  }
});

describe('a level', () => {
  it('[SLO-5] says what is left of its budget, and whether it is met', () => {
    const levels = newLevels();
    for (let count = 0; count < 2_000; count += 1) levels.requestDone(count, 'a', count < 4 ? 'lost' : 'answered', 5);
    levels.took(0, 'a', 'restart', 4_000);
    levels.took(0, 'a', 'startup', 61_000);
    levels.happened(0, 'a', 'restarts');
    levels.memory(0, 'a', 400);
    const { availabilityPercent, failurePercent, restartTime, startupTime, unexpectedRestarts, memoryMB } =
      levels.report(2_000).pool;
    expect(availabilityPercent).toMatchObject({ target: 99.9, actual: 99.8, isMet: false, samples: 2_000 });
    expect(availabilityPercent.budgetLeft).toBeCloseTo(-1);
    expect(failurePercent).toMatchObject({ target: 1, actual: 0.2, isMet: true });
    expect(failurePercent.budgetLeft).toBeCloseTo(0.8);
    expect(restartTime).toMatchObject({ target: 10_000, isMet: true, samples: 1 });
    expect(startupTime.isMet).toBe(false);
    expect(unexpectedRestarts).toMatchObject({ target: 0, actual: 1, budgetLeft: -1, isMet: false });
    expect(memoryMB).toMatchObject({ target: 500, actual: 400, isMet: true, samples: 1 });
    expect(memoryMB.budgetLeft).toBeCloseTo(0.2);
  });

  it('[SLO-5] without a sample is neither met nor missed; of what must not happen none is all right', () => {
    const { availabilityPercent, acquireTime, criticalViolations, concurrentSessions } = newLevels().report(0).pool;
    for (const level of [availabilityPercent, acquireTime, concurrentSessions])
      expect(level).toMatchObject({ actual: undefined, budgetLeft: undefined, isMet: undefined, samples: 0 });
    expect(criticalViolations).toMatchObject({ actual: 0, budgetLeft: 1, isMet: true });
  });

  it.each([
    ['as many as the target', [[300, 0]], 300, true],
    ['fewer, which shows nothing', [[100, 0]], 100, undefined],
  ] as const)('[SLO-6] of sessions: %s', (_what, loads, actual, isMet) => {
    const levels = newLevels();
    for (const [sessions, waiting] of loads) levels.load(0, sessions, waiting);
    expect(levels.report(0).pool.concurrentSessions).toMatchObject({ target: 250, actual, isMet });
  });

  it.each([
    [100, 100, false],
    [270, 270, true],
  ])('[SLO-6] of sessions: the queue grows with %i of them', (sessions, actual, isMet) => {
    const levels = newLevels();
    for (let slice = 0; slice < 20; slice += 1) levels.load(slice * 10_000, sessions + slice, slice);
    const { concurrentSessions, queueGrowth } = levels.report(200_000).pool;
    expect(queueGrowth.actual).toBe(1);
    expect(concurrentSessions.isMet).toBe(isMet);
    // It is seen after a minute.
    expect(concurrentSessions.actual).toBeGreaterThanOrEqual(actual);
    expect(concurrentSessions.actual).toBeLessThan(actual + 10);
  });

  it('[SLO-5] of alerts is that of the last day', () => {
    const levels = newLevels();
    for (let count = 0; count < 8; count += 1) levels.happened(0, undefined, 'alerts');
    for (let count = 0; count < 3; count += 1) levels.happened(2 * DAY, undefined, 'alerts');
    expect(levels.report(HOUR).pool.alertsPerDay).toMatchObject({ target: 5, actual: 8, isMet: false, window: DAY });
    expect(levels.report(2 * DAY + HOUR).pool.alertsPerDay).toMatchObject({ actual: 3, isMet: true });
  });
});

describe('a breach', () => {
  /** Requests of a server, one each second, and what becomes of its levels. `isLost` is asked for each second. */
  function run(seconds: number, isLost: (second: number) => boolean, each = 1) {
    const levels = newLevels();
    const changes: (LevelChange & { readonly second: number })[] = [];
    for (let second = 0; second < seconds; second += 1) {
      const now = second * SECOND;
      if (second % each === 0) levels.requestDone(now, 'a', isLost(second) ? 'lost' : 'answered', 5);
      if (second % 10 === 0) for (const change of levels.evaluate(now)) changes.push({ ...change, second });
    }
    return changes.filter(({ event }) => event.level === 'availabilityPercent');
  }

  it('[SLO-2] is told once for the pool and for the server, while a burst lasts, and its end once', () => {
    const changes = run(8 * 3_600, (second) => second >= 21_600 && second < 21_900);
    expect(changes.map(({ to, event: { name } }) => [to, name])).toEqual([
      ['breached', undefined],
      ['breached', 'a'],
      ['recovered', undefined],
      ['recovered', 'a'],
    ]);
    const [breached, , recovered] = changes;
    // 1.44 % of an hour.
    expect(breached?.second).toBeGreaterThan(21_640);
    expect(breached?.second).toBeLessThan(21_680);
    expect(breached?.event).toMatchObject({ target: 99.9 });
    expect(breached?.event.burnRate).toBeGreaterThanOrEqual(14.4);
    expect(breached?.event.actual).toBeLessThan(99.9);
    expect(breached?.event.budgetLeft).toBeLessThan(0);
    // When half an hour has none of it: by the slower rule.
    expect(recovered?.second).toBeGreaterThan(21_900 + 1_800);
    expect(recovered?.second).toBeLessThan(21_900 + 1_800 + 500);
  });

  it('[SLO-2] is none when the two requests of a night fail, or its eight', () => {
    expect(run(8 * 3_600, () => true, 4 * 3_600)).toEqual([]);
    expect(run(8 * 3_600, () => true, 3_600)).toEqual([]);
  });

  it('[SLO-2] does not flap where it burns now and then', () => {
    // A minute of each 34: half an hour is well, and a few minutes later it burns again.
    const changes = run(6 * 3_600, (second) => second > 3_600 && second % 2_040 < 60);
    expect(changes.map(({ to }) => to)).toEqual(['breached', 'breached']);
  });

  it('[SLO-2] comes of slow calls and of errors, too', () => {
    const levels = newLevels();
    for (let count = 0; count < 100; count += 1) {
      levels.called(count, 'a', 900);
      levels.requestDone(count, 'a', 'failed', 5);
    }
    const breached = levels.evaluate(100).map(({ to, event: { level, name } }) => [to, level, name]);
    expect(breached).toEqual([
      ['breached', 'failurePercent', undefined],
      ['breached', 'acquireTime', undefined],
      ['breached', 'failurePercent', 'a'],
      ['breached', 'acquireTime', 'a'],
    ]);
    expect(levels.isBreached).toBe(true);
    expect(levels.evaluate(200)).toEqual([]);
    expect(levels.evaluate(DAY)).toHaveLength(4);
    expect(levels.isBreached).toBe(false);
  });
});

describe('what is kept', () => {
  it('[SLO-4] is of 200 servers; what comes of others counts for the pool', () => {
    const levels = newLevels();
    for (let server = 0; server < 300; server += 1) levels.called(server, `server ${server}`, 1);
    const { pool, servers } = levels.report(300);
    expect(pool.acquireTime.samples).toBe(300);
    expect(Object.keys(servers)).toHaveLength(200);
    expect(Object.keys(servers)).not.toContain('server 200');
  });

  it('[SLO-4] of a removed server makes room for another: that which was silent for longest', () => {
    const removed = new Set<string>();
    const levels = newLevels((name) => !removed.has(name));
    for (let server = 0; server < 200; server += 1) levels.called(server * MINUTE, `server ${server}`, 1);
    levels.called(300 * MINUTE, 'server 3', 1);
    levels.called(301 * MINUTE, 'not yet', 1);
    levels.evaluate(302 * MINUTE);
    for (const name of ['server 3', 'server 7', 'server 9']) removed.add(name);
    levels.called(303 * MINUTE, 'new', 1);
    const names = Object.keys(levels.report(303 * MINUTE).servers);
    expect(names).toHaveLength(200);
    expect(names).toContain('new');
    expect(names).toContain('server 3');
    expect(names).not.toContain('server 7');
    expect(names).not.toContain('not yet');
  });

  it('[SLO-4] of a removed server is forgotten after 30 days', () => {
    const levels = newLevels((name) => name === 'stays');
    for (const name of ['stays', 'goes']) levels.called(0, name, 1);
    levels.evaluate(30 * DAY);
    expect(Object.keys(levels.report(30 * DAY).servers)).toEqual(['stays', 'goes']);
    levels.evaluate(30 * DAY + 1);
    expect(Object.keys(levels.report(30 * DAY + 1).servers)).toEqual(['stays']);
  });

  it('[SLO-4] of 100 servers that are busy for 30 days takes 12 MB at most, and not more in the next 30', () => {
    const levels = newLevels();
    const random = randomOf(1);
    let now = 0;
    const work = (days: number) => {
      for (let hours = days * 24; hours > 0; hours -= 1) {
        for (let server = 0; server < 100; server += 1) {
          const name = `server ${server}`;
          // From 1 ms to 3 s.
          for (let count = 0; count < 3; count += 1) levels.requestDone(now, name, 'answered', 3_000 ** random());
          levels.called(now, name, random() < 0.8 ? 0 : 3_000 * random());
        }
        now += HOUR;
      }
      // All minutes of the last hour.
      for (let minute = 0; minute < 60; minute += 1) {
        for (let server = 0; server < 100; server += 1)
          levels.requestDone(now + minute * MINUTE, `server ${server}`, 'answered', 3_000 ** random());
      }
      return levels;
    };
    const first = memoryOf(() => work(30)) / MB;
    const second = memoryOf(() => work(30)) / MB;
    expect(first).toBeLessThan(12);
    expect(second).toBeLessThan(1);
  });
});
