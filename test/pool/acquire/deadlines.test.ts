import { describe, expect, it } from 'vitest';
import { Deadlines, type Expiring } from '../../../src/pool/acquire/deadlines.js';
import { DueTimes } from '../../../src/runtime/due-times.js';

describe('deadlines', () => {
  it('[QUEUE-5] pass in their order, and those of callers that have left are kept for a few timeouts only', () => {
    const dueTimes = new DueTimes();
    const expired: number[] = [];
    const deadlines = new Deadlines<Expiring>(dueTimes, ({ deadline }) => expired.push(deadline));
    const waiting = Array.from({ length: 20 }, (_, index): Expiring => {
      const item = { deadline: 0, sooner: undefined, later: undefined };
      deadlines.add(item, 0, 1_000 + index);
      return item;
    });
    // Each with a timeout of its own, as of a host that computes what is left of its time.
    for (let timeout = 1; timeout < 1_000; timeout++) {
      const item = { deadline: 0, sooner: undefined, later: undefined };
      deadlines.add(item, 0, timeout);
      deadlines.delete(item, timeout);
    }
    expect(dueTimes.next).toBe(1_000);
    dueTimes.run(1_004);
    expect(expired).toEqual(waiting.slice(0, 5).map(({ deadline }) => deadline));
    expect(dueTimes.next).toBe(1_005);
  });
});
