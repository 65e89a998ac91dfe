import { describe, expect, it } from 'vitest';
import { TakeDown } from '../../src/sequence/take-down.js';

const needs: Readonly<Record<string, readonly string[]>> = { web: ['api'], api: ['db'], db: [], other: [] };
const needsOf = (step: string) => needs[step] ?? [];

describe('the time of a stop', () => {
  it('[SEQ-8] is divided by the depth that is left', () => {
    const takeDown = new TakeDown('graceful', 30_000, ['web', 'api', 'db', 'other'], needsOf);
    expect(takeDown.times('web', 0)).toEqual({ hurryAt: 7_500, giveUpAt: 10_000 });
    expect(takeDown.times('other', 0)).toEqual({ hurryAt: 25_000, giveUpAt: 30_000 });
    // One that used its whole share leaves theirs to the others; what a fast one does not use is theirs, too.
    expect(takeDown.times('api', 10_000)).toEqual({ hurryAt: 17_500, giveUpAt: 20_000 });
    expect(takeDown.times('db', 20_000)).toEqual({ hurryAt: 27_500, giveUpAt: 30_000 });
    expect(takeDown.times('db', 1_000)).toEqual({ hurryAt: 25_000, giveUpAt: 30_000 });
  });

  it('[SEQ-8] that is over leaves a moment to end at once', () => {
    const takeDown = new TakeDown('graceful', 1_000, ['db'], needsOf);
    expect(takeDown.times('db', 2_000)).toEqual({ hurryAt: 2_000, giveUpAt: 2_100 });
  });

  it('[SEQ-9] is the same for all in an emergency', () => {
    const takeDown = new TakeDown('emergency', 1_000, ['web', 'api', 'db'], needsOf);
    for (const step of ['web', 'api', 'db']) expect(takeDown.times(step, 0)).toEqual({ hurryAt: 750, giveUpAt: 1_000 });
  });
});
