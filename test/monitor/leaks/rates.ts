import { LeakDetector } from '../../../src/monitor/leaks/leak-detector.js';
import type { LeakOptions } from '../../../src/monitor/leaks/leak-watch.js';
import { type Course, courseOf, randomOf, SHAPES, type Shape, simulate } from './simulate.js';

/** The defaults. */
export const OPTIONS: LeakOptions = { window: 3_600_000, warmup: 1_800_000, minSlopeMBPerHour: 5 };
const DAY = 24;
const MINUTE = 60_000;

/** What the detector said of one simulated server. */
export interface Outcome {
  readonly course: Course;
  readonly suspected: boolean;
  /** Time after the warm-up, in windows. */
  readonly confirmedAfter: number | undefined;
}

/**
 * What the detector says of so many servers of one shape, each watched for its warm-up and a day, or until it is confirmed.
 *
 * @param every time from sample to sample, in ms
 */
export function outcomesOf(
  shape: Shape,
  seed: number,
  cases: number,
  given?: Partial<Course>,
  every = MINUTE,
): Outcome[] {
  return Array.from({ length: cases }, (_, index) => {
    const random = randomOf(seed * 1_000_003 + SHAPES.indexOf(shape) * 100_003 + index);
    const course = courseOf(shape, random, given);
    const watch = new LeakDetector(OPTIONS).watch(shape);
    let suspected = false;
    for (const sample of simulate(course, random, { hours: DAY + 0.5, every })) {
      const verdict = watch.add(sample)?.verdict;
      // What is confirmed at once is told as suspected first.
      suspected ||= verdict === 'suspected' || verdict === 'confirmed';
      if (verdict !== 'confirmed') continue;
      return { course, suspected, confirmedAfter: (sample.at - OPTIONS.warmup) / OPTIONS.window };
    }
    return { course, suspected, confirmedAfter: undefined };
  });
}

/** Percent of the outcomes in which it was confirmed, within so many windows. */
export function confirmedPercent(outcomes: readonly Outcome[], windows = Infinity): number {
  const found = outcomes.filter(
    ({ confirmedAfter = Infinity }) => confirmedAfter < Infinity && confirmedAfter <= windows,
  );
  return (100 * found.length) / outcomes.length;
}
