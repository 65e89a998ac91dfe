import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assessed, type SampledTree } from '../helpers/assessed.js';
import { propertyRuns } from '../helpers/properties.js';

const { cases, testTimeout } = propertyRuns(150);
const LENGTH = 100;

/** Servers that are healthy: each has up to three helpers more now and then, some of them for the first time. */
const helpers = fc.array(fc.tuple(fc.nat(LENGTH), fc.integer({ min: 1, max: 3 })), { maxLength: 6 });
const healthy = fc.array(helpers, { minLength: 1, maxLength: 4 });
/** One that is not: it forks for some samples, and stands still after that. */
const culprits = fc.array(
  fc.record({
    begins: fc.integer({ min: 10, max: 60 }),
    lasts: fc.integer({ min: 1, max: 6 }),
    forks: fc.integer({ min: 12, max: 40 }),
    priority: fc.constantFrom('normal' as const, 'essential' as const),
    /** For so many samples it is ending. */
    ends: fc.nat(3),
  }),
  { minLength: 1, maxLength: 2 },
);

describe('a neighbour', () => {
  it(
    '[ASSESS-9] that is healthy never ends for those that fork, be they essential, slow to end, or none of the pool',
    () => {
      fc.assert(
        fc.property(
          healthy,
          culprits,
          fc.constantFrom(0, 0, 32, 45),
          fc.boolean(),
          (neighbours, some, unclaimed, isNuclear) => {
            // Where two share what is too much, a neighbour may have a tenth of what each has: nuclear ends it, too.
            const [nuclear, forking] = isNuclear ? [50, some.slice(0, 1)] : [10_000, some];
            const levels = { enforce: true, nuclear, emergency: 10_000 };
            const { sample } = assessed({ levels });
            const endsAt = new Map<string, number>();
            for (let index = 0; index < LENGTH; index += 1) {
              const good = neighbours.map((helpers, number): SampledTree => {
                const more = helpers.filter(([begin]) => index >= begin && index < begin + 4).map(([, count]) => count);
                const processes = 1 + Math.max(0, ...more);
                return { id: `good ${number}`, name: 'good', expectedProcesses: 1, processes };
              });
              const bad = forking.flatMap(({ begins, lasts, forks, priority, ends }, number): SampledTree[] => {
                const id = `bad ${number}`;
                const since = index - (endsAt.get(id) ?? Infinity);
                if (since > ends) return [];
                const processes = 1 + forks * Math.min(Math.max(index - begins, 0), lasts);
                const phase = since >= 0 ? ('ending' as const) : ('ready' as const);
                return [{ id, name: 'bad', expectedProcesses: 1, processes, priority, phase }];
              });
              const { treeActions } = sample(index * 5_000, [...good, ...bad], {}, index > 20 ? unclaimed : 0);
              for (const { id } of treeActions) endsAt.set(id, endsAt.get(id) ?? index + 1);
            }
            expect([...endsAt.keys()].filter((id) => id.startsWith('good'))).toEqual([]);
            // One that forks that much, and may be ended, is.
            for (const [number, { forks, lasts, priority }] of forking.entries())
              if (priority === 'normal' && forking.length === 1 && unclaimed === 0 && forks >= 30 && lasts > 1)
                expect(endsAt.has(`bad ${number}`)).toBe(true);
          },
        ),
        { numRuns: cases },
      );
    },
    testTimeout,
  );
});
