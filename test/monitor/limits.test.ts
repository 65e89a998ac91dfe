import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LimitAssessment, LimitWatch } from '../../src/monitor/limits.js';
import { steadySteps, steps, timed } from '../helpers/samples.js';

const WINDOWS = { long: 30_000, short: 10_000 };
const PERCENTS = { warningPercent: 75, criticalPercent: 90 };
const LIMIT = 1000;

/** A value, and how long after the one before it is measured, ms. */
interface Measured {
  readonly value: number | undefined;
  readonly step: number;
}

/** In percent of the limit, so up to twice the limit. */
const values = fc.integer({ min: 0, max: 200 }).map((percent) => percent * 10);
const traces = fc.array(fc.record({ step: steps, value: values }), { maxLength: 80 });
const every = (...all: (number | undefined)[]): Measured[] => all.map((value) => ({ value, step: 5000 }));
const repeated = (value: number, times: number) => every(...Array<number>(times).fill(value));
const newWatch = () => new LimitWatch(WINDOWS, PERCENTS);

function feed(trace: readonly Measured[], watch = newWatch(), limit = LIMIT): LimitAssessment[] {
  return timed(trace).map(({ at, value }) => watch.update(at, value, limit));
}
const changes = (assessments: readonly LimitAssessment[]) =>
  assessments.map(({ change }) => change).filter((change) => change !== undefined);

/** A watch whose value is over the limit, and its clock. */
function exceeded(value = 1050) {
  const watch = newWatch();
  let at = 0;
  const next = (given: number | undefined, step = 5000) => {
    at += step;
    return watch.update(at, given, LIMIT);
  };
  for (let count = 0; count < 10; count += 1) next(value);
  expect(watch.level).toBe('exceeded');
  return { watch, next };
}

