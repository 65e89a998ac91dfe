import fc from 'fast-check';

/**
 * A fixed seed, so that every run has the same cases, and a change fails only because of the change. `npm run test:explore`
 * looks for new cases; each failure gets a fix and a test of its own.
 */
const { EXPLORE, INTERLEAVINGS, FAST } = process.env;
fc.configureGlobal(EXPLORE === undefined ? { seed: 20_261_121 } : {});

/** How many cases of a property run, and for how long. */
export interface PropertyRuns {
  readonly cases: number;
  /** After this time no further case is started, ms. */
  readonly timeLimit: number;
  /** Fewer completed cases than this are a failure: a busy machine must not turn the property into a test of nothing. */
  readonly leastCases: number;
  /** For the test around it, ms. */
  readonly testTimeout: number;
}

/**
 * For a property whose cases are slow. `INTERLEAVINGS` asks for another number of cases, and all of these must complete;
 * otherwise `usual` cases run (a quarter in `npm run test:fast`), as far as they get within a minute, and at least a tenth.
 */
export function propertyRuns(usual: number, asked = INTERLEAVINGS, isFast = FAST !== undefined): PropertyRuns {
  if (asked === undefined) {
    const cases = isFast ? Math.ceil(usual / 4) : usual;
    return { cases, timeLimit: 60_000, leastCases: Math.ceil(cases / 10), testTimeout: 120_000 };
  }
  const cases = Number(asked);
  const timeLimit = Math.max(60_000, cases * 100);
  return { cases, timeLimit, leastCases: cases, testTimeout: timeLimit + 60_000 };
}

/** As `fc.assert`, but stops at the time limit, and fails when too few cases have completed by then. */
export async function assertWithin<Case extends [unknown, ...unknown[]]>(
  property: fc.IAsyncProperty<Case>,
  { cases, timeLimit, leastCases }: Omit<PropertyRuns, 'testTimeout'>,
): Promise<void> {
  const limit = { interruptAfterTimeLimit: timeLimit, markInterruptAsFailure: false };
  const details = await fc.check(property, { numRuns: cases, ...limit });
  // One that is cut off before its first case has failed as well, but has no counterexample.
  if (details.counterexample !== null)
    throw new Error(await fc.asyncDefaultReportMessage(details), { cause: details.errorInstance });
  if (details.numRuns < leastCases) {
    throw new Error(
      `${details.numRuns} of ${cases} cases completed within ${timeLimit} ms; fewer than ${leastCases} show nothing: run the test on a machine that is less busy`,
    );
  }
}
