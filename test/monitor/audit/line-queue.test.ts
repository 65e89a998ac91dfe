import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineQueue } from '../../../src/monitor/audit/line-queue.js';
import { propertyRuns } from '../../helpers/properties.js';

const MOST = 100;

describe('lines that wait', () => {
  it('[AUDIT-7] are written in order, once, or counted as dropped, however writes fail', () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer({ min: 1, max: 40 }) }),
      fc.record({
        take: fc.integer({ min: 1, max: 80 }),
        written: fc.double({ min: 0, max: 1, noNaN: true }),
        during: fc.nat(5),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new LineQueue(MOST);
        const file: string[] = [];
        let pushed = 0;
        const push = (length: number) => queue.push(`${pushed++}`.padEnd(length, '.'));
        const write = (most: number, share: number, during = 0) => {
          const lines = queue.take((dropped) => `dropped ${dropped}`, most);
          for (let count = 0; count < during; count++) push(20);
          const written = Math.floor(lines.length * share);
          file.push(...lines.slice(0, written));
          queue.settle(written);
        };
        for (const one of steps) {
          if ('push' in one) push(one.push);
          else write(one.take, one.written, one.during);
          expect(queue.next).toBeLessThanOrEqual(MOST);
        }
        while (!queue.isEmpty) write(MOST, 1);
        let next = 0;
        for (const line of file) {
          if (line.startsWith('dropped ')) next += Number(line.slice(8));
          else expect(Number.parseInt(line, 10)).toBe(next++);
        }
        expect(pushed - next).toBe(0);
      }),
      { numRuns: propertyRuns(2_000).cases },
    );
  });
});