describe('LimitWatch', () => {
  it('[LIMIT-1] is exceeded when the value was over the limit for the long window, and asks for an action then', () => {
    const assessments = feed(repeated(1001, 20));
    // The first sample stands for no time.
    expect(assessments.findIndex(({ change }) => change === 'exceeded')).toBe(6);
    expect(assessments.findIndex(({ asksForAction }) => asksForAction)).toBe(6);
    expect(changes(assessments)).toEqual(['exceeded']);
  });

  it('[LIMIT-1] a start-up spike of any height is no violation when it is over within the long window', () => {
    const start = fc.array(fc.integer({ min: 0, max: 1e6 }), { maxLength: 6 });
    const after = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 4, maxLength: 40 });
    fc.assert(
      fc.property(start, after, (spike, quiet) => {
        const assessments = feed(every(...spike, ...quiet));
        expect(assessments.filter(({ level, asksForAction }) => level !== 'normal' || asksForAction)).toEqual([]);
      }),
    );
  });

  it('[LIMIT-1] a spike of less than half of the long window is none, however often it comes', () => {
    const spike = fc.array(fc.integer({ min: 0, max: 1e6 }), { maxLength: 2 });
    const quiet = (highest: number) => fc.array(fc.integer({ min: 0, max: highest }), { minLength: 5, maxLength: 8 });
    const near = fc.array(fc.integer({ min: 900, max: 1000 }), { minLength: 12, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(fc.tuple(quiet(749), spike), { maxLength: 20 }), (trace) => {
        expect(feed(every(...trace.flat(2))).filter(({ level }) => level !== 'normal')).toEqual([]);
      }),
    );
    // Nor is it one where the value is near the limit for long.
    fc.assert(
      fc.property(near, fc.array(fc.tuple(spike, quiet(1000)), { maxLength: 20 }), (before, trace) => {
        expect(changes(feed(every(...before, ...trace.flat(2))))).toEqual([]);
      }),
    );
  });

  it('[LIMIT-1] what was over for long, but no longer is, is no violation; nor is what falls fast', () => {
    // Over the limit until the moment at which the long window is full; lower, or falling, then.
    expect(changes(feed([...repeated(1200, 6), ...every(999)]))).toEqual([]);
    expect(changes(feed([...repeated(1200, 6), ...every(1019)]))).toEqual([]);
    expect(changes(feed([...repeated(1200, 6), ...every(1021)]))).toEqual(['exceeded']);
    // It is not over now, though it was for most of both windows.
    expect(changes(feed([...repeated(1100, 5), { value: 1100, step: 8000 }, { value: 999, step: 4000 }]))).toEqual([]);
    // Not over for most of the short window.
    expect(changes(feed([...repeated(1200, 5), ...every(900, 1200)]))).toEqual([]);
  });

  it('[LIMIT-1] is exceeded as soon as it was over for more than half of the long window', () => {
    const assessments = feed([...repeated(500, 10), ...repeated(1200, 10)]);
    expect(assessments.findIndex(({ change }) => change === 'exceeded')).toBe(13);
  });

  it('[LIMIT-1] a value that grows over the limit is found in time at any rhythm of samples', () => {
    fc.assert(
      fc.property(
        fc.array(steadySteps, { minLength: 120, maxLength: 120 }),
        fc.integer({ min: 1001, max: 1e6 }),
        (all, high) => {
          const samples = timed(
            all.map((step) => ({ step, value: high })),
            0,
          );
          const watch = newWatch();
          const found = samples.find(({ at, value }) => watch.update(at, value, LIMIT).change === 'exceeded');
          const first = samples[0]!.at;
          const full = samples.find(({ at }) => at - first >= WINDOWS.long)!;
          expect(found?.at).toBe(full.at);
        },
      ),
    );
  });

  it('[LIMIT-2] tells exceeded and recovered in turn, each once, in any trace', () => {
    fc.assert(
      fc.property(traces, (trace) => {
        const watch = newWatch();
        const told = changes(feed(trace, watch));
        expect(told).toEqual(told.map((_, index) => (index % 2 === 0 ? 'exceeded' : 'recovered')));
        expect(watch.level === 'exceeded').toBe(told.length % 2 === 1);
        // What was told as exceeded is told as recovered when the tree ends.
        expect(watch.end()).toBe(told.length % 2 === 1 ? 'recovered' : undefined);
        expect(watch.end()).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it('[LIMIT-2] recovers soon when it is clearly below, later when it is just below, and not for noise', () => {
    const samplesUntilRecovery = (value: number) => {
      const { next } = exceeded();
      return Array.from({ length: 20 }, () => next(value)).findIndex(({ change }) => change === 'recovered') + 1;
    };
    expect(samplesUntilRecovery(899)).toBe(2);
    expect(samplesUntilRecovery(900)).toBe(12);
    expect(samplesUntilRecovery(1000)).toBe(12);
    expect(samplesUntilRecovery(1001)).toBe(0);
    const noise = fc.array(fc.integer({ min: 900, max: 1000 }), { maxLength: 11 });
    fc.assert(
      fc.property(fc.array(noise), (trace) => {
        const { next } = exceeded();
        for (const below of trace) expect(changes([next(1001), ...below.map((value) => next(value))])).toEqual([]);
      }),
    );
  });

  it('[LIMIT-3] after an action it asks for none until the value has fallen, but not longer than the long window', () => {
    const { watch, next } = exceeded(1200);
    expect(next(1200).asksForAction).toBe(true);
    watch.acted();
    expect(Array.from({ length: 5 }, () => next(1200).asksForAction)).toEqual(Array(5).fill(false));
    expect(next(1200).asksForAction).toBe(true);
    watch.acted();
    expect(next(1150).asksForAction).toBe(false);
    // 5 % less: the effect shows, and it is not enough.
    expect(next(1139).asksForAction).toBe(true);
  });

  it('[LIMIT-3] a new action is asked for within bounds, whatever the value does over the limit', () => {
    const over = fc.array(fc.integer({ min: 1001, max: 1100 }), { minLength: 7, maxLength: 40 });
    fc.assert(
      fc.property(over, (trace) => {
        const { watch, next } = exceeded();
        watch.acted();
        const first = trace.findIndex((value) => next(value).asksForAction);
        expect(first).toBeGreaterThanOrEqual(0);
        expect(first).toBeLessThanOrEqual(5);
      }),
    );
  });

  it('[LIMIT-4] two samples alone are never enough, however the clock jumps between them', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ step: steps, value: values }), { maxLength: 2 }), steps, (trace, step) => {
        const assessments = feed([{ step: 0, value: 1e6 }, ...trace].slice(0, 2).map((one) => ({ ...one, step })));
        expect(assessments.every(({ level }) => level === 'normal')).toBe(true);
      }),
    );
  });

  it.each([3_600_000, -3_600_000, 24 * 3_600_000])(
    '[LIMIT-4] a spike around a jump of %i ms is no violation, and a real one is found after it',
    (step) => {
      expect(changes(feed([...repeated(500, 10), ...every(1500), { value: 1500, step }, ...repeated(500, 9)]))).toEqual(
        [],
      );
      expect(changes(feed([...repeated(500, 10), { value: 1500, step }, ...repeated(1500, 9)]))).toEqual(['exceeded']);
    },
  );

  it('[LIMIT-4] a sample without a value changes nothing, and is no value of 0', () => {
    fc.assert(
      fc.property(traces, fc.constantFrom(undefined, Number.NaN, Infinity), (trace, none) => {
        const watch = newWatch();
        for (const { at, value } of timed(trace)) {
          watch.update(at, value, LIMIT);
          const { level } = watch;
          expect(watch.update(at, none, LIMIT)).toEqual({
            level,
            change: undefined,
            asksForAction: false,
            isUrgent: false,
          });
        }
      }),
    );
    const { next } = exceeded();
    expect(changes(Array.from({ length: 30 }, () => next(undefined)))).toEqual([]);
    expect(next(1050).level).toBe('exceeded');
  });

  it('[LIMIT-4] a counter that starts again at 0 neither exceeds nor recovers a limit', () => {
    const { next } = exceeded();
    expect(changes([next(0), next(1050), next(0), next(1050)])).toEqual([]);
    expect(changes(feed(every(900, 0, 950, 0, 990, 0, 900, 0, 980)))).toEqual([]);
  });

  it.each<[number, LimitAssessment['level'], boolean]>([
    [749, 'normal', false],
    [750, 'warning', false],
    [899, 'warning', false],
    [900, 'critical', false],
    [1000, 'critical', false],
    [1001, 'exceeded', false],
    [1099, 'exceeded', false],
    [1100, 'exceeded', true],
  ])('[LIMIT-5] %i MB of 1,000 are %s, urgent: %s', (value, level, isUrgent) => {
    expect(feed(repeated(value, 10)).at(-1)).toEqual({
      level,
      change: undefined,
      asksForAction: level !== 'normal',
      isUrgent,
    });
  });

  it('[LIMIT-5] a moment from 110 % on is not urgent', () => {
    const { next } = exceeded();
    expect(next(1500).isUrgent).toBe(false);
    expect(next(1050).isUrgent).toBe(false);
    expect([next(1150), next(1150)].map(({ isUrgent }) => isUrgent)).toEqual([false, true]);
    // It was for most of the short window, but is not now.
    expect(next(1050, 4000).isUrgent).toBe(false);
  });

  it('[LIMIT-5] as many processes as are allowed are near no limit; CPU counts when it lasts for its own window', () => {
    const processes = new LimitWatch(WINDOWS);
    expect(feed(repeated(3, 20), processes, 3).filter(({ level }) => level !== 'normal')).toEqual([]);
    expect(changes(feed(repeated(4, 10), new LimitWatch(WINDOWS), 3))).toEqual(['exceeded']);
    const cpu = () => new LimitWatch({ ...WINDOWS, long: 60_000 }, PERCENTS);
    expect(changes(feed([...repeated(100, 12), ...repeated(10, 3)], cpu(), 80))).toEqual([]);
    expect(changes(feed(repeated(100, 13), cpu(), 80))).toEqual(['exceeded']);
  });

  it('[LIMIT-5] without a limit nothing is near it; a limit that is raised has recovered', () => {
    fc.assert(
      fc.property(traces, (trace) => {
        expect(feed(trace, newWatch(), Infinity).every(({ level }) => level === 'normal')).toBe(true);
      }),
    );
    const { watch } = exceeded();
    expect(watch.update(55_000, 1050, Infinity)).toMatchObject({ level: 'normal', change: 'recovered' });
  });
});
