import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkedUsage } from '../../../src/process/usage/checked-usage.js';
import type { DetailedUsage, TreeUsage } from '../../../src/process/usage/tree-usage.js';
import { propertyRuns } from '../../helpers/properties.js';

const USAGE: TreeUsage = {
  ...{ at: -5, memoryMB: 10.5, residentMB: 20, cpuTime: 0, processes: 1, zombies: 0, threads: 4, uptime: 1_000 },
};
const DETAILED: DetailedUsage = { ...USAGE, descriptors: 12, pssMB: 8.5, hidden: 0 };

describe('checkedUsage', () => {
  it('[USAGE-17] returns a usage whose figures are amounts as it is, and undefined', () => {
    for (const usage of [USAGE, DETAILED, { ...DETAILED, descriptors: undefined, pssMB: undefined }, undefined])
      expect(checkedUsage(usage)).toBe(usage);
  });

  it('[USAGE-17] takes figures that an object calculates', () => {
    class Counted {
      at = 0;
      residentMB = 1;
      cpuTime = 1;
      processes = 1;
      zombies = 0;
      threads = 1;
      uptime = 1;
      get memoryMB() {
        return 7;
      }
    }
    expect(checkedUsage(new Counted())?.memoryMB).toBe(7);
  });

  it('[USAGE-17] refuses what is no usage, and shows no text of it', () => {
    for (const wrong of [null, 'swordfish', 5, true, {}, [], new Error('swordfish'), () => USAGE]) {
      expect(() => checkedUsage(wrong as never)).toThrow(/^the launcher reports .* of a tree$/);
      expect(() => checkedUsage(wrong as never)).not.toThrow(/swordfish/);
    }
  });

  it('[USAGE-17] refuses each figure that is missing, negative, no finite number, or no number', () => {
    const wrong = [Number.NaN, Infinity, -Infinity, -1, 1e300, '7', null, 3n, {}];
    const figure = fc.constantFrom(...(Object.keys(DETAILED) as (keyof DetailedUsage)[]));
    fc.assert(
      fc.property(figure, fc.constantFrom<unknown>(...wrong), (key, value) => {
        fc.pre(!(key === 'at' && typeof value === 'number' && Number.isFinite(value)));
        expect(() => checkedUsage({ ...DETAILED, [key]: value } as never)).toThrow(` as ${key} of a tree`);
      }),
      { numRuns: propertyRuns(300).cases },
    );
    for (const key of Object.keys(USAGE)) {
      const { [key as keyof TreeUsage]: _, ...others } = USAGE;
      expect(() => checkedUsage(others as never)).toThrow(`the launcher reports undefined as ${key} of a tree`);
    }
  });
});
