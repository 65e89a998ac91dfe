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
  /** After this time no further case is started, ms, apart from the floor. */
  readonly timeLimit: number;
  /** The floor: these run however long they take, so that a busy machine does not turn the property into a test of nothing. */
  readonly leastCases: number;
  /** For the test around it, ms. It ends only a property that hangs. */
  readonly testTimeout: number;
}

const HANGS_AFTER = 900_000;

/**
 * For a property with slow cases. `INTERLEAVINGS` asks for another number of cases, and all of these must complete;
 * otherwise `usual` cases run (a quarter in `npm run test:fast`), as far as they get within a minute, and at least a tenth.
 */
export function propertyRuns(
  usual: number,
  { asked, isFast }: { asked?: string | undefined; isFast?: boolean } = {
    asked: INTERLEAVINGS,
    isFast: FAST !== undefined,
  },
): PropertyRuns {
  if (asked === undefined) {
    const cases = isFast ? Math.ceil(usual / 4) : usual;
    return { cases, timeLimit: 60_000, leastCases: Math.ceil(cases / 10), testTimeout: HANGS_AFTER };
  }
  const cases = Number(asked);
  return { cases, timeLimit: 0, leastCases: cases, testTimeout: HANGS_AFTER + cases * 200 };
}

/** As `fc.assert`, but stops at the time limit once the floor has run. */
export async function assertWithin<Case extends [unknown, ...unknown[]]>(
  property: fc.IAsyncProperty<Case>,
  { cases, timeLimit, leastCases }: Omit<PropertyRuns, 'testTimeout'>,
): Promise<void> {
  const begin = performance.now();
  const { seed } = fc.readConfigureGlobal();
  await assertAll(property, { numRuns: leastCases });
  const left = timeLimit - (performance.now() - begin);
  if (left <= 0 || cases <= leastCases) return;
  const limit = { interruptAfterTimeLimit: left, markInterruptAsFailure: false };
  // Another seed: the same one would repeat the cases of the floor.
  await assertAll(property, {
    numRuns: cases - leastCases,
    ...(seed === undefined ? {} : { seed: seed + 1 }),
    ...limit,
  });
}

async function assertAll<Case extends [unknown, ...unknown[]]>(
  property: fc.IAsyncProperty<Case>,
  parameters: fc.Parameters<Case>,
): Promise<void> {
  const details = await fc.check(property, parameters);
  if (!details.failed) return;
  // One that is cut off before its first case counts as failed, but has no counterexample.
  if (details.interrupted && details.counterexample === null) return;
  throw new Error(await fc.asyncDefaultReportMessage(details), { cause: details.errorInstance });
}
