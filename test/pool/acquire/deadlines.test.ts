import { describe, expect, it } from 'vitest';
import { Deadlines, type Expiring } from '../../../src/pool/acquire/deadlines.js';
import { DueTimes } from '../../../src/runtime/due-times.js';

function rethrow(fault: unknown): void {
  throw fault;
}

const caller = (deadline: number): Expiring => ({ deadline, sooner: undefined, later: undefined });

describe('Deadlines', () => {
  it('[MEM-1] keep nothing of callers that have left, also when each had a timeout of its own', () => {
    const dueTimes = new DueTimes();
    const deadlines = new Deadlines(dueTimes, () => {});
    for (let timeout = 1; timeout <= 1_000; timeout++) {
      const one = caller(timeout);
      deadlines.add(one, timeout);
      deadlines.delete(one, timeout);
    }
    let left = 0;
    for (; dueTimes.next < Infinity; left++) dueTimes.run(dueTimes.next, rethrow);
    expect(left).toBeLessThan(20);
  });

  it('[QUEUE-5] call each caller once at its deadline, whatever the order in which they came', () => {
    const dueTimes = new DueTimes();
    const expired: number[] = [];
    const deadlines = new Deadlines<Expiring>(dueTimes, ({ deadline }) => expired.push(deadline));
    for (const timeout of [500, 20, 300, 20, 7]) deadlines.add(caller(timeout), timeout);
    dueTimes.run(20, rethrow);
    expect(expired).toEqual([7, 20, 20]);
    dueTimes.run(1_000, rethrow);
    expect(expired).toEqual([7, 20, 20, 300, 500]);
  });
});
