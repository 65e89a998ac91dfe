import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertWithin, propertyRuns } from './helpers/properties.js';
import { rejection } from './helpers/until.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a property with a time limit', () => {
  it('runs all its cases when there is time', async () => {
    let ran = 0;
    const property = fc.asyncProperty(fc.nat(), async () => {
      ran += 1;
      await turn();
    });
    await assertWithin(property, { cases: 50, timeLimit: 60_000, leastCases: 50 });
    expect(ran).toBe(50);
  });

  it('stops at the limit once its floor has run', async () => {
    let ran = 0;
    const property = fc.asyncProperty(fc.nat(), async () => {
      ran += 1;
      // The limit passes while the third case runs.
      const end = performance.now() + (ran < 3 ? 0 : 2_000);
      while (performance.now() < end);
      await turn();
    });
    await assertWithin(property, { cases: 50, timeLimit: 1_500, leastCases: 2 });
    expect(ran).toBe(3);
  });

  it('runs its floor however long that takes', async () => {
    let ran = 0;
    const property = fc.asyncProperty(fc.nat(), async () => {
      ran += 1;
      await turn();
    });
    await assertWithin(property, { cases: 50, timeLimit: 0, leastCases: 5 });
    expect(ran).toBe(5);
  });

  it('fails with the counterexample and its cause', async () => {
    const property = fc.asyncProperty(fc.nat(), async (value) => {
      expect(value).toBeLessThan(7);
    });
    const error = (await rejection(assertWithin(property, { cases: 500, timeLimit: 60_000, leastCases: 1 }))) as Error;
    expect(error.message).toContain('Counterexample: [7]');
    expect((error.cause as Error).message).toContain('to be less than 7');
    // Beyond the floor as well.
    let ran = 0;
    const later = fc.asyncProperty(fc.nat(), async () => {
      ran += 1;
      expect(ran).toBeLessThan(4);
    });
    const late = await rejection(assertWithin(later, { cases: 9, timeLimit: 60_000, leastCases: 2 }));
    expect((late as Error).message).toContain('Counterexample');
  });

  it('has a tenth of its cases as floor; those that were asked for all run', () => {
    expect(propertyRuns(1_500, {})).toMatchObject({ cases: 1_500, leastCases: 150, timeLimit: 60_000 });
    expect(propertyRuns(1_500, { isFast: true })).toMatchObject({ cases: 375, leastCases: 38 });
    expect(propertyRuns(300, { asked: '15000' })).toMatchObject({ cases: 15_000, leastCases: 15_000 });
  });
});
