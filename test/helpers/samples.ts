import fc from 'fast-check';

/** ms from one sample to the next: mostly the usual interval; else a short one, a pause, a suspended machine, a clock set back. */
export const steps = fc.oneof(
  { weight: 6, arbitrary: fc.constant(5000) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 15_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 60_000, 3_600_000, -5000, -3_600_000) },
);

/** The same without a jump: clock and machine run on. */
export const steadySteps = fc.oneof(fc.constant(5000), fc.integer({ min: 500, max: 10_000 }));

/** Samples with their clock times, from the steps between them. */
export function timed<T extends { readonly step: number }>(
  trace: readonly T[],
  begin = 1_000_000,
): (T & { at: number })[] {
  let at = begin;
  return trace.map((sample) => {
    at += sample.step;
    return { ...sample, at };
  });
}
